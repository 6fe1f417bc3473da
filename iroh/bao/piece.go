package bao

// Piece is a hashed part of a blob, ready for [Tree.Add]. It holds at most 4 KiB
// and keeps no reference to the data.
type Piece struct {
	offset, size uint64 // place in the blob, and the blob's size
	length       uint64
	cv           cv     // root of the piece's subtree
	pairs        []byte // its pairs in pre-order, without those above
	bad          bool   // data was not the piece that it claimed to be
}

// Len returns how many bytes of the blob the piece covers.
func (p Piece) Len() uint64 { return p.length }

// Offset returns where in the blob the piece begins.
func (p Piece) Offset() uint64 { return p.offset }

// HashPiece hashes data, which is blob[offset:min(offset+PieceSize, size)] of a
// blob of size bytes; offset is a multiple of PieceSize. It runs on the calling
// goroutine, and pieces may be hashed in parallel. A piece is always one subtree:
// left subtrees are powers of two, so a split above a piece falls on a multiple
// of PieceSize, and what is left at the end, however ragged, is a right child.
// Arguments that break these rules are reported by [Tree.Add].
func HashPiece(data []byte, offset, size uint64) Piece {
	p := Piece{offset: offset, size: size, length: uint64(len(data))}
	if offset%PieceSize != 0 || offset > size || p.length != min(PieceSize, size-offset) {
		p.bad = true
		return p
	}
	if p.length > GroupSize {
		p.pairs = make([]byte, OutboardSize(p.length))
	}
	var scratch [GroupSize]byte
	p.cv = subtreeCV(data, offset/ChunkSize, p.length == size, p.pairs, &scratch)
	return p
}
