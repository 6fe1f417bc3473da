package layout

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/mappingtest"
)

func cidOf(t testing.TB, version, codec, code uint64, n uint64) cid.Cid {
	t.Helper()
	size := map[uint64]int{mh.SHA2_512: 64, mh.IDENTITY: 5}[code]
	if size == 0 {
		size = 32
	}
	d := make([]byte, size)
	for i := range d {
		d[i] = byte(n >> (i % 8 * 8))
	}
	m, err := mh.Encode(d, code)
	if err != nil {
		t.Fatal(err)
	}
	if version == 0 {
		return cid.NewCidV0(m)
	}
	return cid.NewCidV1(codec, m)
}

// write makes a layout from records. The Link of the End record closes it.
func write(t testing.TB, recs []Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	for _, r := range recs {
		var err error
		switch r.Kind {
		case Leaf:
			err = w.Leaf(r.CID, r.Block.Offset, r.Block.Length, r.Block.Prefix, r.Block.Suffix)
		case Node:
			err = w.Node(r.CID, r.Block.Node)
		case File:
			err = w.File(r.Hash, r.Size, r.CID)
		case End:
			err = w.Close(r.Link)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// read reads a layout to its end, and copies what the reader reuses.
func read(b []byte, limits Limits) ([]Record, error) {
	r := NewReader(bytes.NewReader(b), int64(len(b)), limits)
	var out []Record
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			if _, again := r.Next(); again != err {
				return out, fmt.Errorf("the error is not repeated: %w, then %w", err, again)
			}
			return out, err
		}
		if rec.Kind == Node {
			rec.Block.Node = append([]byte{}, rec.Block.Node...)
		}
		rec.Block.Prefix, rec.Block.Suffix = bytes.Clone(rec.Block.Prefix), bytes.Clone(rec.Block.Suffix)
		out = append(out, rec)
	}
}

func leaf(c cid.Cid, blob [32]byte, offset, length uint64, prefix, suffix string) Record {
	b := mapping.Block{Multihash: c.Hash(), Blob: blob, Offset: offset, Length: length}
	if prefix != "" {
		b.Prefix = []byte(prefix)
	}
	if suffix != "" {
		b.Suffix = []byte(suffix)
	}
	return Record{Kind: Leaf, CID: c, Block: b}
}

func node(c cid.Cid, block string) Record {
	return Record{Kind: Node, CID: c, Block: mapping.Block{Multihash: c.Hash(), Node: []byte(block)}}
}

// sample has a record of every shape.
func sample(t testing.TB) []Record {
	raw := func(n uint64) cid.Cid { return cidOf(t, 1, cid.Raw, mh.SHA2_256, n) }
	v0 := func(n uint64) cid.Cid { return cidOf(t, 0, cid.DagProtobuf, mh.SHA2_256, n) }
	other := cidOf(t, 1, cid.Raw, mh.SHA2_512, 9)
	h := mappingtest.Hash
	return []Record{
		leaf(raw(1), h(1), 0, 1<<20, "", ""),
		leaf(raw(2), h(1), 1<<20, 1<<20, "", ""),
		leaf(raw(3), h(1), 2<<20, 77, "", ""),
		node(raw(4), "inner"),
		{Kind: File, Hash: h(1), Size: 2<<20 + 77, CID: cidOf(t, 1, cid.DagProtobuf, mh.SHA2_256, 5)},
		leaf(v0(6), h(2), 0, 262144, "\x0a\x08", "\x18\x80"),
		leaf(v0(7), h(2), 262144, 262144, "\x0a\x08", "\x18\x80"),
		leaf(other, h(2), 5, 3, "", "s"),
		node(v0(8), ""),
		{Kind: File, Hash: h(2), Size: 600000, CID: v0(8)},
		{Kind: File, Hash: h(3), Size: 0, CID: cidOf(t, 1, cid.Raw, mh.IDENTITY, 1)},
		{Kind: File, Hash: h(4), Size: 99},
		node(raw(10), "folder"),
		{Kind: End, Link: mapping.Link{
			CID: raw(10), Hash: h(5), Format: mapping.FormatCollection, Size: 3 << 20, Blocks: 9,
			Profile: "unixfs-v1-2025", Notes: []string{"an empty folder: x", "ü"},
		}},
	}
}

var compareCID = cmp.Comparer(func(a, b cid.Cid) bool { return a == b })

func TestRoundTrip(t *testing.T) {
	for name, recs := range map[string][]Record{
		"sample": sample(t),
		"link only": {{Kind: End, Link: mapping.Link{
			CID: cidOf(t, 1, cid.Raw, mh.IDENTITY, 1), Hash: [32]byte{1}, Format: mapping.FormatBlob,
		}}},
		"one empty leaf": {
			leaf(cidOf(t, 1, cid.Raw, mh.SHA2_256, 1), [32]byte{1}, 0, 0, "", ""),
			{Kind: File, Hash: [32]byte{1}, CID: cidOf(t, 1, cid.Raw, mh.SHA2_256, 1)},
			{Kind: End, Link: mapping.Link{CID: cidOf(t, 1, cid.Raw, mh.SHA2_256, 1), Hash: [32]byte{1}, Format: mapping.FormatBlob}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(write(t, recs), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(recs, got, compareCID); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestGolden holds the bytes of a small layout, spelled out by hand from the
// package comment.
func TestGolden(t *testing.T) {
	c := cidOf(t, 1, cid.Raw, mh.SHA2_256, 1)
	d := "0100000000000000" + "0100000000000000" + "0100000000000000" + "0100000000000000"
	e := strings.ReplaceAll(d, "01", "02")
	hash := strings.Repeat("ab", 32)
	var h [32]byte
	copy(h[:], bytes.Repeat([]byte{0xab}, 32))
	got := write(t, []Record{
		leaf(c, h, 0, 300, "", ""),
		leaf(cidOf(t, 1, cid.Raw, mh.SHA2_256, 2), h, 300, 300, "", ""),
		node(cidOf(t, 1, cid.DagProtobuf, mh.SHA2_256, 2), "xy"),
		{Kind: File, Hash: h, Size: 600, CID: c},
		{Kind: End, Link: mapping.Link{CID: c, Hash: h, Format: "blob", Size: 600, Blocks: 3, Profile: "p", Notes: []string{"n"}}},
	})
	want := hex.EncodeToString([]byte("brlayout\x01")) +
		"a1" + "24" + "01551220" + d + "ac02" +
		"f1" + e +
		"02" + "24" + "01701220" + e + "02" + "7879" +
		"03" + hash + "d804" + "24" + "01551220" + d +
		"04" + "24" + "01551220" + d + hash + "04" + "626c6f62" + "d804" + "03" + "01" + "70" + "01" + "01" + "6e"
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
}

func TestSizeOfALeaf(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	const n = 10000
	for i := range uint64(n) {
		if err := w.Leaf(mappingtest.CID(cid.Raw, i), i<<20, 1<<20, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.File([32]byte{1}, n<<20, mappingtest.CID(cid.Raw, n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(mappingtest.Link(1)); err != nil {
		t.Fatal(err)
	}
	if got := out.Len(); got > 33*n+300 {
		t.Errorf("%d bytes for %d leaves", got, n)
	}
}

func TestIdentityHasNoRecord(t *testing.T) {
	id := cidOf(t, 1, cid.Raw, mh.IDENTITY, 1)
	c := cidOf(t, 1, cid.Raw, mh.SHA2_256, 1)
	end := Record{Kind: End, Link: mapping.Link{CID: c, Hash: [32]byte{1}, Format: mapping.FormatBlob}}
	file := Record{Kind: File, Hash: [32]byte{1}, Size: 10, CID: c}
	with := write(t, []Record{leaf(c, [32]byte{1}, 0, 3, "", ""), leaf(id, [32]byte{1}, 3, 5, "", ""), node(id, "abcde"),
		leaf(c, [32]byte{1}, 8, 2, "", ""), file, end})
	without := write(t, []Record{leaf(c, [32]byte{1}, 0, 3, "", ""), leaf(c, [32]byte{1}, 8, 2, "", ""), file, end})
	if !bytes.Equal(with, without) {
		t.Errorf("got %x\nwant %x", with, without)
	}
}

func TestWriterRefuses(t *testing.T) {
	c := cidOf(t, 1, cid.Raw, mh.SHA2_256, 1)
	l := mapping.Link{CID: c, Hash: [32]byte{1}, Format: mapping.FormatBlob}
	for name, fn := range map[string]func(*Writer) error{
		"leaf without a CID":   func(w *Writer) error { return w.Leaf(cid.Undef, 0, 1, nil, nil) },
		"leaf too large":       func(w *Writer) error { return w.Leaf(c, 0, mapping.MaxBlock+1, nil, nil) },
		"node too large":       func(w *Writer) error { return w.Node(c, make([]byte, mapping.MaxBlock+1)) },
		"node without a CID":   func(w *Writer) error { return w.Node(cid.Undef, nil) },
		"file without a hash":  func(w *Writer) error { return w.File([32]byte{}, 1, c) },
		"link without a hash":  func(w *Writer) error { return w.Close(mapping.Link{CID: c, Format: mapping.FormatBlob}) },
		"leaf beyond its file": func(w *Writer) error { return errors.Join(w.Leaf(c, 9, 2, nil, nil), w.File(l.Hash, 10, c)) },
		"leaf without a file":  func(w *Writer) error { return errors.Join(w.Leaf(c, 9, 2, nil, nil), w.Close(l)) },
		"leaf after the end":   func(w *Writer) error { return errors.Join(w.Close(l), w.Leaf(c, 0, 1, nil, nil)) },
		"end after the end":    func(w *Writer) error { return errors.Join(w.Close(l), w.Close(l)) },
		"earlier leaf the longer": func(w *Writer) error {
			return errors.Join(w.Leaf(c, 9, 2, nil, nil), w.Leaf(c, 0, 1, nil, nil), w.File(l.Hash, 10, c))
		},
	} {
		w := NewWriter(io.Discard)
		if err := fn(w); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := w.Node(c, nil); err == nil {
			t.Errorf("%s: the error is not kept", name)
		}
	}
	fails := NewWriter(failingWriter{})
	if err := fails.Close(l); err == nil {
		t.Error("a failing writer: no error")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

// TestTruncation cuts a layout at every byte.
func TestTruncation(t *testing.T) {
	whole := write(t, sample(t))
	for n := range whole {
		recs, err := read(whole[:n], Limits{})
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %d records, %v", n, len(recs), err)
		}
		if e.Offset > int64(n) {
			t.Errorf("cut at %d: error at byte %d", n, e.Offset)
		}
	}
	if _, err := read(append(whole, 0), Limits{}); !errors.Is(err, ErrFormat) {
		t.Errorf("a byte more: %v", err)
	}
	if _, err := read(nil, Limits{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := read(whole, Limits{Records: 3}); !errors.Is(err, ErrFormat) {
		t.Errorf("record limit: %v", err)
	}
	if _, err := read(whole, Limits{Records: uint64(len(sample(t)))}); err != nil {
		t.Errorf("record limit that fits: %v", err)
	}
}

// TestReaderRefuses changes one thing in a good layout; the error names the
// byte where the record begins.
func TestReaderRefuses(t *testing.T) {
	c := cidOf(t, 1, cid.Raw, mh.SHA2_256, 1)
	b := c.Bytes()
	bytesOf := func(parts ...any) []byte {
		var out []byte
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				out = append(out, byte(p))
			case []byte:
				out = append(out, p...)
			case string:
				out = append(out, p...)
			}
		}
		return out
	}
	hash := bytes.Repeat([]byte{7}, 32)
	full := bytesOf(0xa1, 36, b, 5) // a leaf of 5 bytes at 0
	end := bytesOf(4, 36, b, hash, 4, "blob", 5, 1, 0, 0)
	huge := bytes.Repeat([]byte{0xff}, 9)
	id := cidOf(t, 1, cid.Raw, mh.IDENTITY, 1).Bytes()
	for name, c := range map[string]struct {
		records []byte
		offset  int64 // after the magic
	}{
		"unknown kind":                 {bytesOf(5), 0},
		"kind 0":                       {bytesOf(0), 0},
		"flag on a file":               {bytesOf(0x13), 0},
		"flag on an end":               {bytesOf(0x84), 0},
		"flag of a leaf on a node":     {bytesOf(0x22, 36, b, 0), 0},
		"digest without a CID":         {bytesOf(0xf1, b[4:]), 0},
		"CID too long":                 {bytesOf(0xa1, huge, 1), 0},
		"CID empty":                    {bytesOf(0xa1, 0), 0},
		"CID cut":                      {bytesOf(0xa1, 35, b[:35]), 0},
		"CID with a tail":              {bytesOf(0xa1, 37, b, 0), 0},
		"CID identity":                 {bytesOf(0xa1, len(id), id, 5), 0},
		"CID spelled out twice":        {bytesOf(full, 0xe1, 36, b), int64(len(full))},
		"offset spelled out":           {bytesOf(0x81, 36, b, 0, 5), 0},
		"length spelled out":           {bytesOf(full, 0xb1, b[4:], 5), int64(len(full))},
		"wrapping spelled out":         {bytesOf(0x21, 36, b, 5, 0, 0), 0},
		"number with a zero":           {bytesOf(0xa1, 36, b, 0x85, 0), 0},
		"number beyond 64 bits":        {bytesOf(0xa1, 36, b, huge, 0x7f), 0},
		"leaf too long":                {bytesOf(0xa1, 36, b, 0x81, 0x80, 0x80, 0x01), 0},
		"prefix too long":              {bytesOf(0x21, 36, b, 5, huge, 1), 0},
		"node too long":                {bytesOf(2, 36, b, huge, 1), 0},
		"leaf beyond its file":         {bytesOf(full, 3, hash, 4, 0), int64(len(full))},
		"leaf without a file":          {bytesOf(full, end), int64(len(full))},
		"file without a hash":          {bytesOf(3, make([]byte, 32), 4, 0), 0},
		"link without a CID":           {bytesOf(4, 0), 0},
		"link without a hash":          {bytesOf(4, 36, b, make([]byte, 32)), 0},
		"link with another format":     {bytesOf(4, 36, b, hash, 4, "blub", 5, 1, 0, 0), 0},
		"link with a long format":      {bytesOf(4, 36, b, hash, 17, "blobblobblobblobb", 5, 1, 0, 0), 0},
		"link with a profile not text": {bytesOf(4, 36, b, hash, 4, "blob", 5, 1, 1, 0xff, 0), 0},
		"link with many notes":         {bytesOf(4, 36, b, hash, 4, "blob", 5, 1, 0, 0xe9, 7), 0},
		"link with a long note":        {bytesOf(4, 36, b, hash, 4, "blob", 5, 1, 0, 1, 0x81, 0x20), 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(append([]byte(magic), c.records...), Limits{})
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, ErrFormat) {
				t.Fatalf("got %v", err)
			}
			if want := int64(len(magic)) + c.offset; e.Offset != want {
				t.Errorf("error at byte %d, want %d: %v", e.Offset, want, err)
			}
		})
	}
	good := append([]byte(magic), bytesOf(full, 3, hash, 5, 0, end)...)
	if _, err := read(good, Limits{}); err != nil {
		t.Errorf("the good layout: %v", err)
	}
	for name, b := range map[string][]byte{"not a layout": []byte("brlayouT\x01"), "version 2": []byte("brlayout\x02")} {
		if _, err := read(b, Limits{}); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("the disk")
	if _, err := NewReader(failingReader{broken}, 100, Limits{}).Next(); !errors.Is(err, broken) {
		t.Errorf("a failing reader: %v", err)
	}
}

type failingReader struct{ err error }

func (r failingReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

// TestRandom compares what is read with what was written, for random layouts.
func TestRandom(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		recs := random(t, r)
		b := write(t, recs)
		got, err := read(b, Limits{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := cmp.Diff(recs, got, compareCID); d != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, d)
		}
	}
}

func random(t testing.TB, r *rand.Rand) []Record {
	codes := []uint64{mh.SHA2_256, mh.SHA2_256, mh.SHA2_256, mh.SHA2_512, mh.BLAKE3}
	block := func() cid.Cid {
		if r.IntN(4) == 0 {
			return cidOf(t, 0, 0, mh.SHA2_256, r.Uint64())
		}
		return cidOf(t, 1, []uint64{cid.Raw, cid.DagProtobuf}[r.IntN(2)], codes[r.IntN(len(codes))], r.Uint64())
	}
	text := func() string { return strings.Repeat("p", r.IntN(3)*r.IntN(2)) }
	var recs []Record
	for range r.IntN(10) {
		hash := mappingtest.Hash(r.Uint64())
		var end uint64
		for range r.IntN(8) {
			offset := end
			if r.IntN(4) == 0 {
				offset = r.Uint64N(1 << 40)
			}
			l := leaf(block(), hash, offset, []uint64{0, 1 << 18, 1 << 18, r.Uint64N(1000)}[r.IntN(4)], text(), text())
			end = l.Block.Offset + l.Block.Length
			recs = append(recs, l)
			if r.IntN(4) == 0 {
				recs = append(recs, node(block(), strings.Repeat("x", r.IntN(200))))
			}
		}
		f := Record{Kind: File, Hash: hash, Size: 1 << 41}
		if r.IntN(3) > 0 {
			f.CID = block()
		}
		recs = append(recs, f)
	}
	l := mappingtest.Link(r.Uint64())
	l.Layout = [32]byte{}
	for range r.IntN(3) {
		l.Notes = append(l.Notes, text())
	}
	return append(recs, Record{Kind: End, Link: l})
}

// FuzzReader: a layout is refused, or is exactly what a writer writes for the
// records that were read; memory stays bounded by the limits.
func FuzzReader(f *testing.F) {
	f.Add(write(f, sample(f)))
	for seed := range uint64(100) {
		f.Add(write(f, random(f, rand.New(rand.NewPCG(seed, 2)))))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		recs, err := read(b, Limits{})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > int64(len(b)) {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		if again := write(t, recs); !bytes.Equal(again, b) {
			t.Errorf("written again:\n got %x\nfrom %x", again, b)
		}
	})
}
