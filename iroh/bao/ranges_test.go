package bao

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRangesConstructors(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want Ranges
	}{
		{"all", All(), Ranges{0}},
		{"from", From(7), Ranges{7}},
		{"span", Span(2, 7), Ranges{2, 7}},
		{"empty span", Span(7, 7), nil},
		{"backward span", Span(8, 7), nil},
		{"last chunk", LastChunk(), Ranges{math.MaxUint64}},
		{"no bytes", BytesSpan(5, 0), nil},
		{"first byte", BytesSpan(0, 1), Ranges{0, 1}},
		{"one chunk", BytesSpan(1024, 1024), Ranges{1, 2}},
		{"two bytes over an edge", BytesSpan(1023, 2), Ranges{0, 2}},
		{"last byte there is", BytesSpan(math.MaxUint64, 1), Ranges{1<<54 - 1, 1 << 54}},
		{"beyond the last byte there is", BytesSpan(math.MaxUint64-5000, 9000), Ranges{1<<54 - 5}},
		{"groups of nothing", Ranges(nil).Groups(), nil},
		{"groups of all", All().Groups(), All()},
		{"groups of the last chunk", LastChunk().Groups(), Ranges{math.MaxUint64 - 15}},
		{"groups that meet", Ranges{1, 2, 17, 19}.Groups(), Ranges{0, 32}},
		{"groups that coincide", Ranges{1, 2, 5, 6}.Groups(), Ranges{0, 16}},
		{"groups apart", Ranges{16, 17, 32, 48, 70}.Groups(), Ranges{16, 48, 64}},
		{"group without an end", Ranges{3, math.MaxUint64 - 1}.Groups(), Ranges{0}},
		{"complement", Ranges{0, 3, 5}.Complement(), Ranges{3, 5}},
		{"complement of nothing", Ranges(nil).Complement(), All()},
	} {
		if !c.got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestRangesValid(t *testing.T) {
	for _, r := range []Ranges{nil, {0}, {5}, {0, 1}, {0, 1, 2}, {math.MaxUint64 - 1, math.MaxUint64}} {
		if err := r.Valid(); err != nil {
			t.Errorf("%v: %v", r, err)
		}
	}
	for _, r := range []Ranges{{0, 0}, {1, 0}, {0, 5, 5}, {0, 5, 4, 9}} {
		if err := r.Valid(); err != ErrRanges {
			t.Errorf("%v: %v", r, err)
		}
	}
}

// TestClamp has the cases of the protocol for a blob of 7 chunks, and one chunk.
func TestClamp(t *testing.T) {
	const size = 6*1024 + 1
	for _, c := range []struct{ r, want Ranges }{
		{nil, nil},
		{All(), All()},
		{Ranges{0, 6}, Ranges{0, 6}},
		{Ranges{0, 7}, Ranges{0}},
		{Ranges{0, 100}, Ranges{0}},
		{Ranges{3, 6, 7, 10}, Ranges{3}},
		{Ranges{0, 5, 7, 10}, Ranges{0, 5, 6}},
		{Ranges{0, 5, 6, 7}, Ranges{0, 5, 6}},
		{Ranges{6}, Ranges{6}},
		{Ranges{6, 7}, Ranges{6}},
		{Ranges{2, 3, 5000, 5001}, Ranges{2, 3, 6}},
		{LastChunk(), Ranges{6}},
		{Ranges{1, 2}, Ranges{1, 2}},
	} {
		before := slices.Clone(c.r)
		if got := c.r.Clamp(size); !got.Equal(c.want) {
			t.Errorf("%v: %v, want %v", c.r, got, c.want)
		}
		if !c.r.Equal(before) {
			t.Errorf("Clamp changed %v to %v", before, c.r)
		}
	}
	for _, r := range []Ranges{All(), {0, 1}, {5, 6}, LastChunk(), {0, math.MaxUint64}} {
		if got := r.Clamp(0); !got.Equal(All()) {
			t.Errorf("%v on the empty blob: %v", r, got)
		}
	}
	if got := (Ranges{1<<54 - 1, 1 << 54}).Clamp(math.MaxUint64); !got.Equal(Ranges{1<<54 - 1}) {
		t.Errorf("largest blob: %v", got)
	}
}

// set is the obvious form of a range set over the chunks 0 to 63; chunk 63 stands
// for all that follow.
type set [64]bool

func setOf(r Ranges) (s set) {
	for i := range s {
		n := 0
		for _, b := range r {
			if b <= uint64(i) {
				n++
			}
		}
		s[i] = n%2 == 1
	}
	return s
}

// TestRangesAlgebra compares the operations with those on sets of truth values.
func TestRangesAlgebra(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	random := func() Ranges {
		var r Ranges
		for range rnd.IntN(8) {
			r = append(r, rnd.Uint64N(64))
		}
		slices.Sort(r)
		return slices.Compact(r)
	}
	for range 20_000 {
		a, b := random(), random()
		x, y := setOf(a), setOf(b)
		for name, c := range map[string]struct {
			got  Ranges
			want func(i int) bool
		}{
			"union":      {a.Union(b), func(i int) bool { return x[i] || y[i] }},
			"intersect":  {a.Intersect(b), func(i int) bool { return x[i] && y[i] }},
			"subtract":   {a.Subtract(b), func(i int) bool { return x[i] && !y[i] }},
			"complement": {a.Complement(), func(i int) bool { return !x[i] }},
			"groups":     {a.Groups(), func(i int) bool { return slices.Contains(x[i/16*16:i/16*16+16], true) }},
		} {
			if err := c.got.Valid(); err != nil {
				t.Fatalf("%s of %v and %v is %v: %v", name, a, b, c.got, err)
			}
			got := setOf(c.got)
			for i := range got {
				if got[i] != c.want(i) || c.got.Contains(uint64(i)) != got[i] {
					t.Fatalf("%s of %v and %v is %v: wrong at %d", name, a, b, c.got, i)
				}
			}
		}
		if a.IsEmpty() != (x == set{}) {
			t.Fatalf("IsEmpty(%v) = %t", a, a.IsEmpty())
		}
	}
}

// TestBytes compares the count of selected bytes with the reference's selection.
func TestBytes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 1))
	for range 5_000 {
		size := rnd.Uint64N(70 * 1024)
		blob := refBlob{data: make([]byte, size)}
		r := randomRanges(rnd, blob.chunks())
		want := 0
		for c, on := range refSelect(r, blob.chunks()) {
			if on {
				want += len(blob.bytes(uint64(c), uint64(c)+1))
			}
		}
		if got := r.Bytes(size); got != uint64(want) {
			t.Fatalf("size %d, ranges %v: %d bytes, want %d", size, r, got, want)
		}
	}
}
