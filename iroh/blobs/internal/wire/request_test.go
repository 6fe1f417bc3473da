package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// vectors are from iroh-blobs 0.104.0.
type vectors struct {
	H1, H2, H3 bao.Hash
	List       []struct {
		Name string
		Hex  hexBytes
	}
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Requests vectors }
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v.Requests
}

func oneBlob(ranges bao.Ranges) ChunkRangesSeq { return ChunkRangesSeq{{0, ranges}, {1, nil}} }

// wantRequests are the requests of the vectors, by their names there.
func wantRequests(h1, h2, h3 bao.Hash) map[string]Request {
	get := func(seq ...From) Request { return GetRequest{h1, seq} }
	one := func(ranges bao.Ranges) Request { return GetRequest{h1, oneBlob(ranges)} }
	all, open := bao.All(), bao.From
	return map[string]Request{
		"Get blob(h1) all":                                                           GetRequest{h1, oneBlob(bao.All())},
		"Get all(h1) (hash seq and every child)":                                     GetRequest{h1, ChunkRangesSeq{{0, bao.All()}}},
		"Get blob(h1) chunks 0..10":                                                  one(bao.Span(0, 10)),
		"Get blob(h1) chunks 0..10 + 100..110":                                       one(bao.Ranges{0, 10, 100, 110}),
		"Get blob(h1) bytes 0..1000 + 10000..11000":                                  one(bao.BytesSpan(0, 1000).Union(bao.BytesSpan(10000, 1000))),
		"Get blob(h1) last chunk (size proof)":                                       one(bao.LastChunk()),
		"Get root all + last chunk of every child (sendme sizes request)":            GetRequest{h1, ChunkRangesSeq{{0, bao.All()}, {1, bao.LastChunk()}}},
		"Get child 1 only, all (root not sent)":                                      get(From{2, all}, From{3, nil}),
		"Get child 1 from chunk 1000000, then all further children":                  get(From{2, open(1000000)}, From{3, all}),
		"Get root all, children 0 and 1 chunk 1 only, closed":                        get(From{0, all}, From{1, bao.Span(1, 2)}, From{3, nil}),
		"Get empty ranges":                                                           GetRequest{h1, ChunkRangesSeq{}},
		"Get blob(h1) chunks 5..":                                                    one(open(5)),
		"Get blob(h1) chunk 300..70000":                                              one(bao.Span(300, 70000)),
		"GetMany from_iter [h1,h2,h3] (sorted)":                                      GetManyRequest{[]bao.Hash{h1, h2, h3}, ChunkRangesSeq{{0, all}, {3, nil}}},
		"GetMany builder h1 all, h2 chunk 0":                                         GetManyRequest{[]bao.Hash{h1, h2}, ChunkRangesSeq{{0, all}, {1, bao.Span(0, 1)}, {2, nil}}},
		"GetMany new [h3,h1] ranges all (infinite)":                                  GetManyRequest{[]bao.Hash{h3, h1}, ChunkRangesSeq{{0, bao.All()}}},
		"Observe h3 all":                                                             ObserveRequest{h3, all},
		"Push h3 root, WIRE form: type byte, varint length, body (bao data follows)": PushRequest{GetRequest{h3, oneBlob(bao.All())}},
	}
}

// TestRequestVectors compares all 19 requests of the real crate in both directions. One of them shows how Push does not look
// on the wire.
func TestRequestVectors(t *testing.T) {
	v := loadVectors(t)
	want := wantRequests(v.H1, v.H2, v.H3)
	if len(v.List) != 19 || len(want) != 18 {
		t.Fatalf("%d vectors, %d expectations", len(v.List), len(want))
	}
	for _, vector := range v.List {
		request, ok := want[vector.Name]
		if !ok {
			if vector.Name != "Push (enum form, NOT the wire form)" {
				t.Errorf("nothing expected for %q", vector.Name)
			}
			if _, err := ParseRequest(vector.Hex); !errors.Is(err, ErrRequest) {
				t.Errorf("%s: read without error: %v", vector.Name, err)
			}
			continue
		}
		if got := request.Append(nil); !bytes.Equal(got, vector.Hex) {
			t.Errorf("%s: encoded as\n%x, want\n%x", vector.Name, got, []byte(vector.Hex))
		}
		got, err := ParseRequest(vector.Hex)
		if err != nil || !reflect.DeepEqual(got, request) {
			t.Errorf("%s: decoded as\n%v, want\n%v, %v", vector.Name, got, request, err)
		}
		if trailing, err := ParseRequest(append(slices.Clone(vector.Hex), 1, 2, 3)); err != nil || !reflect.DeepEqual(trailing, request) {
			t.Errorf("%s: with bytes after it decoded as\n%v, %v", vector.Name, trailing, err)
		}
		for n := range vector.Hex {
			if _, err := ParseRequest(vector.Hex[:n]); !errors.Is(err, ErrRequest) {
				t.Errorf("%s: cut to %d bytes read without error: %v", vector.Name, n, err)
			}
		}
	}
}

