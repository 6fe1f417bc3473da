package bao

import (
	"fmt"
	"io"
)

// HashReader reads a blob of size bytes from r, to its last byte and no further,
// and returns its hash; unless outboard is nil, the blob's outboard is written to
// it. It works on the calling goroutine with one buffer of at most [PieceSize];
// hash pieces with [HashPiece] to use several cores. A shorter r is an error that
// wraps io.ErrUnexpectedEOF.
func HashReader(r io.Reader, size uint64, outboard io.WriterAt) (Hash, error) {
	t := NewTree(size, outboard)
	buf := make([]byte, min(size, PieceSize))
	for off := uint64(0); off < size; off += PieceSize {
		n := min(size-off, PieceSize)
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return Hash{}, fmt.Errorf("bao: reading data at byte %d: %w", off, noEOF(err))
		}
		if err := t.Add(HashPiece(buf[:n], off, size)); err != nil {
			return Hash{}, err
		}
	}
	return t.Root()
}

// Verify reads the chunk groups that r touches, and the pairs above them, and
// checks them against the root. The first that cannot be read or does not match is
// a [*CorruptError]; other errors are those of [Encoder.Encode].
func Verify(root Hash, size uint64, data, outboard io.ReaderAt, r Ranges) error {
	var e Encoder
	return e.run(root, size, data, outboard, r)
}

// Verified is [Verify] without stopping: it returns those chunk groups of r that
// can be read and match, in the form of [Ranges.Clamp]. A group whose path to the
// root is damaged is not among them. The error is [ErrRanges] or [ErrSize].
func Verified(root Hash, size uint64, data, outboard io.ReaderAt, r Ranges) (Ranges, error) {
	found := Ranges{}
	e := Encoder{found: &found}
	if err := e.run(root, size, data, outboard, r); err != nil {
		return nil, err
	}
	return found.Clamp(size), nil
}
