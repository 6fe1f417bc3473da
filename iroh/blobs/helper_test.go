package blobs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/landing"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openStore(t testing.TB) *store.Store {
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

func endpoint(t testing.TB) *iroh.Endpoint {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	e, err := iroh.Listen(iroh.Config{SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{ALPN}})
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

// accept hands every connection to serve, until the test ends.
func accept(t testing.TB, e *iroh.Endpoint, serve func(context.Context, *iroh.Conn)) {
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

// provide serves a store from a new endpoint and returns where.
func provide(t testing.TB, cfg ProviderConfig) ticket.EndpointAddr {
	t.Helper()
	e := endpoint(t)
	p := NewProvider(cfg)
	accept(t, e, func(ctx context.Context, conn *iroh.Conn) { _ = p.Serve(ctx, conn) })
	return e.Addr()
}

func dial(t testing.TB, addr ticket.EndpointAddr) *iroh.Conn {
	t.Helper()
	conn, err := endpoint(t).Dial(deadline(t), addr, ALPN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

func put(t testing.TB, s *store.Store, data []byte) bao.Hash {
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

// putPart stores the first n bytes of data, whole groups, as a partial blob.
func putPart(t testing.TB, s *store.Store, data []byte, n uint64) bao.Hash {
	t.Helper()
	hash, encoded := encode(t, data, bao.BytesSpan(0, n))
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

// encode returns the hash of data and the encoding of the ranges without the size.
func encode(t testing.TB, data []byte, ranges bao.Ranges) (bao.Hash, []byte) {
	t.Helper()
	outboard := make(memory, bao.OutboardSize(uint64(len(data))))
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

type memory []byte

func (m memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

// answerFor is what a provider sends for one blob.
func answerFor(t testing.TB, data []byte, ranges bao.Ranges) []byte {
	t.Helper()
	_, encoded := encode(t, data, ranges)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(data))), encoded...)
}

// exchange sends bytes over a new stream and reads to the end, which is "FIN", "Reset(n)", "open" after wait, or another error.
func exchange(t testing.TB, conn *iroh.Conn, request []byte, fin bool, wait time.Duration) (received []byte, end string) {
	t.Helper()
	stream, err := conn.OpenStream(deadline(t))
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
	return received, streamEnd(err)
}

func streamEnd(err error) string {
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

// wantBlob checks that the store has exactly this blob.
func wantBlob(t testing.TB, s *store.Store, data []byte) {
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

// wantNothing checks that the store knows of no blob and holds no file.
func wantNothing(t testing.TB, s *store.Store) {
	t.Helper()
	for status, err := range s.All() {
		t.Errorf("left behind: %v of %v, %v", status.State, status.Hash.ShortString(), err)
	}
}

func randomBytes(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func wantErr(t testing.TB, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}
