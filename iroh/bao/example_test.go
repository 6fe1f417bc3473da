package bao_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// buffer is an io.WriterAt that grows.
type buffer []byte

func (b *buffer) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(*b) {
		*b = append(*b, make([]byte, end-len(*b))...)
	}
	return copy((*b)[off:], p), nil
}

// One side hashes a blob and sends a part of it; the other verifies each item as it
// arrives, knowing nothing but the hash.
func Example() {
	blob := bytes.Repeat([]byte("verified "), 10_000)
	size := uint64(len(blob))

	var outboard buffer
	hash, err := bao.HashReader(bytes.NewReader(blob), size, &outboard)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hash.ShortString(), size, "bytes, outboard", len(outboard))

	ranges := bao.BytesSpan(40_000, 20)
	var wire bytes.Buffer
	if err := bao.Encode(&wire, hash, size, bytes.NewReader(blob), bytes.NewReader(outboard), ranges); err != nil {
		log.Fatal(err)
	}
	fmt.Println(wire.Len(), "bytes on the wire")

	d := bao.NewDecoder(&wire, hash, size, ranges)
	for {
		item, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		if item.Kind == bao.Leaf {
			fmt.Printf("chunk at %d: %q\n", item.Offset, item.Data[64:83])
		}
	}
	// Output:
	// 967c3bfd61 90000 bytes, outboard 320
	// 1472 bytes on the wire
	// chunk at 39936: "fied verified verif"
}

// Pieces may be hashed on all cores and are then added in order.
func ExampleTree() {
	blob := make([]byte, 3*bao.PieceSize+5)
	size := uint64(len(blob))
	pieces := make(chan chan bao.Piece, 4)
	go func() {
		defer close(pieces)
		for off := uint64(0); off < size; off += bao.PieceSize {
			one := make(chan bao.Piece, 1)
			pieces <- one
			go func() { one <- bao.HashPiece(blob[off:min(off+bao.PieceSize, size)], off, size) }()
		}
	}()
	tree := bao.NewTree(size, nil)
	for one := range pieces {
		if err := tree.Add(<-one); err != nil {
			log.Fatal(err)
		}
	}
	hash, err := tree.Root()
	fmt.Println(hash == bao.Sum(blob), err)
	// Output: true <nil>
}

// A damaged stream yields an error and none of the damaged bytes.
func ExampleDecoder_Next() {
	blob := []byte("what was meant")
	hash := bao.Sum(blob)
	blob[0] = 'W'
	_, err := bao.NewDecoder(bytes.NewReader(blob), hash, uint64(len(blob)), bao.All()).Next()
	fmt.Println(errors.Is(err, bao.ErrHashMismatch))
	// Output: true
}
