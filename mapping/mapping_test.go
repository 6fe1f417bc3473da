package mapping

import (
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

func TestCanonical(t *testing.T) {
	m, err := mh.Sum([]byte("x"), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	v0, v1, raw := cid.NewCidV0(m), cid.NewCidV1(cid.DagProtobuf, m), cid.NewCidV1(cid.Raw, m)
	for _, c := range []struct{ in, want cid.Cid }{{v0, v1}, {v1, v1}, {raw, raw}, {cid.Undef, cid.Undef}} {
		if got := Canonical(c.in); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

func TestBlock(t *testing.T) {
	for _, c := range []struct {
		b    Block
		node bool
		size uint64
	}{
		{Block{}, true, 0},
		{Block{Node: []byte("abc")}, true, 3},
		{Block{Blob: [32]byte{1}}, false, 0},
		{Block{Blob: [32]byte{1}, Offset: 7, Length: 10, Prefix: []byte("ab"), Suffix: []byte("c")}, false, 13},
	} {
		if c.b.IsNode() != c.node || c.b.Size() != c.size {
			t.Errorf("%v: node %v, size %d", c.b, c.b.IsNode(), c.b.Size())
		}
	}
}

func TestCheckMultihash(t *testing.T) {
	m, err := mh.Sum([]byte("x"), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	id, err := mh.Sum(make([]byte, 128), mh.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		m        mh.Multihash
		ok       bool
		identity bool
	}{
		"sha2-256":      {m, true, false},
		"identity":      {id, true, true},
		"empty":         {nil, false, false},
		"cut":           {m[:33], false, false},
		"with a tail":   {append(m[:34:34], 0), false, false},
		"too long":      {make(mh.Multihash, MaxMultihash+1), false, true},
		"only a prefix": {m[:2], false, false},
	} {
		if err := CheckMultihash(c.m); (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrInvalid)) {
			t.Errorf("%s: %v", name, err)
		}
		if got := IsIdentity(c.m); got != c.identity {
			t.Errorf("%s: identity %v", name, got)
		}
	}
	if err := CheckCID(cid.Undef); !errors.Is(err, ErrInvalid) {
		t.Errorf("undefined CID: %v", err)
	}
}

// TestBLAKE3: a raw CID with a BLAKE3 multihash is a blob's hash, and the other way round.
func TestBLAKE3(t *testing.T) {
	hash := [32]byte{1, 2, 3}
	c, ok := BLAKE3CID(hash, MaxBlock)
	if !ok || c.Type() != cid.Raw {
		t.Fatal(c, ok)
	}
	if got, ok := BLAKE3Of(c); !ok || got != hash {
		t.Errorf("%x, %t", got, ok)
	}
	if c, ok := BLAKE3CID(hash, MaxBlock+1); ok {
		t.Errorf("%s names more than a block", c)
	}
	long, err := mh.Encode(make([]byte, 64), mh.BLAKE3)
	if err != nil {
		t.Fatal(err)
	}
	other, err := mh.Sum(nil, mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []mh.Multihash{long, other} {
		if got, ok := BLAKE3Of(cid.NewCidV1(cid.Raw, m)); ok {
			t.Errorf("%x is %x", []byte(m), got)
		}
	}
}
