package scrub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/pebble"
)

var errHash = errors.New("the bytes are not the block's")

// place is a store and a mapping with links in them, and a scrubber over both.
type place struct {
	*Scrubber
	t     *testing.T
	dir   string // the store's
	held  int    // holds that were not released
	holds int
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	s, err := store.Open(p.dir, store.Config{})
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
		if p.held != 0 {
			t.Errorf("%d holds were not released", p.held)
		}
	})
	p.Scrubber = &Scrubber{
		Store: s, Mapping: m, Register: recording.NewRegister(s, m), Source: source{s}, Logger: slog.New(slog.DiscardHandler),
		Hold: func(ctx context.Context) (func(), error) {
			p.held++
			p.holds++
			return func() { p.held-- }, ctx.Err()
		},
	}
	return p
}

// source reads from a store alone.
type source struct{ s *store.Store }

func (s source) ReadBlock(b mapping.Block) ([]byte, bool, error) {
	if b.IsNode() {
		return b.Node, false, nil
	}
	blob, err := s.s.Open(b.Blob)
	if err != nil {
		return nil, false, err
	}
	defer blob.Close()
	data := make([]byte, b.Length)
	if _, err := blob.ReadAt(data, int64(b.Offset)); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	return slices.Concat(b.Prefix, data, b.Suffix), false, nil
}

func (source) CheckBlock(c cid.Cid, data []byte) error {
	if got, err := c.Prefix().Sum(data); err != nil || !got.Equals(c) {
		return errors.Join(errHash, err)
	}
	return nil
}

func (source) Explain(hash bao.Hash, err error) error { return fmt.Errorf("blob %s: %w", hash, err) }

// content is bytes that are a file of the store: more than it keeps in its database.
func content(name string) []byte { return []byte(strings.Repeat(name+" ", 50_000/(len(name)+1))) }

