package bao

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/iotest"
	"time"
)

// stream returns what a provider sends for one blob: the size, little-endian, and
// the encoding.
func stream(t testing.TB, data []byte, r Ranges) (Hash, []byte) {
	t.Helper()
	root, outboard := build(t, data)
	size := uint64(len(data))
	out := bytes.NewBuffer(binary.LittleEndian.AppendUint64(nil, size))
	if err := Encode(out, root, size, bytes.NewReader(data), bytes.NewReader(outboard), r); err != nil {
		t.Fatal(err)
	}
	return root, out.Bytes()
}

// receive decodes a stream as a requester does. It returns how many bytes of it
// were consumed, and fails the test if a byte is handed out that is not the blob's.
func receive(t testing.TB, root Hash, stream io.Reader, r Ranges, truth []byte, d *Decoder) (uint64, error) {
	t.Helper()
	var head [8]byte
	if n, err := io.ReadFull(stream, head[:]); err != nil {
		return uint64(n), err
	}
	d.Reset(stream, root, binary.LittleEndian.Uint64(head[:]), r)
	for {
		item, err := d.Next()
		if err == io.EOF {
			return 8 + d.encoded, nil
		}
		if err != nil {
			if len(item.Data) > 0 {
				t.Errorf("%d bytes came with the error %v", len(item.Data), err)
			}
			if _, again := d.Next(); again != err {
				t.Errorf("error %v was followed by %v", err, again)
			}
			return 8 + d.encoded, err
		}
		end := item.Offset + uint64(len(item.Data))
		if item.Kind == Leaf && (end > uint64(len(truth)) || !bytes.Equal(item.Data, truth[item.Offset:end])) {
			t.Fatalf("unverified bytes at %d", item.Offset)
		}
	}
}

