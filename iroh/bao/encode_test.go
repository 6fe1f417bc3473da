package bao

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
)

// countAt counts the calls of ReadAt, and fails those that touch a byte for which
// missing says so.
type countAt struct {
	io.ReaderAt
	calls   int
	bytes   int
	missing func(off int64) bool
}

var errMissing = errors.New("not here")

func (c *countAt) ReadAt(p []byte, off int64) (int, error) {
	c.calls++
	c.bytes += len(p)
	for i := range p {
		if c.missing != nil && c.missing(off+int64(i)) {
			return 0, errMissing
		}
	}
	return c.ReaderAt.ReadAt(p, off)
}

func TestEncodeReads(t *testing.T) {
	const size = 16 << 20
	data := randomBytes(1, size)
	root, outboard := build(t, data)
	for _, c := range []struct {
		name                 string
		r                    Ranges
		dataCalls, dataBytes int
		pairCalls            int
	}{
		{"whole", All(), 64, size, 1},
		{"one chunk", Span(5000, 5001), 1, GroupSize, 10},
		{"last chunk", LastChunk(), 1, GroupSize, 10},
		{"1 MiB across groups", Span(1000, 2024), 5, 65 * GroupSize, 10},
		{"nothing", nil, 0, 0, 0},
	} {
		d := &countAt{ReaderAt: bytes.NewReader(data)}
		o := &countAt{ReaderAt: bytes.NewReader(outboard)}
		w := &countWriter{}
		if err := Encode(w, root, size, d, o, c.r); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if d.calls > c.dataCalls || d.bytes != c.dataBytes || o.calls > c.pairCalls {
			t.Errorf("%s: %d reads of %d bytes of data, %d of the outboard; want %d, %d, %d",
				c.name, d.calls, d.bytes, o.calls, c.dataCalls, c.dataBytes, c.pairCalls)
		}
		if n := EncodedSize(size, c.r); w.bytes != n || w.calls > int(n/writeSize)*9/8+1 {
			t.Errorf("%s: %d writes of %d bytes, want %d bytes", c.name, w.calls, w.bytes, n)
		}
	}
}

type countWriter struct {
	calls int
	bytes uint64
}

func (w *countWriter) Write(p []byte) (int, error) {
	w.calls++
	w.bytes += uint64(len(p))
	return len(p), nil
}

// itemsOf returns where each item of an encoding begins, by decoding it.
func itemsOf(t *testing.T, enc []byte, root Hash, size uint64, r Ranges) (items []Item, starts []int) {
	t.Helper()
	d := NewDecoder(bytes.NewReader(enc), root, size, r)
	at := 0
	for {
		item, err := d.Next()
		if err == io.EOF {
			return items, starts
		}
		if err != nil {
			t.Fatal(err)
		}
		starts, items = append(starts, at), append(items, item)
		at += len(item.Data)
	}
}

// TestEncodeCorrupt damages the data and the outboard in every group and pair, by
// a flipped bit, a failing read and a short file: the error names the place, and
// what was written is the encoding up to the damaged item and not one byte more.
func TestEncodeCorrupt(t *testing.T) {
	const size = 9*GroupSize + 1500
	data := randomBytes(2, size)
	root, outboard := build(t, data)
	for _, r := range []Ranges{All(), {3, 5, 40, 100, 146}} {
		var good bytes.Buffer
		if err := Encode(&good, root, size, bytes.NewReader(data), bytes.NewReader(outboard), r); err != nil {
			t.Fatal(err)
		}
		items, starts := itemsOf(t, good.Bytes(), root, size, r)
		group, groupStart := -1, 0 // the group that an item is in, and where its encoding begins
		for i, item := range items {
			if g := int(item.Offset / GroupSize); item.OutboardOffset < 0 && g != group {
				group, groupStart = g, starts[i]
			}
			for _, how := range []string{"flipped", "missing", "short"} {
				d, o := bytes.Clone(data), bytes.Clone(outboard)
				want := &CorruptError{Kind: Leaf, Offset: item.Offset / GroupSize * GroupSize, Err: ErrHashMismatch}
				bad, at, stop := &d, int(item.Offset), groupStart
				if item.OutboardOffset >= 0 {
					want.Kind, want.Offset = Parent, uint64(item.OutboardOffset)
					bad, at, stop = &o, int(item.OutboardOffset), starts[i]
				}
				dr, or := &countAt{}, &countAt{}
				switch how {
				case "flipped":
					(*bad)[at] ^= 0x10
				case "short":
					*bad, want.Err = (*bad)[:at], io.ErrUnexpectedEOF
				case "missing":
					want.Err = errMissing
					gone := func(off int64) bool { return off == int64(at) }
					if bad == &d {
						dr.missing = gone
					} else {
						or.missing = gone
					}
				}
				dr.ReaderAt, or.ReaderAt = bytes.NewReader(d), bytes.NewReader(o)
				var got bytes.Buffer
				err := Encode(&got, root, size, dr, or, r)
				var corrupt *CorruptError
				if !errors.As(err, &corrupt) || *corrupt != *want || !errors.Is(err, ErrCorrupt) || !errors.Is(err, want.Err) {
					t.Fatalf("%s %s at %d: %v, want %v", how, item.Kind, at, err, want)
				}
				if !bytes.Equal(got.Bytes(), good.Bytes()[:stop]) {
					t.Fatalf("%s %s at %d: %d bytes were written, want the first %d", how, item.Kind, at, got.Len(), stop)
				}
				if verr := Verify(root, size, dr, or, r); verr == nil || verr.Error() != err.Error() {
					t.Fatalf("Verify says %v, Encode %v", verr, err)
				}
			}
		}
	}
}