// link links a folder of files; the profile has leaves without dag-pb, so each is one block.
func (p *place) link(names ...string) mapping.Link {
	t := p.t
	t.Helper()
	profile, err := unixfs.ProfileByName("unixfs-v1-2025")
	if err != nil {
		t.Fatal(err)
	}
	r, err := recording.Begin(t.Context(), p.Register, &profile)
	if err != nil {
		t.Fatal(err)
	}
	d := unixfs.NewDirectory(profile, r)
	for _, name := range names {
		data := content(name)
		w, err := p.Store.NewWriter(uint64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		f := r.BeginFile(uint64(len(data)))
		leaf, err := profile.Leaf(data)
		if err == nil {
			err = errors.Join(w.Add(bao.HashPiece(data, 0, uint64(len(data))), data), f.Add([]unixfs.Leaf{leaf}))
		}
		if err != nil {
			t.Fatal(err)
		}
		e, err := r.EndFile(t.Context(), name, f, w)
		if err == nil {
			err = d.Add(name, e)
		}
		if err != nil {
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
	if committed, err := r.End(); !committed || err != nil {
		t.Fatal(committed, err)
	}
	return l
}

// flip changes a bit of a file's blob on disk.
func (p *place) flip(name string) {
	p.t.Helper()
	hash := bao.Sum(content(name)).String()
	path := filepath.Join(p.dir, "data", hash[:2], hash+".data")
	data, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// lose takes a link out of the mapping, as if that had been damaged.
func (p *place) lose(l mapping.Link) {
	p.t.Helper()
	if err := p.Mapping.Delete(p.t.Context(), l.CID); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) isLinked(l mapping.Link) bool {
	p.t.Helper()
	got, err := p.Mapping.Link(p.t.Context(), l.CID)
	if err != nil && !errors.Is(err, mapping.ErrNotFound) {
		p.t.Fatal(err)
	}
	return err == nil && got.Layout == l.Layout && got.Hash == l.Hash
}

// find runs one of the scrubber's ways and returns what it says.
func (p *place) find(run func(yield func(Finding) error) error) []Finding {
	p.t.Helper()
	var all []Finding
	if err := run(func(f Finding) error { all = append(all, f); return nil }); err != nil {
		p.t.Fatal(err)
	}
	return all
}

func (p *place) links(repair bool) []Finding {
	p.t.Helper()
	return p.find(func(yield func(Finding) error) error {
		return p.Links(p.t.Context(), repair, silent{}, yield)
	})
}

// heard is a Progress.
type heard struct {
	items []string
	bytes uint64
}

func (h *heard) Item(name string, _ int64) { h.items = append(h.items, name) }
func (h *heard) Bytes(n uint64)            { h.bytes += n }

func TestGoodLinks(t *testing.T) {
	p := newPlace(t)
	one, two := p.link("a", "b", "c"), p.link("b")
	var h heard
	for _, repair := range []bool{false, true} {
		h = heard{}
		found := p.find(func(yield func(Finding) error) error { return p.Links(t.Context(), repair, &h, yield) })
		if len(found) != 2 {
			t.Fatalf("%+v", found)
		}
		for _, f := range found {
			if !f.OK || f.Repaired || f.Restored || f.Problems != nil {
				t.Errorf("%+v", f)
			}
		}
	}
	slices.Sort(h.items)
	want := []string{one.CID.String(), two.CID.String()}
	slices.Sort(want)
	if !slices.Equal(h.items, want) || h.bytes != one.Size+two.Size {
		t.Errorf("heard of %v, %d bytes", h.items, h.bytes)
	}
}

// TestDamage: what is wrong with the bytes is found and named, in the links that have them and no others, and nothing makes it good.
func TestDamage(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(p *place, l mapping.Link) error
		named func(l mapping.Link) bao.Hash
	}{
		"bit of a file": {func(p *place, _ mapping.Link) error { p.flip("b"); return nil }, func(mapping.Link) bao.Hash { return bao.Sum(content("b")) }},
		"no file": {func(p *place, _ mapping.Link) error { return p.Store.Delete(bao.Sum(content("b"))) },
			func(mapping.Link) bao.Hash { return bao.Sum(content("b")) }},
		"no hash sequence": {func(p *place, l mapping.Link) error { return p.Store.Delete(l.Hash) }, func(l mapping.Link) bao.Hash { return l.Hash }},
		"no layout":        {func(p *place, l mapping.Link) error { return p.Store.Delete(l.Layout) }, func(l mapping.Link) bao.Hash { return l.Layout }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			bad, good := p.link("a", "b", "c"), p.link("d")
			if err := c.do(p, bad); err != nil {
				t.Fatal(err)
			}
			for _, repair := range []bool{false, true, false} {
				for _, f := range p.links(repair) {
					if f.CID == good.CID.String() {
						if !f.OK {
							t.Errorf("%+v", f)
						}
						continue
					}
					if f.OK || f.Repaired || len(f.Problems) == 0 || !strings.Contains(strings.Join(f.Problems, "\n"), c.named(bad).String()) {
						t.Errorf("%+v does not name %s", f, c.named(bad))
					}
				}
			}
		})
	}
}

// TestWrongRows: rows of the index that give other bytes, or are not there, are written again from the layout.
func TestWrongRows(t *testing.T) {
	for _, missing := range []bool{true, false} {
		p := newPlace(t)
		l := p.link("a", "b")
		leaf, err := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum(content("a"))
		if err != nil {
			t.Fatal(err)
		}
		tx, err := p.Mapping.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.references(tx, l); err != nil {
			t.Fatal(err)
		}
		if !missing {
			row := mapping.Block{Multihash: leaf.Hash(), Blob: bao.Sum(content("b")), Length: 100}
			if err := tx.Block(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if f := p.links(false); len(f) != 1 || f[0].OK || f[0].Repaired || !strings.Contains(f[0].Problems[0], "3 blocks are missing from the index") {
			t.Errorf("missing %v: %+v", missing, f)
		}
		if f := p.links(true); len(f) != 1 || !f[0].OK || !f[0].Repaired {
			t.Errorf("missing %v: %+v", missing, f)
		}
		if f := p.links(false); len(f) != 1 || !f[0].OK || f[0].Repaired {
			t.Errorf("missing %v: %+v", missing, f)
		}
		if row, err := p.Mapping.Block(t.Context(), leaf.Hash()); err != nil || row.Blob != bao.Sum(content("a")) {
			t.Errorf("missing %v: %+v, %v", missing, row, err)
		}
	}
}

// TestRestore: a link that the mapping has lost is missed, and comes back with its rows.
func TestRestore(t *testing.T) {
	p := newPlace(t)
	lost, kept := p.link("a", "b"), p.link("c")
	p.lose(lost)
	if gone, err := p.Missing(t.Context()); err != nil || !slices.Equal(gone, []bao.Hash{lost.Layout}) {
		t.Errorf("missing %v, %v", gone, err)
	}
	said := p.find(func(yield func(Finding) error) error { return p.Lost(t.Context(), yield) })
	if len(said) != 1 || said[0].OK || said[0].CID != lost.CID.String() || p.isLinked(lost) {
		t.Errorf("%+v", said)
	}
	restore := func() []Finding {
		return p.find(func(yield func(Finding) error) error { return p.Restore(t.Context(), silent{}, yield) })
	}
	if f := restore(); len(f) != 1 || !f[0].OK || !f[0].Restored || f[0].CID != lost.CID.String() {
		t.Errorf("%+v", f)
	}
	if !p.isLinked(lost) || !p.isLinked(kept) || p.holds != 1 {
		t.Errorf("linked %v and %v, %d holds", p.isLinked(lost), p.isLinked(kept), p.holds)
	}
	for _, f := range p.links(false) {
		if !f.OK {
			t.Errorf("%+v", f)
		}
	}
	if f := restore(); len(f) != 0 {
		t.Errorf("again: %+v", f)
	}
}

// TestBadBytesDoNotComeBack: a lost link whose bytes do not verify stays lost, for the audit too, until they do.
func TestBadBytesDoNotComeBack(t *testing.T) {
	p := newPlace(t)
	l := p.link("a", "b")
	p.lose(l)
	p.flip("b")
	f := p.find(func(yield func(Finding) error) error { return p.Restore(t.Context(), silent{}, yield) })
	if len(f) != 1 || f[0].OK || f[0].Restored || !strings.Contains(strings.Join(f[0].Problems, "\n"), bao.Sum(content("b")).String()) {
		t.Errorf("%+v", f)
	}
	if lost, err := p.Audit(t.Context()); lost != 1 || err != nil || p.isLinked(l) {
		t.Errorf("the audit counts %d, %v; linked %v", lost, err, p.isLinked(l))
	}
	p.flip("b")
	f = p.find(func(yield func(Finding) error) error { return p.Restore(t.Context(), silent{}, yield) })
	if len(f) != 1 || !f[0].Restored || !p.isLinked(l) {
		t.Errorf("%+v, linked %v", f, p.isLinked(l))
	}
	if doubted, err := p.Register.Doubted(l.Layout); doubted || err != nil {
		t.Errorf("still in doubt: %v", err)
	}
}

// TestAudit brings back what is there without reading it, and counts what is not.
func TestAudit(t *testing.T) {
	p := newPlace(t)
	unread, gone := p.link("a"), p.link("b", "c")
	p.lose(unread)
	p.lose(gone)
	p.flip("a")
	if err := p.Store.Delete(bao.Sum(content("c"))); err != nil {
		t.Fatal(err)
	}
	if lost, err := p.Audit(t.Context()); lost != 1 || err != nil {
		t.Errorf("%d lost, %v", lost, err)
	}
	if !p.isLinked(unread) || p.isLinked(gone) {
		t.Errorf("linked %v and %v", p.isLinked(unread), p.isLinked(gone))
	}
}

// TestLookalike: what is not in the register makes no link, whatever it looks like.
func TestLookalike(t *testing.T) {
	p := newPlace(t)
	l := p.link("a")
	if err := p.Register.Delete(t.Context(), l.CID); err != nil {
		t.Fatal(err)
	}
	if lost, err := p.Audit(t.Context()); lost != 0 || err != nil || p.isLinked(l) {
		t.Errorf("%d lost, %v; linked %v", lost, err, p.isLinked(l))
	}
	if f := p.find(func(yield func(Finding) error) error { return p.Restore(t.Context(), silent{}, yield) }); len(f) != 0 {
		t.Errorf("%+v", f)
	}
}

// TestForget: a lost link is given up by any of its names, even if its layout cannot be read any more, and its blobs are the next purge's.
func TestForget(t *testing.T) {
	for name, c := range map[string]struct {
		by     func(l mapping.Link) (cid.Cid, bao.Hash)
		broken bool
	}{
		"CID":               {by: func(l mapping.Link) (cid.Cid, bao.Hash) { return l.CID, bao.Hash{} }},
		"hash":              {by: func(l mapping.Link) (cid.Cid, bao.Hash) { return cid.Undef, l.Hash }},
		"layout":            {by: func(l mapping.Link) (cid.Cid, bao.Hash) { return cid.Undef, l.Layout }},
		"unreadable layout": {by: func(l mapping.Link) (cid.Cid, bao.Hash) { return cid.Undef, l.Layout }, broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			l, kept := p.link("a", "b"), p.link("b", "c")
			p.lose(l)
			p.lose(kept)
			if c.broken {
				if err := p.Store.Delete(l.Layout); err != nil {
					t.Fatal(err)
				}
			}
			if _, found, err := p.Forget(t.Context(), cid.Undef, bao.Sum([]byte("unknown"))); found || err != nil {
				t.Fatalf("found %v, %v", found, err)
			}
			root, hash := c.by(l)
			got, found, err := p.Forget(t.Context(), root, hash)
			if !found || err != nil || !c.broken && got.CID != l.CID {
				t.Fatalf("%+v, found %v, %v", got, found, err)
			}
			if gone, err := p.Missing(t.Context()); err != nil || !slices.Equal(gone, []bao.Hash{kept.Layout}) {
				t.Errorf("missing %v, %v", gone, err)
			}
			if lost, err := p.Audit(t.Context()); lost != 0 || err != nil || p.isLinked(l) || !p.isLinked(kept) {
				t.Errorf("%d lost, %v", lost, err)
			}
			var orphans []bao.Hash
			if err := p.Mapping.Purge(t.Context(), func(h [32]byte) error { orphans = append(orphans, h); return nil }); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(orphans, bao.Sum(content("b"))) || slices.Contains(orphans, kept.Layout) {
				t.Error("what the other link needs is an orphan")
			}
			if !slices.Contains(orphans, bao.Sum(content("a"))) || !slices.Contains(orphans, l.Layout) {
				t.Errorf("orphans %v", orphans)
			}
		})
	}
}

// TestProblemsAreBounded: of many, the first are named and the others counted.
func TestProblemsAreBounded(t *testing.T) {
	p := newPlace(t)
	var names []string
	for i := range maxProblems + 10 {
		names = append(names, fmt.Sprintf("file %d", i))
	}
	p.link(names...)
	for _, name := range names {
		if err := p.Store.Delete(bao.Sum(content(name))); err != nil {
			t.Fatal(err)
		}
	}
	f := p.links(false)
	if len(f) != 1 || len(f[0].Problems) != maxProblems || f[0].Problems[maxProblems-1] != "and 11 more" {
		t.Errorf("%+v", f)
	}
}

// TestStops: the caller's errors and the context's come as they are, and nothing is linked after them.
func TestStops(t *testing.T) {
	p := newPlace(t)
	one, two := p.link("a"), p.link("b")
	p.lose(one)
	p.lose(two)
	enough := errors.New("enough")
	seen := 0
	yield := func(Finding) error { seen++; return enough }
	if err := p.Lost(t.Context(), yield); !errors.Is(err, enough) || seen != 1 {
		t.Errorf("%d found, %v", seen, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Restore(ctx, silent{}, yield); !errors.Is(err, context.Canceled) || p.isLinked(one) || p.isLinked(two) {
		t.Errorf("%v", err)
	}
	p.held = 0 // a Hold that fails has nothing to release
	if err := p.Restore(t.Context(), silent{}, yield); !errors.Is(err, enough) || seen != 2 || p.isLinked(one) == p.isLinked(two) {
		t.Errorf("%d found, %v", seen, err)
	}
	if err := p.Links(t.Context(), false, silent{}, yield); !errors.Is(err, enough) || seen != 3 {
		t.Errorf("%d found, %v", seen, err)
	}
	if err := p.Links(ctx, false, silent{}, yield); !errors.Is(err, context.Canceled) || seen != 3 {
		t.Errorf("%d found, %v", seen, err)
	}
}
