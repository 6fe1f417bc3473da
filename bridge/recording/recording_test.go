package recording

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/layout"
	"github.com/iroh-ipfs/bridge/mapping/pebble"
)

func stores(t *testing.T) (*store.Store, mapping.Store) {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := pebble.Open(t.TempDir(), pebble.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, m
}

// put records one small file.
func put(t *testing.T, s *store.Store, r *Recording, name string, data []byte) unixfs.Entry {
	t.Helper()
	w, err := s.NewWriter(uint64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	f := r.BeginFile(uint64(len(data)))
	leaf, err := r.Profile().Leaf(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Add(bao.HashPiece(data, 0, uint64(len(data))), data), f.Add([]unixfs.Leaf{leaf})); err != nil {
		t.Fatal(err)
	}
	e, err := r.EndFile(t.Context(), name, f, w)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func begin(t *testing.T, s *store.Store, m mapping.Store) *Recording {
	t.Helper()
	p, err := unixfs.ProfileByName("unixfs-v1-2025")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Begin(t.Context(), NewRegister(s, m), &p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNothingIsVisibleBeforeCommit, and everything after it; blobs are referred to from the start.
func TestNothingIsVisibleBeforeCommit(t *testing.T) {
	s, m := stores(t)
	r := begin(t, s, m)
	e := put(t, s, r, "f", []byte("hello"))
	hash := bao.Sum([]byte("hello"))
	if ok, err := m.Referenced(t.Context(), hash); err != nil || !ok {
		t.Errorf("the blob is not protected: %v", err)
	}
	unseen := func() {
		t.Helper()
		if _, err := m.Block(t.Context(), e.CID.Hash()); !errors.Is(err, mapping.ErrNotFound) {
			t.Errorf("block: %v", err)
		}
		if _, err := m.Link(t.Context(), e.CID); !errors.Is(err, mapping.ErrNotFound) {
			t.Errorf("link: %v", err)
		}
	}
	unseen()
	if committed, err := r.End(); committed || err != nil {
		t.Errorf("%v, %v", committed, err)
	}
	unseen()
	r = begin(t, s, m)
	put(t, s, r, "f", []byte("hello"))
	l, err := r.Commit(t.Context(), e.CID, false)
	if err != nil {
		t.Fatal(err)
	}
	if committed, err := r.End(); !committed || err != nil {
		t.Errorf("%v, %v", committed, err)
	}
	if l.Hash != hash || l.Format != mapping.FormatBlob || l.Size != 5 || l.Blocks != 1 || l.Profile != "unixfs-v1-2025" {
		t.Errorf("%+v", l)
	}
	b, err := m.Block(t.Context(), e.CID.Hash())
	if err != nil || b.Blob != hash || b.Length != 5 {
		t.Errorf("%+v, %v", b, err)
	}
	// The layout says all of it again, with the link at its end.
	var kinds []layout.Kind
	if err := Replay(s, l, func(rec layout.Record) error { kinds = append(kinds, rec.Kind); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []layout.Kind{layout.Leaf, layout.File, layout.End}; !slices.Equal(kinds, want) {
		t.Errorf("layout of %v, want %v", kinds, want)
	}
}

func TestCollectionIsSortedAndItsNamesAreSayable(t *testing.T) {
	s, m := stores(t)
	r := begin(t, s, m)
	d := unixfs.NewDirectory(*r.Profile(), r)
	for _, name := range []string{"z", `a\b`, "a"} {
		if err := d.Add(name, put(t, s, r, name, []byte(name))); err != nil {
			t.Fatal(err)
		}
	}
	root, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Commit(t.Context(), root.CID, true)
	if err != nil {
		t.Fatal(err)
	}
	want := blobs.Collection{Names: []string{"a", "a%5Cb", "z"}, Hashes: []bao.Hash{bao.Sum([]byte("a")), bao.Sum([]byte(`a\b`)), bao.Sum([]byte("z"))}}
	if l.Hash != bao.Sum(want.HashSeq(bao.Sum(want.Meta()))) || l.Format != mapping.FormatCollection || len(l.Notes) != 1 {
		t.Errorf("%+v", l)
	}
	for _, h := range append(want.Hashes, bao.Sum(want.Meta()), l.Hash, l.Layout) {
		if ok, err := m.Referenced(t.Context(), h); err != nil || !ok {
			t.Errorf("%s is not referred to: %v", h, err)
		}
	}
}

func TestNamesThatCollide(t *testing.T) {
	s, m := stores(t)
	r := begin(t, s, m)
	defer r.End()
	for _, name := range []string{`a\b`, "a%5Cb"} {
		put(t, s, r, name, []byte(name))
	}
	if _, err := r.Commit(t.Context(), anyCID(t), true); !errors.Is(err, ErrContent) {
		t.Errorf("got %v", err)
	}
}

func TestLimits(t *testing.T) {
	s, m := stores(t)
	r := begin(t, s, m)
	defer r.End()
	if err := r.Count(MaxEntries); err != nil {
		t.Error(err)
	}
	if err := r.Count(1); !errors.Is(err, ErrContent) {
		t.Errorf("got %v", err)
	}
	put(t, s, r, "f", nil)
	for i := range 5000 {
		r.Note(fmt.Sprint("symlink ", i))
	}
	l, err := r.Commit(t.Context(), anyCID(t), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Notes) != mapping.MaxNotes || l.Notes[mapping.MaxNotes-1] != "and 4001 more" {
		t.Errorf("%d notes, the last %q", len(l.Notes), l.Notes[len(l.Notes)-1])
	}
}

func anyCID(t *testing.T) cid.Cid {
	t.Helper()
	sum, err := mh.Sum([]byte("any"), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, sum)
}

func TestCollectionName(t *testing.T) {
	for path, want := range map[string]string{
		"plain/ä.txt": "plain/ä.txt", "100%": "100%", `a\b`: "a%5Cb", "x/\xff\xfe": "x/%FF%FE", "c:x": "c%3Ax", "\uFFFD\xff": "\uFFFD%FF",
	} {
		got, changed := collectionName(path)
		if got != want || changed != (got != path) {
			t.Errorf("%q became %q, %v; want %q", path, got, changed, want)
		}
		if err := blobs.ValidName(got); err != nil {
			t.Errorf("%q: %v", got, err)
		}
	}
}
