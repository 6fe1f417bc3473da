package bao

import (
	"fmt"
	"io"
)

// Tree joins the pieces of one blob to its hash and its outboard. It holds one
// chaining value for each level above the pieces, and a buffer of at most 64 KiB
// that turns the outboard into few large writes. It is not safe for concurrent use.
type Tree struct {
	size     uint64
	chunks   uint64
	added    uint64 // bytes so far
	outboard io.WriterAt
	stack    []subtree
	root     cv
	done     bool
	err      error

	block      []byte // pairs of the run of pieces that is being added
	blockStart uint64 // where block belongs in the outboard
}

// subtree is a finished part of the tree that waits for its right sibling.
type subtree struct {
	span span
	cv   cv
}

// NewTree begins a blob of size bytes. Unless outboard is nil, its pairs are
// written to their final places in it: pre-order, without a size prefix,
// [OutboardSize] bytes in all.
func NewTree(size uint64, outboard io.WriterAt) *Tree {
	return &Tree{size: size, chunks: chunkCount(size), outboard: outboard}
}

// Add takes the next piece; pieces come in order. It fails with [ErrPiece] if the
// piece is not the next one of this blob, or with the error of the outboard's
// WriteAt, which it keeps.
func (t *Tree) Add(p Piece) error {
	if t.err != nil {
		return t.err
	}
	if p.bad || p.size != t.size || p.offset != t.added || t.done {
		return fmt.Errorf("%w: %d bytes at %d of %d after %d of %d", ErrPiece, p.length, p.offset, p.size, t.added, t.size)
	}
	s := subtree{span{p.offset / ChunkSize, p.offset/ChunkSize + chunkCount(p.length)}, p.cv}
	t.beginBlock(s.span.start)
	t.place(pairOffset(t.chunks, s.span), p.pairs)
	t.added += p.length
	if t.done = t.added == t.size; t.done {
		for len(t.stack) > 0 {
			s = t.join(s, len(t.stack) == 1)
		}
		t.root = s.cv
	} else {
		// More follows, so two complete neighbours of one size are siblings.
		for n := t.added / PieceSize; n%2 == 0; n /= 2 {
			s = t.join(s, false)
		}
		t.stack = append(t.stack, s)
	}
	if t.done || t.added%(blockPieces*PieceSize) == 0 {
		t.flush()
	}
	return t.err
}

// Root returns the blob's hash, once all its bytes were added; [ErrIncomplete]
// before that. The empty blob needs no piece.
func (t *Tree) Root() (Hash, error) {
	switch {
	case t.err != nil:
		return Hash{}, t.err
	case t.done:
		return t.root.hash(), nil
	case t.size == 0:
		return EmptyHash(), nil
	}
	return Hash{}, fmt.Errorf("%w: %d of %d bytes", ErrIncomplete, t.added, t.size)
}

// join makes right and the subtree that waits for it into their parent.
func (t *Tree) join(right subtree, root bool) subtree {
	left := t.stack[len(t.stack)-1]
	t.stack = t.stack[:len(t.stack)-1]
	s := subtree{span{left.span.start, right.span.end}, parentCV(left.cv, right.cv, root)}
	if t.outboard != nil {
		var pair [pairSize]byte
		storeCV(pair[:], left.cv)
		storeCV(pair[32:], right.cv)
		t.place(pairOffset(t.chunks, s.span), pair[:])
	}
	return s
}

// beginBlock makes room for the pairs of the next blockPieces pieces, which are
// one subtree and therefore one run of the outboard.
func (t *Tree) beginBlock(chunk uint64) {
	const blockChunks = blockPieces * pieceChunks
	if t.outboard == nil || chunk%blockChunks != 0 {
		return
	}
	s := span{chunk, min(chunk+blockChunks, t.chunks)}
	t.blockStart = pairOffset(t.chunks, s)
	if n := s.pairs(); n <= uint64(cap(t.block)) {
		t.block = t.block[:n]
	} else {
		t.block = make([]byte, n)
	}
}

// place puts pairs where they belong: into the block, or, for the few pairs above
// the blocks, straight into the outboard.
func (t *Tree) place(offset uint64, pairs []byte) {
	switch {
	case t.outboard == nil || len(pairs) == 0:
	case offset >= t.blockStart && offset-t.blockStart < uint64(len(t.block)):
		copy(t.block[offset-t.blockStart:], pairs)
	default:
		t.write(offset, pairs)
	}
}

func (t *Tree) flush() {
	if t.outboard != nil && len(t.block) > 0 {
		t.write(t.blockStart, t.block)
	}
	t.block = t.block[:0]
}

func (t *Tree) write(offset uint64, p []byte) {
	if t.err != nil {
		return
	}
	if _, err := t.outboard.WriteAt(p, int64(offset)); err != nil {
		t.err = fmt.Errorf("bao: writing outboard: %w", err)
	}
}
