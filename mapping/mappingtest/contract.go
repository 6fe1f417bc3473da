package mappingtest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/mapping"
)

func testEmpty(t *testing.T, s mapping.Store) {
	wantNoBlock(t, s, Multihash(1))
	wantNoLink(t, s, CID(cid.Raw, 1))
	wantReferenced(t, s, Hash(1), false)
	if _, err := s.File(context.Background(), CID(cid.Raw, 1)); !errors.Is(err, mapping.ErrNotFound) {
		t.Errorf("file: %v", err)
	}
	if refs, err := s.Refs(context.Background(), Hash(1)); len(refs) != 0 || err != nil {
		t.Errorf("refs: %v, %v", refs, err)
	}
	if err := s.Delete(context.Background(), CID(cid.Raw, 1)); !errors.Is(err, mapping.ErrNotFound) {
		t.Errorf("delete: %v", err)
	}
	for l, err := range s.Links(context.Background()) {
		t.Errorf("link %v, %v", l, err)
	}
	if got := purge(t, s); len(got) != 0 {
		t.Errorf("orphans: %v", got)
	}
}

func testCommit(t *testing.T, s mapping.Store) {
	const n = 20000 // more than a store should hold in memory at once
	tx := begin(t, s)
	for i := range uint64(n) {
		if err := tx.Block(Leaf(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := uint64(0); i < n; i += 997 {
		wantNoBlock(t, s, Multihash(i))
	}
	l := Link(1)
	l.Created = time.UnixMilli(1700000000123).UTC()
	l.Notes = []string{"an empty folder: a/ü", "a symlink: b"}
	wantNoLink(t, s, l.CID)
	if err := tx.Commit(context.Background(), l); err != nil {
		t.Fatal(err)
	}
	wantLink(t, s, l.CID, l)
	for i := range uint64(n) {
		wantBlock(t, s, Leaf(i))
	}
	wantNoBlock(t, s, Multihash(n))
}

func testMultihash(t *testing.T, s mapping.Store) {
	put(t, s, Link(1), Leaf(1))
	for _, c := range []cid.Cid{cid.NewCidV0(Multihash(1)), CID(cid.Raw, 1), CID(cid.DagCBOR, 1)} {
		b := Leaf(1)
		b.Multihash = c.Hash()
		wantBlock(t, s, b)
	}
	// A multihash that begins or ends like another is another.
	m := Multihash(1)
	cut, err := mh.Encode(m[2:30], mh.SHA2_256)
	if err != nil {
		t.Fatal(err)
	}
	wantNoBlock(t, s, cut)
	other, err := mh.Encode(m[2:], mh.BLAKE3)
	if err != nil {
		t.Fatal(err)
	}
	wantNoBlock(t, s, other)
	// The identity multihash has no row.
	id, err := mh.Sum([]byte("inline"), mh.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, Link(2), mapping.Block{Multihash: id, Node: []byte("inline")})
	wantNoBlock(t, s, id)
}

func testVersions(t *testing.T, s mapping.Store) {
	v0, v1 := cid.NewCidV0(Multihash(7)), cid.NewCidV1(cid.DagProtobuf, Multihash(7))
	l := Link(7)
	l.CID = v0
	put(t, s, l)
	wantLink(t, s, v0, l)
	wantLink(t, s, v1, l)
	wantNoLink(t, s, CID(cid.Raw, 7))
	r, err := s.File(context.Background(), v1)
	if want := (mapping.Ref{Hash: l.Hash, CID: v0, Link: v0}); err != nil || r != want {
		t.Fatalf("file: got %v, %v; want %v", r, err, want)
	}
	if err := s.Delete(context.Background(), v1); err != nil {
		t.Fatal(err)
	}
	wantNoLink(t, s, v0)
	// An inline file is a link without rows.
	id, err := mh.Sum([]byte("inline"), mh.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	l = Link(8)
	l.CID, l.Blocks, l.Layout = cid.NewCidV1(cid.Raw, id), 0, [32]byte{}
	put(t, s, l)
	wantLink(t, s, l.CID, l)
}

func testKinds(t *testing.T, s mapping.Store) {
	big := bytes.Repeat([]byte{0xa5}, mapping.MaxBlock)
	long, err := mh.Encode(bytes.Repeat([]byte{7}, 128), mh.SHA2_512)
	if err != nil {
		t.Fatal(err)
	}
	blocks := []mapping.Block{
		{Multihash: Multihash(1)}, // the dag-pb node with nothing in it
		{Multihash: Multihash(2), Node: []byte{0}},
		{Multihash: Multihash(3), Node: big},
		{Multihash: Multihash(4), Blob: Hash(1)}, // the empty raw leaf
		{Multihash: Multihash(5), Blob: Hash(1), Offset: math.MaxInt64 - mapping.MaxBlock, Length: mapping.MaxBlock},
		{Multihash: Multihash(6), Blob: Hash(1), Offset: 1 << 40, Length: 262144, Prefix: []byte{10, 20}, Suffix: []byte{30}},
		{Multihash: Multihash(7), Blob: Hash(1), Prefix: []byte{1}},
		{Multihash: Multihash(8), Blob: Hash(1), Suffix: []byte{1}},
		{Multihash: Multihash(9), Blob: Hash(1), Length: 1, Prefix: big[:mapping.MaxBlock-1]},
		{Multihash: long, Blob: Hash(1), Length: 5},
	}
	put(t, s, Link(1), blocks...)
	for _, b := range blocks {
		wantBlock(t, s, b)
	}
	// The result is the caller's: changing it changes nothing.
	b, err := s.Block(context.Background(), Multihash(2))
	if err != nil {
		t.Fatal(err)
	}
	b.Node[0], b.Multihash[2] = 9, 9
	wantBlock(t, s, blocks[1])
}

func testInvalid(t *testing.T, s mapping.Store) {
	tx := begin(t, s)
	defer tx.Abort()
	for name, b := range map[string]mapping.Block{
		"no multihash":        {Blob: Hash(1)},
		"cut multihash":       {Multihash: Multihash(1)[:20], Blob: Hash(1)},
		"long multihash":      {Multihash: append(Multihash(1), make([]byte, 200)...), Blob: Hash(1)},
		"range of no blob":    {Multihash: Multihash(1), Offset: 1, Length: 1},
		"node and range":      {Multihash: Multihash(1), Blob: Hash(1), Node: []byte{1}},
		"node too large":      {Multihash: Multihash(1), Node: make([]byte, mapping.MaxBlock+1)},
		"leaf too large":      {Multihash: Multihash(1), Blob: Hash(1), Length: mapping.MaxBlock + 1},
		"length overflows":    {Multihash: Multihash(1), Blob: Hash(1), Length: math.MaxUint64, Prefix: []byte{1}},
		"wrapped leaf beyond": {Multihash: Multihash(1), Blob: Hash(1), Length: mapping.MaxBlock, Prefix: []byte{1}},
		"offset overflows":    {Multihash: Multihash(1), Blob: Hash(1), Offset: math.MaxInt64, Length: 1},
	} {
		if err := tx.Block(b); !errors.Is(err, mapping.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*mapping.Link){
		"no CID":         func(l *mapping.Link) { l.CID = cid.Undef },
		"no hash":        func(l *mapping.Link) { l.Hash = [32]byte{} },
		"no format":      func(l *mapping.Link) { l.Format = "" },
		"other format":   func(l *mapping.Link) { l.Format = "folder" },
		"long profile":   func(l *mapping.Link) { l.Profile = strings.Repeat("x", 65) },
		"too many notes": func(l *mapping.Link) { l.Notes = make([]string, mapping.MaxNotes+1) },
		"a long note":    func(l *mapping.Link) { l.Notes = []string{strings.Repeat("x", mapping.MaxNote+1)} },
	} {
		l := Link(1)
		change(&l)
		tx := begin(t, s)
		if err := tx.Commit(context.Background(), l); !errors.Is(err, mapping.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantNoLink(t, s, Link(1).CID)
	if _, err := s.Link(context.Background(), cid.Undef); !errors.Is(err, mapping.ErrInvalid) {
		t.Errorf("link of no CID: %v", err)
	}
	if _, err := s.Block(context.Background(), make([]byte, 1000)); err == nil {
		t.Error("block of a long multihash: no error")
	}
}

func testDelete(t *testing.T, s mapping.Store) {
	put(t, s, Link(1), Leaf(1), Node(2))
	put(t, s, Link(2), Leaf(3))
	if err := s.Delete(context.Background(), Link(1).CID); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		wantNoLink(t, s, Link(1).CID)
		wantNoBlock(t, s, Multihash(1))
		wantNoBlock(t, s, Multihash(2))
		wantReferenced(t, s, Hash(1), false)
		if _, err := s.File(context.Background(), Link(1).CID); !errors.Is(err, mapping.ErrNotFound) {
			t.Errorf("file: %v", err)
		}
		wantLink(t, s, Link(2).CID, Link(2))
		wantBlock(t, s, Leaf(3))
	}
	check()
	if err := s.Delete(context.Background(), Link(1).CID); !errors.Is(err, mapping.ErrNotFound) {
		t.Errorf("second delete: %v", err)
	}
	purge(t, s)
	check()
	put(t, s, Link(1), Leaf(1))
	wantLink(t, s, Link(1).CID, Link(1))
	wantBlock(t, s, Leaf(1))
	wantNoBlock(t, s, Multihash(2))
}

func testShared(t *testing.T, s mapping.Store) {
	// The same block as ranges of different blobs, so that we see whose row it is.
	row := func(n uint64) mapping.Block {
		return mapping.Block{Multihash: Multihash(1), Blob: Hash(n), Offset: n, Length: 10}
	}
	have := map[uint64]bool{}
	check := func() {
		t.Helper()
		b, err := s.Block(context.Background(), Multihash(1))
		if len(have) == 0 {
			wantNoBlock(t, s, Multihash(1))
		} else if err != nil || !have[b.Offset] || b.Blob != Hash(b.Offset) {
			t.Fatalf("got %v, %v; want a row of %v", b, err, have)
		}
	}
	for n := uint64(1); n <= 5; n++ {
		put(t, s, Link(n), row(n))
		have[n] = true
		check()
	}
	for i, n := range []uint64{5, 1, 3, 2, 4} { // newest, oldest, middle
		if err := s.Delete(context.Background(), Link(n).CID); err != nil {
			t.Fatal(err)
		}
		delete(have, n)
		check()
		if i%2 == 0 {
			purge(t, s)
			check()
		}
	}
}

func testReplace(t *testing.T, s mapping.Store) {
	put(t, s, Link(1), Leaf(1), Leaf(2))
	l := Link(1)
	l.Hash, l.Layout, l.Profile = Hash(50), Hash(51), "other"
	tx := begin(t, s)
	for _, b := range []mapping.Block{Leaf(2), Leaf(3)} {
		if err := tx.Block(b); err != nil {
			t.Fatal(err)
		}
	}
	wantLink(t, s, l.CID, Link(1))
	wantBlock(t, s, Leaf(1))
	wantNoBlock(t, s, Multihash(3))
	if err := tx.Commit(context.Background(), l); err != nil {
		t.Fatal(err)
	}
	for range 2 { // before and after the purge
		wantLink(t, s, l.CID, l)
		wantNoBlock(t, s, Multihash(1))
		wantBlock(t, s, Leaf(2))
		wantBlock(t, s, Leaf(3))
		wantReferenced(t, s, Hash(1), false)
		wantReferenced(t, s, Hash(50), true)
		wantReferenced(t, s, Hash(51), true)
		purge(t, s)
	}
	// The same multihash twice in one transaction: the later row counts.
	b := Leaf(9)
	b.Offset = 77
	put(t, s, Link(9), Leaf(9), b)
	wantBlock(t, s, b)
}

func testLinks(t *testing.T, s mapping.Store) {
	const n = 700
	for i := range uint64(n) {
		l := Link(i)
		if i%3 == 0 {
			l.CID = cid.NewCidV0(Multihash(i))
		}
		if i%50 == 0 {
			l.Notes = []string{strings.Repeat("n", mapping.MaxNote)}
		}
		put(t, s, l)
	}
	for i := uint64(0); i < n; i += 7 {
		put(t, s, Link(i)) // replaces it, or, for a CIDv0, is another link: raw
	}
	want := map[cid.Cid]bool{}
	for i := range uint64(n) {
		c := Link(i).CID
		if i%3 == 0 {
			want[cid.NewCidV0(c.Hash())] = true
		}
		if i%3 != 0 || i%7 == 0 {
			want[c] = true
		}
	}
	if err := s.Delete(context.Background(), Link(1).CID); err != nil {
		t.Fatal(err)
	}
	delete(want, Link(1).CID)
	for l, err := range s.Links(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if !want[l.CID] {
			t.Errorf("link %s: twice, or not there", l.CID)
		}
		delete(want, l.CID)
		// A caller may use the store meanwhile.
		wantLink(t, s, l.CID, l)
	}
	if len(want) != 0 {
		t.Errorf("%d links missing", len(want))
	}
	for range s.Links(context.Background()) {
		break
	}
}
