package arrival

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// coming is a blob on its way into a store: its verified items, to be stored one after the other.
type coming struct {
	t        *testing.T
	store    *store.Store
	data     []byte
	hash     bao.Hash
	items    *bao.Decoder
	download *store.Download
	arrival  *Arrival
}

func begin(t *testing.T, size int) *coming {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := &coming{t: t, store: s, data: random(size), arrival: New(silent{})}
	outboard := make(writerAt, bao.OutboardSize(uint64(size)))
	tree := bao.NewTree(uint64(size), outboard)
	for off := 0; off < size; off += bao.PieceSize {
		if err := tree.Add(bao.HashPiece(c.data[off:min(off+bao.PieceSize, size)], uint64(off), uint64(size))); err != nil {
			t.Fatal(err)
		}
	}
	if c.hash, err = tree.Root(); err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	if err := bao.Encode(&stream, c.hash, uint64(size), bytes.NewReader(c.data), bytes.NewReader(outboard), bao.All()); err != nil {
		t.Fatal(err)
	}
	c.items = bao.NewDecoder(&stream, c.hash, uint64(size), bao.All())
	return c
}

type silent struct{}

func (silent) Item(string, int64) {}
func (silent) Bytes(uint64)       {}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// random returns n bytes that are always the same.
func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

type writerAt []byte

func (w writerAt) WriteAt(p []byte, off int64) (int, error) { return copy(w[off:], p), nil }

// announce begins the download.
func (c *coming) announce() {
	c.t.Helper()
	c.arrival.Blob(c.hash, uint64(len(c.data)), 0)
	var err error
	if c.download, err = c.store.Download(c.hash, uint64(len(c.data))); err != nil {
		c.t.Fatal(err)
	}
}

// receive stores the next n bytes.
func (c *coming) receive(n int) {
	c.t.Helper()
	for n > 0 {
		item, err := c.items.Next()
		switch {
		case err != nil:
			c.t.Fatal(err)
		case item.Kind == bao.Leaf:
			err = c.download.WriteLeaf(item.Offset, item.Data)
			n -= len(item.Data)
			c.arrival.Bytes(c.hash, uint64(len(item.Data)))
		case item.OutboardOffset >= 0:
			err = c.download.WritePair(item.OutboardOffset, item.Data)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// follow reads the blob to its end.
func (c *coming) follow(ctx context.Context) ([]byte, error) {
	blob, data, err := c.arrival.Open(ctx, c.store, c.hash)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(io.NewSectionReader(data, 0, int64(blob.Size())))
}

type read struct {
	data []byte
	err  error
}

func (c *coming) following(ctx context.Context) <-chan read {
	done := make(chan read, 1)
	go func() {
		data, err := c.follow(ctx)
		done <- read{data, err}
	}()
	return done
}

func TestWhatComesIsReadBeforeItsEnd(t *testing.T) {
	const size = 9<<20 + 12345
	c := begin(t, size)
	done := c.following(timeout(t)) // it waits for the blob to begin
	c.announce()
	c.receive(4 << 20)
	if err := c.download.Flush(); err != nil {
		t.Fatal(err)
	}
	// The first bytes can be had now, although the download is far from its end.
	_, data, err := c.arrival.Open(timeout(t), c.store, c.hash)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 2<<20)
	if _, err := data.ReadAt(first, 1<<20); err != nil || !bytes.Equal(first, c.data[1<<20:3<<20]) {
		t.Fatalf("the third mebibyte is not what was sent: %v", err)
	}
	c.receive(size - 4<<20)
	if err := c.download.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.arrival.End(nil)
	if got := <-done; got.err != nil || !bytes.Equal(got.data, c.data) {
		t.Fatalf("%d bytes, %v", len(got.data), got.err)
	}
}

func TestAFailedDownloadEndsItsFollower(t *testing.T) {
	c := begin(t, 4<<20)
	done := c.following(timeout(t))
	c.announce()
	c.receive(2 << 20)
	lost := errors.New("lost")
	if err := c.download.Close(); err != nil {
		t.Fatal(err)
	}
	c.arrival.End(lost)
	got := <-done
	if !errors.Is(got.err, store.ErrIncomplete) || !errors.Is(c.arrival.Cause(got.err), lost) {
		t.Fatalf("%d bytes, %v", len(got.data), got.err)
	}
	// Without a download, what is not there is an error at once, and a cancelled wait ends.
	if _, err := c.follow(t.Context()); !errors.Is(err, store.ErrIncomplete) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.arrival = New(silent{})
	done = c.following(ctx)
	cancel()
	if got := <-done; !errors.Is(got.err, context.Canceled) {
		t.Fatal(got.err)
	}
}

// TestALeftoverIsNotFollowed: what an earlier provider claimed about a size is not believed before the download does.
func TestALeftoverIsNotFollowed(t *testing.T) {
	c := begin(t, 4<<20)
	c.announce()
	c.receive(1 << 20)
	if err := c.download.Close(); err != nil {
		t.Fatal(err)
	}
	c.arrival = New(silent{})
	done := c.following(timeout(t))
	c.arrival.Blob(c.hash, 4<<20+1, 0) // the size that is claimed now
	c.arrival.Bytes(c.hash, step)
	c.arrival.End(nil)
	if got := <-done; !errors.Is(got.err, store.ErrIncomplete) {
		t.Fatalf("%d bytes, %v", len(got.data), got.err)
	}
}
