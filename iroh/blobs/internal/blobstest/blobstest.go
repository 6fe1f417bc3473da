// Package blobstest has what the tests of the blobs protocol share: endpoints and stores that end with a test, blobs and their encodings,
// and raw streams.
package blobstest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/landing"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Deadline is a context that ends with the test, or after two minutes.
func Deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// OpenStore opens a store that closes with the test.
func OpenStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Endpoint listens on a free port of 127.0.0.1 until the test ends.
func Endpoint(t testing.TB) *iroh.Endpoint {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	e, err := iroh.Listen(iroh.Config{SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{wire.ALPN}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Accept hands every connection to serve, until the test ends.
func Accept(t testing.TB, e *iroh.Endpoint, serve func(context.Context, *iroh.Conn)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := e.Accept(ctx)
			if err != nil {
				return
			}
			running.Go(func() { serve(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// Provide serves a store from a new endpoint and returns where.
func Provide(t testing.TB, cfg provider.Config) ticket.EndpointAddr {
	t.Helper()
	e := Endpoint(t)
	p := provider.New(cfg)
	Accept(t, e, func(ctx context.Context, conn *iroh.Conn) { _ = p.Serve(ctx, conn) })
	return e.Addr()
}

// Dial connects from a new endpoint.
func Dial(t testing.TB, addr ticket.EndpointAddr) *iroh.Conn {
	t.Helper()
	conn, err := Endpoint(t).Dial(Deadline(t), addr, wire.ALPN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// Near is a connection that is said to be short, so that a requester asks in as few requests as it can: what is measured of one is long
// on a machine that is busy.
type Near struct{ *iroh.Conn }

// RTT is next to nothing.
func (Near) RTT() time.Duration { return time.Millisecond }

// Put stores a blob.
func Put(t testing.TB, s *store.Store, data []byte) bao.Hash {
	t.Helper()
	hash, err := s.Put(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	if hash != bao.Sum(data) {
		t.Fatal("store gives another hash")
	}
	return hash
}

// PutPart stores the first n bytes of data, whole groups, as a partial blob.
func PutPart(t testing.TB, s *store.Store, data []byte, n uint64) bao.Hash {
	t.Helper()
	hash, encoded := Encode(t, data, bao.BytesSpan(0, n))
	d := bao.NewDecoder(bytes.NewReader(encoded), hash, uint64(len(data)), bao.BytesSpan(0, n))
	blob := landing.New(s, hash, uint64(len(data)), nil)
	in := blob.Stream()
	for item, err := d.Next(); !errors.Is(err, io.EOF); item, err = d.Next() {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Add(item); err != nil {
			t.Fatal(err)
		}
	}
	if err := blob.Keep(); err != nil {
		t.Fatal(err)
	}
	return hash
}

// Encode returns the hash of data and the encoding of the ranges without the size.
func Encode(t testing.TB, data []byte, ranges bao.Ranges) (bao.Hash, []byte) {
	t.Helper()
	outboard := make(Memory, bao.OutboardSize(uint64(len(data))))
	tree := bao.NewTree(uint64(len(data)), outboard)
	for off := 0; off == 0 || off < len(data); off += bao.PieceSize {
		piece := data[off:min(off+bao.PieceSize, len(data))]
		if err := tree.Add(bao.HashPiece(piece, uint64(off), uint64(len(data)))); err != nil {
			t.Fatal(err)
		}
	}
	hash, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bao.Encode(&out, hash, uint64(len(data)), bytes.NewReader(data), bytes.NewReader(outboard), ranges); err != nil {
		t.Fatal(err)
	}
	return hash, out.Bytes()
}

// Memory is an outboard in memory.
type Memory []byte

// WriteAt implements io.WriterAt.
func (m Memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

// AnswerFor is what a provider sends for one blob.
func AnswerFor(t testing.TB, data []byte, ranges bao.Ranges) []byte {
	t.Helper()
	_, encoded := Encode(t, data, ranges)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(data))), encoded...)
}

// Exchange sends bytes over a new stream and reads to the end, which is "FIN", "Reset(n)", "open" after wait, or another error.
func Exchange(t testing.TB, conn *iroh.Conn, request []byte, fin bool, wait time.Duration) (received []byte, end string) {
	t.Helper()
	stream, err := conn.OpenStream(Deadline(t))
	if err != nil {
		return nil, err.Error()
	}
	defer stream.CancelRead(0)
	defer stream.CancelWrite(0)
	// A provider may stop listening before it has heard all.
	_, _ = stream.Write(request)
	if fin {
		_ = stream.Close()
	}
	_ = stream.SetReadDeadline(time.Now().Add(wait))
	received, err = io.ReadAll(stream)
	return received, StreamEnd(err)
}

// StreamEnd says how reading a stream ended, as Exchange does.
func StreamEnd(err error) string {
	var reset *quic.StreamError
	switch {
	case err == nil:
		return "FIN"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "open"
	case errors.As(err, &reset) && reset.Remote:
		return fmt.Sprintf("Reset(%d)", reset.ErrorCode)
	}
	return err.Error()
}

// WantBlob checks that the store has exactly this blob.
func WantBlob(t testing.TB, s *store.Store, data []byte) {
	t.Helper()
	blob, err := s.Open(bao.Sum(data))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got := make([]byte, blob.Size())
	if _, err := blob.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("blob of %d bytes differs from the %d expected", len(got), len(data))
	}
	if err := bao.Encode(io.Discard, bao.Sum(data), blob.Size(), blob, blob.Outboard(), bao.All()); err != nil {
		t.Fatal(err)
	}
}

// WantNothing checks that the store knows of no blob and holds no file.
func WantNothing(t testing.TB, s *store.Store) {
	t.Helper()
	for status, err := range s.All() {
		t.Errorf("left behind: %v of %v, %v", status.State, status.Hash.ShortString(), err)
	}
}

// RandomBytes are the same for the same seed.
func RandomBytes(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// WantErr fails the test unless err wraps what is wanted.
func WantErr(t testing.TB, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

// Ladder are sizes around every boundary of the format.
var Ladder = []int{0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 100000, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 12345}

// Counting is a progress that checks what it hears.
type Counting struct {
	mu    sync.Mutex
	Sizes map[bao.Hash]uint64 // of blobs that began
	Have  map[bao.Hash]uint64 // bytes of them that are there
	Total uint64              // bytes
}

// Blob implements blobs.Progress.
func (c *Counting) Blob(hash bao.Hash, size, have uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Sizes == nil {
		c.Sizes, c.Have = make(map[bao.Hash]uint64), make(map[bao.Hash]uint64)
	}
	c.Sizes[hash], c.Have[hash] = size, have
}

// Bytes implements blobs.Progress.
func (c *Counting) Bytes(hash bao.Hash, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Total += n
	c.Have[hash] += n
}

// Whole fails the test unless all blobs have come to their end, and no further.
func (c *Counting) Whole(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, size := range c.Sizes {
		if c.Have[hash] != size {
			t.Errorf("progress of %s is %d of %d bytes", hash.ShortString(), c.Have[hash], size)
		}
	}
	if len(c.Have) != len(c.Sizes) {
		t.Errorf("%d blobs began, of %d bytes came", len(c.Sizes), len(c.Have))
	}
}

// Pattern is the content of the vectors' blobs.
func Pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// Collection stores files and returns the root of their collection and all contents, metadata and hash sequence included.
func Collection(t testing.TB, s *store.Store, files ...[]byte) (bao.Hash, [][]byte) {
	t.Helper()
	meta := binary.AppendUvarint([]byte("CollectionV0."), uint64(len(files)))
	var seq []byte
	for i, data := range files {
		name := fmt.Sprintf("folder/%d.bin", i)
		meta = append(binary.AppendUvarint(meta, uint64(len(name))), name...)
		hash := Put(t, s, data)
		seq = append(seq, hash[:]...)
	}
	first := Put(t, s, meta)
	seq = append(first[:], seq...)
	return Put(t, s, seq), append(slices.Clone(files), meta, seq)
}

// Send writes bytes to a stream and ends it.
func Send(stream *quic.Stream, b []byte) {
	_, _ = stream.Write(b)
	_ = stream.Close()
}
