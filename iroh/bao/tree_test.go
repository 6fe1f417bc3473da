package bao

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestTreeWrites checks that the outboard of 70 MiB and some is written in five
// large runs and the few pairs above them.
func TestTreeWrites(t *testing.T) {
	data := randomBytes(1, 70<<20+12345)
	size := uint64(len(data))
	ob := &bufferAt{b: make([]byte, OutboardSize(size))}
	root, err := HashReader(bytes.NewReader(data), size, ob)
	if err != nil {
		t.Fatal(err)
	}
	if ob.calls != 5+4 {
		t.Errorf("%d writes", ob.calls)
	}
	if root != Sum(data) {
		t.Error("root differs from Sum")
	}
	if err := Verify(root, size, bytes.NewReader(data), bytes.NewReader(ob.b), All()); err != nil {
		t.Error(err)
	}
}

// TestTreeReference compares blobs of several pieces with the reference.
func TestTreeReference(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 8))
	data := randomBytes(2, 9<<20)
	known := map[[2]uint64][32]byte{}
	sizes := []uint64{PieceSize - 1, PieceSize, PieceSize + 1, 2 * PieceSize, 3*PieceSize + 1024, 4*PieceSize - GroupSize, 8 * PieceSize}
	for range 10 {
		sizes = append(sizes, rnd.Uint64N(uint64(len(data))))
	}
	if testing.Short() || raceEnabled {
		sizes = sizes[:4]
	}
	for _, size := range sizes {
		ref := refBlob{data[:size], known}
		root, outboard := build(t, data[:size])
		if root != ref.hash(0, ref.chunks(), true) || !bytes.Equal(outboard, ref.outboard(0, ref.chunks())) {
			t.Errorf("size %d: root or outboard differs", size)
		}
		tree := NewTree(size, nil) // without an outboard
		for off := uint64(0); off < size; off += PieceSize {
			if err := tree.Add(HashPiece(data[off:min(off+PieceSize, size)], off, size)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := tree.Root(); got != root || err != nil {
			t.Errorf("size %d without outboard: %v, %v", size, got, err)
		}
	}
}

func TestTreeMisuse(t *testing.T) {
	const size = 2*PieceSize + 5
	data := randomBytes(3, size)
	first := HashPiece(data[:PieceSize], 0, size)
	second := HashPiece(data[PieceSize:2*PieceSize], PieceSize, size)
	third := HashPiece(data[2*PieceSize:], 2*PieceSize, size)
	if third.Offset() != 2*PieceSize || third.Len() != 5 {
		t.Errorf("third piece: %d bytes at %d", third.Len(), third.Offset())
	}
	bad := map[string][]Piece{
		"out of order":   {first, third},
		"twice":          {first, first},
		"too many":       {first, second, third, third},
		"wrong size":     {HashPiece(data[:PieceSize], 0, size+1)},
		"unaligned":      {HashPiece(data[:PieceSize], 16, size)},
		"short":          {HashPiece(data[:PieceSize-1], 0, size)},
		"long":           {HashPiece(data[:PieceSize+1], 0, size)},
		"beyond the end": {HashPiece(nil, 4*PieceSize, size)},
	}
	for name, pieces := range bad {
		tree := NewTree(size, nil)
		for i, p := range pieces {
			err := tree.Add(p)
			if last := i == len(pieces)-1; last != errors.Is(err, ErrPiece) {
				t.Errorf("%s: piece %d gives %v", name, i, err)
			}
		}
		if _, err := tree.Root(); len(pieces) < 4 && !errors.Is(err, ErrIncomplete) {
			t.Errorf("%s: root gives %v", name, err)
		}
	}
	tree := NewTree(0, nil)
	if h, err := tree.Root(); h != EmptyHash() || err != nil {
		t.Errorf("empty blob: %v, %v", h, err)
	}
	if err := tree.Add(HashPiece(nil, 0, 0)); err != nil {
		t.Errorf("empty piece: %v", err)
	}
	if h, err := tree.Root(); h != EmptyHash() || err != nil {
		t.Errorf("empty blob: %v, %v", h, err)
	}
	if err := tree.Add(HashPiece(nil, 0, 0)); !errors.Is(err, ErrPiece) {
		t.Errorf("second empty piece: %v", err)
	}
}

func TestTreeFailingOutboard(t *testing.T) {
	const size = 2 * PieceSize
	data := randomBytes(3, size)
	full := errors.New("disk full")
	h, err := HashReader(bytes.NewReader(data), size, failAt{full})
	if !errors.Is(err, full) || !h.IsZero() {
		t.Errorf("%v, %v", h, err)
	}
	tree := NewTree(size, failAt{full})
	tree.err = full
	if err := tree.Add(HashPiece(data[:PieceSize], 0, size)); err != full {
		t.Errorf("the error did not stay: %v", err)
	}
	if _, err := tree.Root(); err != full {
		t.Errorf("the error did not stay: %v", err)
	}
}

type failAt struct{ err error }

func (w failAt) WriteAt([]byte, int64) (int, error) { return 0, w.err }

func TestHashReader(t *testing.T) {
	r := strings.NewReader("abcdef")
	if h, err := HashReader(r, 4, nil); h != Sum([]byte("abcd")) || err != nil {
		t.Errorf("%v, %v", h, err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "ef" {
		t.Errorf("%q left", rest)
	}
	if _, err := HashReader(strings.NewReader("abc"), 4, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short reader: %v", err)
	}
	if _, err := HashReader(strings.NewReader(""), 4, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("empty reader: %v", err)
	}
	if h, err := HashReader(nil, 0, nil); h != EmptyHash() || err != nil {
		t.Errorf("empty blob: %v, %v", h, err)
	}
}

// TestPairOffset walks whole trees of many shapes and compares the position of
// each pair with a running count.
func TestPairOffset(t *testing.T) {
	for _, chunks := range []uint64{17, 32, 33, 100, 1000, 1024, 1025, 4111} {
		at := uint64(0)
		var walk func(s span)
		walk = func(s span) {
			if s.chunks() <= groupChunks {
				return
			}
			if got := pairOffset(chunks, s); got != at {
				t.Fatalf("%d chunks: pair of %v at %d, want %d", chunks, s, got, at)
			}
			at += pairSize
			l, r := s.split()
			walk(l)
			walk(r)
		}
		walk(span{0, chunks})
		if at != OutboardSize(chunks*ChunkSize) {
			t.Errorf("%d chunks: %d bytes of pairs, OutboardSize says %d", chunks, at, OutboardSize(chunks*ChunkSize))
		}
	}
}

func TestHugeSizes(t *testing.T) {
	for _, size := range []uint64{1 << 40, 1<<53 + 1, 1 << 63, math.MaxUint64 - 1024, math.MaxUint64} {
		groups := size/GroupSize + min(1, size%GroupSize)
		if got, want := OutboardSize(size), (groups-1)*64; got != want {
			t.Errorf("OutboardSize(%d) = %d, want %d", size, got, want)
		}
		want := size + OutboardSize(size)
		if want < size {
			want = math.MaxUint64
		}
		if got := EncodedSize(size, All()); got != want {
			t.Errorf("EncodedSize(%d, all) = %d, want %d", size, got, want)
		}
		// One path: each level once, and the leaf.
		if got := EncodedSize(size, Span(0, 1)); got > 54*64+1024 {
			t.Errorf("EncodedSize(%d, first) = %d", size, got)
		}
		if got := EncodedSize(size, LastChunk()); got > 54*64+1024 {
			t.Errorf("EncodedSize(%d, last) = %d", size, got)
		}
		all, first := EncodedSize(size, All()), EncodedSize(size, Span(0, 1))
		if rest := EncodedSize(size, From(1)); all != math.MaxUint64 && rest > all || rest < all-first-2048 {
			t.Errorf("EncodedSize(%d, rest) = %d", size, rest)
		}
	}
	if got := EncodedSize(1<<40, Ranges{5, 5}); got != 0 {
		t.Errorf("EncodedSize of bad ranges = %d", got)
	}
}