// TestRangesLenient reads what 0.104 refuses and older peers may send, and writes it in canonical form.
func TestRangesLenient(t *testing.T) {
	for name, c := range map[string]struct {
		in, canonical []byte
	}{
		"width 0 joins":                   {[]byte{1, 0, 4, 0, 5, 0, 3}, []byte{1, 0, 2, 0, 8}},
		"width 0 cancels all":             {[]byte{1, 0, 2, 5, 0}, []byte{0}},
		"first entry empty":               {[]byte{2, 0, 0, 1, 1, 0}, []byte{1, 1, 1, 0}},
		"two entries alike":               {[]byte{2, 0, 1, 0, 3, 1, 0}, []byte{1, 0, 1, 0}},
		"no step: the later one holds":    {[]byte{2, 0, 1, 0, 0, 1, 7}, []byte{1, 0, 1, 7}},
		"no step back to what was before": {[]byte{3, 0, 1, 0, 2, 0, 0, 1, 0}, []byte{1, 0, 1, 0}},
		"overlong varint":                 {[]byte{0x81, 0, 0, 1, 0}, []byte{1, 0, 1, 0}},
	} {
		seq, err := ParseChunkRangesSeq(postcard.NewReader(c.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := seq.Append(nil); !bytes.Equal(got, c.canonical) {
			t.Errorf("%s: %x becomes %x, want %x", name, c.in, got, c.canonical)
		}
	}
	max := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}
	for name, in := range map[string][]byte{
		"spans exceed 64 bits":   append(append([]byte{1, 0, 2}, max...), 1),
		"offsets exceed 64 bits": append(append(append([]byte{2}, max...), 1, 0), 1, 0),
		"more entries than fit":  {200, 1, 0, 0},
		"more spans than fit":    {1, 0, 100, 1},
		"varint of 11 bytes":     {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0},
	} {
		if seq, err := ParseChunkRangesSeq(postcard.NewReader(in)); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: read as %v, %v", name, seq, err)
		}
	}
}

// TestRangesAll compares the iterator and the parser with a list that names the ranges of every index.
func TestRangesAll(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		list := make([]bao.Ranges, random.IntN(12))
		var seq ChunkRangesSeq
		for i := range list {
			if random.IntN(2) == 0 {
				start := random.Uint64N(3)
				list[i] = bao.Span(start, start+1+random.Uint64N(2))
				seq = seq.Add(uint64(i), list[i])
			}
		}
		parsed, err := ParseChunkRangesSeq(postcard.NewReader(seq.Append(nil)))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []ChunkRangesSeq{seq, parsed} {
			got := make([]bao.Ranges, len(list))
			for index, ranges := range s.All() {
				got[index] = ranges
			}
			if !reflect.DeepEqual(got, list) {
				t.Fatalf("%v yields %v, want %v", s, got, list)
			}
		}
	}
	n := 0
	for index := range (ChunkRangesSeq{{5, bao.All()}}).All() {
		if index != uint64(5+n) {
			t.Fatalf("index %d at place %d", index, n)
		}
		if n++; n == 100 {
			break
		}
	}
	for index := range (ChunkRangesSeq{{math.MaxUint64, bao.All()}}).All() {
		t.Fatalf("index %d of a sequence that cannot be", index)
	}
}

// TestRequestMemory holds the densest requests against the bound that the limits promise.
func TestRequestMemory(t *testing.T) {
	for name, entry := range map[string][]byte{
		"entries that differ": {1, 1, 0, 1, 1, 1},
		"empty entries":       {1, 0},
		"no steps":            {0, 1, 0},
		"many spans":          {1, 2, 1, 1, 1, 0},
	} {
		body := bytes.Repeat(entry, MaxRequest/len(entry)-10)
		for _, in := range [][]byte{
			append(postcard.AppendUint(nil, uint64(len(body)/len(entry))), body...),
			append(postcard.AppendUint([]byte{1, 0}, uint64(len(body))), body...),
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			seq, err := ParseChunkRangesSeq(postcard.NewReader(in))
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16*uint64(len(in))+64<<10 {
				t.Errorf("%s: %d bytes for a request of %d (%d entries, %v)", name, grown, len(in), len(seq), err)
			}
			runtime.KeepAlive(seq)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, vector := range loadVectors(f).List {
		f.Add([]byte(vector.Hex))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		request, err := ParseRequest(in)
		if err != nil {
			if !errors.Is(err, ErrRequest) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		encoded := request.Append(nil)
		again, err := ParseRequest(encoded)
		if err != nil || !bytes.Equal(again.Append(nil), encoded) {
			t.Fatalf("%x is written as %x, which is read as %v, %v", in, encoded, again, err)
		}
	})
}
