package store_test

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// A blob is added piece by piece, made durable, and read back.
func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	ctx := context.Background()

	data := make([]byte, 3<<20)
	size := uint64(len(data))
	w, err := s.NewWriter(size)
	if err != nil {
		panic(err)
	}
	defer w.Abort()
	for off := uint64(0); off < size; off += bao.PieceSize {
		piece := data[off:min(off+bao.PieceSize, size)]
		if err := w.Add(bao.HashPiece(piece, off, size), piece); err != nil {
			panic(err)
		}
	}
	hash, err := w.Commit(ctx)
	if err != nil {
		panic(err)
	}
	if err := s.Sync(ctx); err != nil {
		panic(err)
	}

	b, err := s.Open(hash)
	if err != nil {
		panic(err)
	}
	defer b.Close()
	n, err := io.Copy(io.Discard, io.NewSectionReader(b, 0, int64(b.Size())))
	fmt.Println(hash.ShortString(), n, err)
	fmt.Println(s.Verify(ctx, hash))
	// Output:
	// 0471c2e7cc 3145728 <nil>
	// <nil>
}

// A download goes on where the last one stopped.
func ExampleStore_Download() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		panic(err)
	}
	defer s.Close()

	data := make([]byte, 40_000) // three groups, two pairs
	hash := bao.Sum(data)
	d, err := s.Download(hash, uint64(len(data)))
	if err != nil {
		panic(err)
	}
	if err := d.WriteLeaf(0, data[:bao.GroupSize]); err != nil { // verified by a bao.Decoder
		panic(err)
	}
	if err := d.Close(); err != nil {
		panic(err)
	}

	d, err = s.Download(hash, uint64(len(data)))
	if err != nil {
		panic(err)
	}
	defer d.Close()
	fmt.Println("there:", d.Ranges(), "missing:", bao.Span(0, 40).Subtract(d.Ranges()))
	// Output: there: [0 16] missing: [16 40]
}