// TestBitFlips flips 10,000 random bits of whole-blob streams, the size included:
// each is rejected, nothing unverified is handed out, and damage in the encoding is
// found within a chunk group.
func TestBitFlips(t *testing.T) {
	flips := 10_000
	if testing.Short() || raceEnabled {
		flips = 1_000
	}
	rnd := rand.New(rand.NewPCG(3, 1))
	sizes := sizeLadder()
	var d Decoder
	for i, size := range sizes {
		data := randomBytes(uint64(i), int(size))
		root, good := stream(t, data, All())
		if _, err := receive(t, root, bytes.NewReader(good), All(), data, &d); err != nil {
			t.Fatalf("size %d: the undamaged stream: %v", size, err)
		}
		bad := bytes.Clone(good)
		for range flips/len(sizes) + 1 {
			bit := rnd.IntN(len(bad) * 8)
			if rnd.IntN(50) == 0 {
				bit = rnd.IntN(64) // the size
			}
			bad[bit/8] ^= 1 << (bit % 8)
			at, err := receive(t, root, bytes.NewReader(bad), All(), data, &d)
			var mismatch *MismatchError
			switch {
			case err == nil:
				t.Fatalf("size %d: flipped bit %d was accepted", size, bit)
			case bit >= 64 && !errors.As(err, &mismatch):
				t.Fatalf("size %d: flipped bit %d gives %v", size, bit, err)
			case bit >= 64 && (uint64(bit/8) < at || uint64(bit/8)-at >= GroupSize):
				t.Fatalf("size %d: flipped byte %d was found in the item at %d", size, bit/8, at)
			case bit >= 64 && mismatch.Encoded+8 != at:
				t.Fatalf("error names byte %d, decoder stands at %d", mismatch.Encoded, at-8)
			}
			bad[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// TestTruncation cuts the stream of a 40 KiB blob after every byte.
func TestTruncation(t *testing.T) {
	data := randomBytes(40, 40<<10)
	root, good := stream(t, data, All())
	step := 1
	if testing.Short() || raceEnabled {
		step = 37
	}
	var d Decoder
	for cut := 0; cut < len(good); cut += step {
		_, err := receive(t, root, bytes.NewReader(good[:cut]), All(), data, &d)
		if !errors.Is(err, io.ErrUnexpectedEOF) && !(cut == 0 && err == io.EOF) {
			t.Fatalf("cut at %d of %d: %v", cut, len(good), err)
		}
		dst := make([]byte, GroupSize)
		d.Reset(bytes.NewReader(good[min(8, cut):cut]), root, uint64(len(data)), All())
		for err = nil; err == nil; {
			_, err = d.NextInto(dst)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d of %d, NextInto: %v", cut, len(good), err)
		}
	}
}

// TestSizeLies decodes a good encoding under wrong sizes, followed by as many
// bytes as the decoder wants. Whole-blob queries and size proofs must fail, with
// memory that does not depend on the lie.
func TestSizeLies(t *testing.T) {
	for _, size := range sizeLadder() {
		data := randomBytes(size, int(size))
		for _, r := range []Ranges{All(), LastChunk()} {
			root, good := stream(t, data, r)
			lies := []uint64{0, size + 1, size - 1, size + 1024, size + GroupSize, size * 2, 1 << 40, 1 << 63, math.MaxUint64}
			for _, lie := range lies {
				if lie == size {
					continue
				}
				in := io.MultiReader(bytes.NewReader(binary.LittleEndian.AppendUint64(nil, lie)),
					bytes.NewReader(good[8:]), endless{})
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				began := time.Now()
				_, err := receive(t, root, in, r, data, new(Decoder))
				runtime.ReadMemStats(&after)
				if !errors.Is(err, ErrHashMismatch) {
					t.Errorf("size %d, ranges %v, claimed %d: %v", size, r, lie, err)
				}
				if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
					t.Errorf("size %d, claimed %d: %d bytes allocated", size, lie, used)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("size %d, claimed %d: took %v", size, lie, took)
				}
			}
		}
	}
}

// endless gives bytes for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestWrongRoot checks that good streams under another hash yield nothing.
func TestWrongRoot(t *testing.T) {
	for _, size := range sizeLadder() {
		data := randomBytes(size, int(size))
		root, good := stream(t, data, All())
		root[31] ^= 1
		var d Decoder
		at, err := receive(t, root, bytes.NewReader(good), All(), nil, &d)
		if !errors.Is(err, ErrHashMismatch) || at != 8 {
			t.Errorf("size %d: %v at %d", size, err, at)
		}
	}
}

// TestReaders decodes through readers that give little, or data with an error.
func TestReaders(t *testing.T) {
	data := randomBytes(5, 200_000)
	r := Ranges{3, 40, 41, 42, 90}
	root, good := stream(t, data, r)
	readers := map[string]func(io.Reader) io.Reader{
		"one byte":   iotest.OneByteReader,
		"half":       iotest.HalfReader,
		"data error": iotest.DataErrReader,
	}
	for name, wrap := range readers {
		for _, into := range []bool{false, true} {
			d := NewDecoder(wrap(bytes.NewReader(good[8:])), root, uint64(len(data)), r)
			dst := make([]byte, GroupSize+5)
			n := 0
			var err error
			for err == nil {
				var item Item
				if into {
					item, err = d.NextInto(dst)
				} else {
					item, err = d.Next()
				}
				if into && item.Kind == Leaf && &item.Data[0] != &dst[0] {
					t.Errorf("%s: leaf is not in dst", name)
				}
				n += len(item.Data)
			}
			if err != io.EOF || n != len(good)-8 {
				t.Errorf("%s, into %t: %d of %d bytes, then %v", name, into, n, len(good)-8, err)
			}
		}
	}
	broken := errors.New("stream reset")
	d := NewDecoder(io.MultiReader(bytes.NewReader(good[8:3000]), iotest.ErrReader(broken)), root, uint64(len(data)), r)
	var err error
	for err == nil {
		_, err = d.Next()
	}
	if !errors.Is(err, broken) {
		t.Errorf("a reader's error became %v", err)
	}
}

// TestDecoderReads checks that a decoder reads nothing before the first call, never
// asks for bytes after the encoding, and reads in large parts.
func TestDecoderReads(t *testing.T) {
	const size = 4 << 20
	data := randomBytes(6, size)
	root, good := stream(t, data, All())
	in := &countReader{r: bytes.NewReader(good[8:]), left: len(good) - 8}
	d := NewDecoder(in, root, size, All())
	if in.calls != 0 {
		t.Error("NewDecoder reads")
	}
	for {
		if _, err := d.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if in.calls > 2*(len(good)/decodeSize+1) {
		t.Errorf("%d reads for %d bytes", in.calls, len(good))
	}
	if allocs := testing.AllocsPerRun(5, func() {
		d.Reset(bytes.NewReader(good[8:]), root, size, All())
		for err := error(nil); err == nil; {
			_, err = d.Next()
		}
	}); allocs > 3 {
		t.Errorf("%.0f allocations to decode %d groups", allocs, size/GroupSize)
	}
}

// countReader fails when it is asked for more than left bytes.
type countReader struct {
	r           io.Reader
	left, calls int
}

func (c *countReader) Read(p []byte) (int, error) {
	c.calls++
	if len(p) > c.left {
		return 0, fmt.Errorf("asked for %d bytes, %d are left", len(p), c.left)
	}
	n, err := c.r.Read(p)
	c.left -= n
	return n, err
}

func TestDecoderMisuse(t *testing.T) {
	if _, err := NewDecoder(endless{}, Hash{}, 5, Ranges{4, 4}).Next(); err != ErrRanges {
		t.Errorf("bad ranges: %v", err)
	}
	d := NewDecoder(bytes.NewReader([]byte{0}), Sum([]byte{0}), 1, All())
	if _, err := d.NextInto(make([]byte, GroupSize-1)); err != io.ErrShortBuffer {
		t.Errorf("short buffer: %v", err)
	}
	if item, err := d.NextInto(make([]byte, GroupSize)); err != nil || len(item.Data) != 1 {
		t.Errorf("after a short buffer: %v, %v", item, err)
	}
	if _, err := NewDecoder(endless{}, Hash{}, 1<<40, nil).Next(); err != io.EOF {
		t.Errorf("no ranges: %v", err)
	}
	for k, want := range map[Kind]string{Parent: "parent", Leaf: "leaf", 0: "kind 0"} {
		if k.String() != want {
			t.Errorf("kind %d prints %q", uint8(k), k)
		}
	}
}
