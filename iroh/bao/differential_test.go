package bao

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	luke "lukechampine.com/blake3/bao"
)

func sizeLadder() []uint64 {
	return []uint64{0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 1 << 20, 1<<20 + 1}
}

// randomBytes returns n bytes that are the same for the same seed.
func randomBytes(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	r.Read(b)
	return b
}

// randomRanges returns a valid range set whose boundaries lie around a blob of
// that many chunks, with a taste for group edges and the end.
func randomRanges(rnd *rand.Rand, chunks uint64) Ranges {
	var r Ranges
	for range rnd.IntN(7) {
		switch rnd.IntN(5) {
		case 0:
			r = append(r, rnd.Uint64N(chunks+1)/16*16)
		case 1:
			r = append(r, chunks-1+rnd.Uint64N(3))
		case 2:
			r = append(r, rnd.Uint64()>>rnd.IntN(64))
		default:
			r = append(r, rnd.Uint64N(chunks+2))
		}
	}
	slices.Sort(r)
	return slices.Compact(r)
}

// checker holds what a comparison needs, to be used again.
type checker struct {
	enc       Encoder
	dec       Decoder
	got, seen bytes.Buffer
	want      []byte
	dst       [GroupSize]byte
}

// decode decodes enc, followed by other bytes, and checks every item against the
// blob and its outboard.
func (c *checker) decode(enc, data, outboard []byte, root Hash, r Ranges, into bool) error {
	const tail = "the next blob"
	in := io.MultiReader(bytes.NewReader(enc), strings.NewReader(tail))
	size, leaves := uint64(len(data)), uint64(0)
	c.dec.Reset(in, root, size, r)
	c.seen.Reset()
	for {
		var it Item
		var err error
		if into {
			it, err = c.dec.NextInto(c.dst[:])
		} else {
			it, err = c.dec.Next()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		c.seen.Write(it.Data)
		switch {
		case it.Kind == Leaf:
			leaves += uint64(len(it.Data))
			if !bytes.Equal(it.Data, data[it.Offset:it.Offset+uint64(len(it.Data))]) {
				return fmt.Errorf("leaf at %d differs", it.Offset)
			}
		case it.OutboardOffset >= 0:
			if !bytes.Equal(it.Data, outboard[it.OutboardOffset:it.OutboardOffset+64]) {
				return fmt.Errorf("parent at outboard offset %d differs", it.OutboardOffset)
			}
		}
	}
	if !bytes.Equal(c.seen.Bytes(), enc) {
		return fmt.Errorf("items are %d bytes, encoding %d", c.seen.Len(), len(enc))
	}
	if leaves != r.Bytes(size) {
		return fmt.Errorf("leaves have %d bytes, Ranges.Bytes says %d", leaves, r.Bytes(size))
	}
	if rest, _ := io.ReadAll(in); string(rest) != tail {
		return fmt.Errorf("%d bytes left after the encoding, want %d", len(rest), len(tail))
	}
	return nil
}

// TestReference compares 100,000 random queries of blobs of up to 64 KiB with the
// slow reference: root, outboard, encoding, its size, and what decoding yields.
func TestReference(t *testing.T) {
	cases := 100_000
	if testing.Short() || raceEnabled {
		cases = 5_000
	}
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(uint64(w), 4))
			random := randomBytes(uint64(w), 64<<10)
			known := map[[2]uint64][32]byte{}
			var c checker
			for range cases / workers {
				size := rnd.IntN(len(random) + 1)
				if rnd.IntN(4) == 0 { // around chunk and group edges
					size = min(len(random), rnd.IntN(65)*1024+rnd.IntN(3))
				}
				blob := refBlob{random[:size], known}
				r := randomRanges(rnd, blob.chunks())
				if err := c.compare(blob, r, rnd.IntN(2) == 0); err != nil {
					t.Fatalf("size %d, ranges %v: %v", size, r, err)
				}
			}
		})
	}
}

