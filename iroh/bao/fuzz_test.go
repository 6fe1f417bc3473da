package bao

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func FuzzParseHash(f *testing.F) {
	h := EmptyHash()
	f.Add(h.String())
	f.Add("V4JUT5PZ7GQ2NICAJXVDNXGJJGN4WJOJVXARFN6MTKJ4VZA7GJRA")
	f.Add("v4jut5pz7gq2nicajxvdnxgjjgn4wjojvxarfn6mtkj4vza7gjra\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHash(s)
		if err != nil {
			if !h.IsZero() {
				t.Errorf("%q: a hash came with %v", s, err)
			}
			return
		}
		if back, err := ParseHash(h.String()); back != h || err != nil {
			t.Errorf("%q gives %v, which gives %v, %v", s, h, back, err)
		}
	})
}

// toRanges reads any bytes as boundaries, mostly ascending.
func toRanges(b []byte) Ranges {
	var r Ranges
	var at uint64
	for len(b) > 0 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			break
		}
		at += v
		r, b = append(r, at), b[n:]
	}
	return r
}

// FuzzRanges checks the laws of the set operations and of Clamp.
func FuzzRanges(f *testing.F) {
	f.Add([]byte{0}, []byte{5, 3}, uint64(7000))
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, []byte{1, 1, 1, 1}, uint64(1)<<63)
	f.Add([]byte{}, []byte{0, 6, 1, 3}, uint64(0))
	f.Add([]byte{2, 0}, []byte{1}, uint64(16385))
	f.Fuzz(func(t *testing.T, x, y []byte, size uint64) {
		a, b := toRanges(x), toRanges(y)
		if a.Valid() != nil || b.Valid() != nil {
			if a.Valid() != nil && EncodedSize(size, a) != 0 {
				t.Errorf("%v has an encoding", a)
			}
			return
		}
		union, both, less := a.Union(b), a.Intersect(b), a.Subtract(b)
		for _, r := range []Ranges{union, both, less, a.Clamp(size), a.Groups()} {
			if err := r.Valid(); err != nil {
				t.Fatalf("of %v and %v: %v: %v", a, b, r, err)
			}
		}
		if !both.Union(less).Equal(a.Union(nil)) || !less.Intersect(b).IsEmpty() || !union.Subtract(b).Equal(less) {
			t.Errorf("laws fail for %v and %v", a, b)
		}
		if !a.Complement().Complement().Equal(a) || !a.Subtract(a.Groups()).IsEmpty() {
			t.Errorf("complement or groups of %v", a)
		}
		c := a.Clamp(size)
		if !c.Clamp(size).Equal(c) || EncodedSize(size, a) != EncodedSize(size, c) {
			t.Errorf("clamping %v to %d twice differs", a, size)
		}
		if !a.IsEmpty() && a[0] <= chunkCount(size)-1 && c.IsEmpty() {
			t.Errorf("%v clamped to %d is empty", a, size)
		}
		if n := a.Bytes(size); n > size || EncodedSize(size, a) < n {
			t.Errorf("%v selects %d of %d bytes, encoded in %d", a, n, size, EncodedSize(size, a))
		}
	})
}

// FuzzDecoder takes the encoding that a query of a blob really has, overwrites and
// cuts it, and decodes it under any claimed size. What is handed out must be the
// blob's bytes, and nothing may be read after the encoding.
func FuzzDecoder(f *testing.F) {
	data := randomBytes(9, 2*GroupSize+3000)
	root, outboard := build(f, data)
	size := uint64(len(data))
	f.Add(size, []byte{0}, uint16(0), []byte{}, uint16(0))
	f.Add(size, []byte{1, 2}, uint16(70), []byte{1}, uint16(9))
	f.Add(size+1, []byte{20, 20}, uint16(0), []byte{}, uint16(0))
	f.Add(uint64(1)<<63, []byte{0, 35}, uint16(300), []byte("damage"), uint16(0))
	f.Add(uint64(0), []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, uint16(0), []byte{}, uint16(1))
	f.Fuzz(func(t *testing.T, claimed uint64, bounds []byte, at uint16, patch []byte, cut uint16) {
		r := toRanges(bounds)
		var good bytes.Buffer
		err := Encode(&good, root, size, bytes.NewReader(data), bytes.NewReader(outboard), r)
		if (err != nil) != (r.Valid() != nil) {
			t.Fatalf("%v: %v", r, err)
		}
		enc := bytes.Clone(good.Bytes())
		copy(enc[min(int(at), len(enc)):], patch)
		enc = enc[:len(enc)-min(len(enc), int(cut))]
		in := bytes.NewReader(enc)
		want := EncodedSize(claimed, r)
		d := NewDecoder(in, root, claimed, r)
		var n uint64
		for {
			item, err := d.Next()
			if err != nil {
				consumed := uint64(len(enc) - in.Len())
				switch {
				case err == io.EOF && (n != want || consumed != want):
					t.Fatalf("done after %d of %d bytes, %d read", n, want, consumed)
				case err == ErrRanges && r.Valid() == nil:
					t.Fatalf("%v is refused", r)
				case err != io.EOF && claimed == size && r.Valid() == nil && bytes.Equal(enc, good.Bytes()):
					t.Fatalf("a good encoding gives %v", err)
				case consumed > want || len(d.buf) > decodeSize:
					t.Fatalf("%d bytes read of an encoding of %d, buffer of %d", consumed, want, len(d.buf))
				}
				return
			}
			n += uint64(len(item.Data))
			if item.Kind == Leaf && !bytes.HasPrefix(data[min(item.Offset, size):], item.Data) {
				t.Fatalf("unverified bytes at %d", item.Offset)
			}
		}
	})
}

// FuzzEncode compares encoder and decoder with the reference.
func FuzzEncode(f *testing.F) {
	f.Add(uint32(1), []byte{0})
	f.Add(uint32(16385), []byte{15, 2})
	f.Add(uint32(40000), []byte{1, 1, 1, 1, 20})
	f.Add(uint32(0), []byte{255, 255, 3})
	random := randomBytes(10, 80<<10)
	f.Fuzz(func(t *testing.T, n uint32, bounds []byte) {
		r := toRanges(bounds)
		blob := refBlob{data: random[:n%(80<<10)]}
		if r.Valid() != nil {
			return
		}
		var c checker
		if err := c.compare(blob, r, rand.Uint64()%2 == 0); err != nil && !errors.Is(err, ErrRanges) {
			t.Errorf("size %d, ranges %v: %v", len(blob.data), r, err)
		}
	})
}
