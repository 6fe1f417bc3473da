package pebble

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/mappingtest"
)

// randomKey makes keys of which many are alike, whole ones and cut ones.
func randomKey(r *rand.Rand) []byte {
	k := []byte{"bch"[r.IntN(3)], byte(r.IntN(4))}
	if r.IntN(8) == 0 {
		k[1] = 0xff
	}
	for range r.IntN(12) {
		k = append(k, []byte{0, 1, 0xfe, 0xff}[r.IntN(4)])
	}
	return k[:max(1, len(k)-r.IntN(3))]
}

// TestComparer holds what the engine demands of a comparer with a Split.
func TestComparer(t *testing.T) {
	c := comparer()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		a, b := randomKey(r), randomKey(r)
		if slices.Compare(a, b) > 0 {
			a, b = b, a
		}
		pa, pb := a[:c.Split(a)], b[:c.Split(b)]
		if c.Split(pa) != len(pa) {
			t.Fatalf("the prefix of %x has the prefix %x", pa, pa[:c.Split(pa)])
		}
		if c.Compare(pa, pb) > 0 {
			t.Fatalf("%x <= %x, and their prefixes are not", a, b)
		}
		if c.Compare(pa, pb) < 0 && c.Compare(a, b) >= 0 {
			t.Fatalf("prefixes %x < %x, and the keys are not", pa, pb)
		}
		next := c.ImmediateSuccessor(nil, pa)
		if c.Split(next) != len(next) || c.Compare(pa, next) >= 0 {
			t.Fatalf("after the prefix %x comes %x", pa, next)
		}
		if c.Compare(pa, pb) < 0 && c.Compare(pb, next) < 0 {
			t.Fatalf("%x is between %x and its successor %x", pb, pa, next)
		}
		if c.Compare(a, b) < 0 {
			sep := c.Separator(nil, a, b)
			if c.Compare(a, sep) > 0 || c.Compare(sep, b) >= 0 {
				t.Fatalf("%x does not separate %x and %x", sep, a, b)
			}
		}
		if c.AbbreviatedKey(a) > c.AbbreviatedKey(b) {
			t.Fatalf("%x and %x are abbreviated in another order", a, b)
		}
	}
}

func TestRowKeys(t *testing.T) {
	m := mappingtest.Multihash(1)
	k := rowKey(tableBlock, m, 7)
	seq, rest, err := rowSeq(append(k, 9, 9))
	if err != nil || seq != 7 || !bytes.Equal(rest, []byte{9, 9}) || !bytes.Equal(body(k), m) {
		t.Errorf("%d, %x, %v, %x", seq, rest, err, body(k))
	}
	if bytes.Compare(rowKey(tableBlock, m, 8), k) >= 0 {
		t.Error("a newer row does not come first")
	}
	if _, _, err := rowSeq(k[:len(k)-1]); !errors.Is(err, errDamaged) {
		t.Errorf("cut key: %v", err)
	}
	v0 := cid.NewCidV0(m)
	if !bytes.Equal(cidBody(v0), cidBody(cid.NewCidV1(cid.DagProtobuf, m))) || bytes.Equal(cidBody(v0), cidBody(cid.NewCidV1(cid.Raw, m))) {
		t.Error("keys of CIDs")
	}
}

// FuzzBlockValue: a value is refused, or is exactly what the block writes.
func FuzzBlockValue(f *testing.F) {
	for _, b := range []mapping.Block{
		{}, {Node: []byte("node")}, {Blob: [32]byte{1}}, {Blob: [32]byte{2}, Offset: 300, Length: 1 << 20},
		{Blob: [32]byte{3}, Offset: 1 << 62, Length: 5, Prefix: []byte("p"), Suffix: []byte("s")},
	} {
		v := appendBlockValue(nil, &b)
		if len(v) != blockValueSize(&b) {
			f.Fatalf("%v: %d bytes, said %d", b, len(v), blockValueSize(&b))
		}
		got, err := parseBlockValue(nil, v)
		if d := cmp.Diff(b, got, cmp.Transformer("empty", func(p []byte) string { return string(p) })); err != nil || d != "" {
			f.Fatalf("%v (-want +got):\n%s", err, d)
		}
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		b, err := parseBlockValue(nil, v)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Fatal(err)
			}
			return
		}
		again := appendBlockValue(nil, &b)
		if len(again) > len(v) { // varints may have been longer, never shorter
			t.Fatalf("%x becomes %x", v, again)
		}
	})
}

func FuzzLink(f *testing.F) {
	l := mappingtest.Link(1)
	l.Notes = []string{"a", "b"}
	v, err := encodeLink(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v)
	f.Add([]byte(`{"v":2,"cid":"x"}`))
	f.Add([]byte(`{"v":1,"cid":"bafkqaaa","hash":"00"}`))
	f.Fuzz(func(t *testing.T, v []byte) {
		l, err := parseLink(v)
		if err != nil {
			return
		}
		again, err := encodeLink(l)
		if err != nil {
			t.Fatal(err)
		}
		l2, err := parseLink(again)
		if err != nil || l2.CID != l.CID || l2.Hash != l.Hash || l2.Layout != l.Layout {
			t.Errorf("%v: %v, then %v", err, l, l2)
		}
	})
}