func (c *checker) compare(blob refBlob, r Ranges, into bool) error {
	size, n := uint64(len(blob.data)), blob.chunks()
	ref := blob.outboard(0, n)
	p := HashPiece(blob.data, 0, size)
	root := p.cv.hash()
	if root != blob.hash(0, n, true) {
		return fmt.Errorf("root differs")
	}
	if !bytes.Equal(p.pairs, ref) {
		return fmt.Errorf("outboard differs")
	}
	c.want = blob.encode(c.want[:0], 0, n, refSelect(r, n))
	c.got.Reset()
	if err := c.enc.Encode(&c.got, root, size, bytes.NewReader(blob.data), bytes.NewReader(ref), r); err != nil {
		return err
	}
	if !bytes.Equal(c.got.Bytes(), c.want) {
		return fmt.Errorf("encoding of %d bytes differs from the reference's %d", c.got.Len(), len(c.want))
	}
	if EncodedSize(size, r) != uint64(len(c.want)) {
		return fmt.Errorf("EncodedSize %d, want %d", EncodedSize(size, r), len(c.want))
	}
	return c.decode(c.want, blob.data, ref, root, r, into)
}

// TestLukechampine compares whole blobs with the bao package of
// lukechampine.com/blake3, an implementation by others, at group 4.
func TestLukechampine(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	sizes := sizeLadder()
	for range 60 {
		sizes = append(sizes, rnd.Uint64N(4<<20))
	}
	random := randomBytes(7, 4<<20)
	var c checker
	for _, size := range sizes {
		data := random[:size]
		root, outboard := build(t, data)
		obao, want := luke.EncodeBuf(data, 4, true)
		if root != want || !bytes.Equal(outboard, obao[8:]) {
			t.Fatalf("size %d: root or outboard differs", size)
		}
		enc, _ := luke.EncodeBuf(data, 4, false)
		var got bytes.Buffer
		if err := Encode(&got, root, size, bytes.NewReader(data), bytes.NewReader(outboard), All()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), enc[8:]) {
			t.Fatalf("size %d: encoding differs", size)
		}
		if err := c.decode(got.Bytes(), data, outboard, root, All(), size%2 == 0); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
	}
}

// TestOfficial checks the 35 input lengths of BLAKE3's own test vectors, with the
// fast code and with the reference.
func TestOfficial(t *testing.T) {
	var vectors []struct {
		Len  uint64 `json:"input_len"`
		Hash Hash
	}
	readJSON(t, "testdata/blake3.json", &vectors)
	for _, v := range vectors {
		data := content(v.Len)
		ref := refBlob{data: data}
		if got := Sum(data); got != v.Hash {
			t.Errorf("length %d: %v, want %v", v.Len, got, v.Hash)
		}
		if got := Hash(ref.hash(0, ref.chunks(), true)); got != v.Hash {
			t.Errorf("length %d: the reference says %v, want %v", v.Len, got, v.Hash)
		}
	}
	if len(vectors) != 35 {
		t.Errorf("%d vectors, want 35", len(vectors))
	}
}

// TestFarPieces checks that chunk counters above 32 bits reach the vector code.
func TestFarPieces(t *testing.T) {
	data := randomBytes(3, PieceSize)
	for _, offset := range []uint64{1 << 30, 1<<42 - PieceSize, 1 << 42, 1 << 62, 1<<63 + 5*PieceSize} {
		for _, n := range []uint64{PieceSize, 17*1024 + 5, 1} {
			p := HashPiece(data[:n], offset, offset+n)
			if got, want := p.cv.hash(), refFar(data[:n], offset/1024, 0, (n+1023)/1024); got != want {
				t.Errorf("%d bytes at %d: %v, want %v", n, offset, got, Hash(want))
			}
		}
	}
}

// refFar is refBlob.hash for a part of a blob whose first chunk is number first.
func refFar(data []byte, first, s, e uint64) [32]byte {
	if e-s == 1 {
		return refChunk(data[s*1024:min(e*1024, uint64(len(data)))], first+s, false)
	}
	mid := refMid(s, e)
	return refPair(refFar(data, first, s, mid), refFar(data, first, mid, e), false)
}