func TestEncodeMisuse(t *testing.T) {
	data := randomBytes(2, GroupSize+1)
	root, outboard := build(t, data)
	size := uint64(len(data))
	d, o := bytes.NewReader(data), bytes.NewReader(outboard)
	if err := Encode(io.Discard, root, size, d, o, Ranges{3, 2}); err != ErrRanges {
		t.Errorf("bad ranges: %v", err)
	}
	if err := Encode(io.Discard, root, math.MaxInt64+1, d, o, All()); err != ErrSize {
		t.Errorf("huge size: %v", err)
	}
	if err := Encode(io.Discard, root, size, d, nil, All()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no outboard: %v", err)
	}
	if err := Encode(io.Discard, root, size+1, d, o, All()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("wrong size: %v", err)
	}
	if err := Encode(io.Discard, Hash{}, 0, nil, nil, All()); !errors.Is(err, ErrHashMismatch) {
		t.Errorf("empty blob under another hash: %v", err)
	}
	if err := Encode(io.Discard, EmptyHash(), 0, nil, nil, All()); err != nil {
		t.Errorf("empty blob: %v", err)
	}
	full := errors.New("stream closed")
	err := Encode(failWriter{full}, root, size, d, o, All())
	if !errors.Is(err, full) || errors.Is(err, ErrCorrupt) {
		t.Errorf("failing writer: %v", err)
	}
	big := randomBytes(3, 1<<20)
	root, outboard = build(t, big)
	if err := Encode(failWriter{full}, root, 1<<20, bytes.NewReader(big), bytes.NewReader(outboard), All()); !errors.Is(err, full) {
		t.Errorf("failing writer: %v", err)
	}
}

type failWriter struct{ err error }

func (w failWriter) Write([]byte) (int, error) { return 0, w.err }

func TestEncodeMemory(t *testing.T) {
	data := randomBytes(3, 3<<20)
	root, outboard := build(t, data)
	var e Encoder
	run := func() {
		if err := e.Encode(io.Discard, root, uint64(len(data)), bytes.NewReader(data), bytes.NewReader(outboard), All()); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if held := cap(e.out) + cap(e.data.buf) + cap(e.outboard.buf); held > 640<<10 {
		t.Errorf("an encoder holds %d bytes", held)
	}
	if allocs := testing.AllocsPerRun(5, run); allocs > 4 {
		t.Errorf("%.0f allocations to encode 192 groups again", allocs)
	}
}

// TestVerified damages some groups and pairs and asks which groups are good.
func TestVerified(t *testing.T) {
	const size = 40*GroupSize + 7
	data := randomBytes(4, size)
	root, outboard := build(t, data)
	check := func(name string, d, o []byte, r, want Ranges) {
		t.Helper()
		got, err := Verified(root, size, bytes.NewReader(d), bytes.NewReader(o), r)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	check("all good", data, outboard, All(), All())
	check("part", data, outboard, Ranges{20, 21, 100}, Ranges{16, 32, 96})
	d := bytes.Clone(data)
	d[5*GroupSize+3] ^= 1
	d[40*GroupSize+3] ^= 1
	check("two bad groups", d, outboard, All(), Ranges{0, 80, 96, 640})
	check("half a file", data[:20*GroupSize+5], outboard, All(), Ranges{0, 320})
	o := bytes.Clone(outboard)
	o[64] ^= 1 // the left child of the root: 32 groups
	check("bad pair", data, o, All(), Ranges{512})
	o[0] ^= 1
	check("bad top", data, o, All(), Ranges{})
	if _, err := Verified(root, size, nil, nil, Ranges{1, 1}); err != ErrRanges {
		t.Errorf("bad ranges: %v", err)
	}
	if err := Verify(root, size, bytes.NewReader(data), bytes.NewReader(outboard), All()); err != nil {
		t.Error(err)
	}
}
