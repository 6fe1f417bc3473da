package mappingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/iroh-ipfs/bridge/mapping"
)

// Reopen runs the part of the contract that outlives a process: open opens the
// store in a folder, with what it held when it was closed.
func Reopen(t *testing.T, open func(t testing.TB, dir string) mapping.Store) {
	t.Run("what was committed is there again, and nothing else", func(t *testing.T) { testReopen(t, open) })
}

func testReopen(t *testing.T, open func(t testing.TB, dir string) mapping.Store) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, Link(1), Leaf(1), Node(2))
	put(t, s, Link(2), Leaf(1), Leaf(3))
	put(t, s, Link(3), Leaf(4))
	if err := s.Delete(ctx, Link(2).CID); err != nil {
		t.Fatal(err)
	}
	l := Link(3)
	l.Hash = Hash(33)
	put(t, s, l, Leaf(5))
	running := begin(t, s)
	for i := range uint64(5000) {
		if err := running.Block(Leaf(100 + i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := running.Ref(Hash(77), CID(cid.Raw, 77)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		wantLink(t, s, Link(1).CID, Link(1))
		wantNoLink(t, s, Link(2).CID)
		wantLink(t, s, l.CID, l)
		for _, b := range []mapping.Block{Leaf(1), Node(2), Leaf(5)} {
			wantBlock(t, s, b)
		}
		for _, n := range []uint64{3, 4, 100, 5099} {
			wantNoBlock(t, s, Multihash(n))
		}
		wantReferenced(t, s, Hash(77), false)
		if i == 1 {
			got := purge(t, s)
			for _, h := range [][32]byte{Hash(77), Hash(2), Hash(3), Link(2).Layout} {
				if got[h] != 1 {
					t.Errorf("orphan %x: called %d times", h[:4], got[h])
				}
			}
			if len(got) != 4 {
				t.Errorf("%d orphans", len(got))
			}
		}
	}
	put(t, s, Link(4), Leaf(100))
	wantBlock(t, s, Leaf(100))
	wantNoBlock(t, s, Multihash(101))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// modelTx is a transaction as the model sees it: its rows and references.
type modelTx struct {
	tx     mapping.Tx
	blocks map[string]mapping.Block
	refs   map[mapping.Ref]bool // Link is not set
	link   mapping.Link
}

// model is a slow and obvious store.
type model struct {
	t       *rapid.T
	open    func() mapping.Store
	s       mapping.Store
	links   map[cid.Cid]*modelTx // by canonical CID
	running []*modelTx
	dead    []*modelTx
}

// Model compares a store with a slow and obvious one, over random operations.
// open opens the store in a folder, with what it held when it was closed.
func Model(t *testing.T, open func(t testing.TB, dir string) mapping.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		m := &model{t: rt, open: func() mapping.Store { return open(t, dir) }, links: make(map[cid.Cid]*modelTx)}
		m.s = m.open()
		rt.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "block": m.block, "ref": m.ref, "commit": m.commit, "abort": m.abort,
			"delete": m.delete, "purge": m.purge, "reopen": m.reopen, "": m.check,
		})
		if err := m.s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func (m *model) fatal(what string, err error) {
	if err != nil {
		m.t.Fatalf("%s: %v", what, err)
	}
}

// pick chooses a running transaction, or skips the step.
func (m *model) pick(t *rapid.T) *modelTx {
	if len(m.running) == 0 {
		t.Skip("none runs")
	}
	return m.running[rapid.IntRange(0, len(m.running)-1).Draw(t, "tx")]
}

func (m *model) end(tx *modelTx) {
	m.running = slices.DeleteFunc(m.running, func(o *modelTx) bool { return o == tx })
}

// name draws one of a few CIDs: three links in both versions, and a raw one.
func name(t *rapid.T) cid.Cid {
	n := rapid.Uint64Range(0, 3).Draw(t, "link")
	switch rapid.IntRange(0, 2).Draw(t, "version") {
	case 0:
		return cid.NewCidV0(Multihash(n))
	case 1:
		return CID(cid.DagProtobuf, n)
	}
	return CID(cid.Raw, n)
}

func (m *model) begin(t *rapid.T) {
	if len(m.running) == 3 {
		t.Skip("enough run")
	}
	tx, err := m.s.Begin(context.Background())
	m.fatal("begin", err)
	m.running = append(m.running, &modelTx{tx: tx, blocks: make(map[string]mapping.Block), refs: make(map[mapping.Ref]bool)})
}

func (m *model) block(t *rapid.T) {
	tx := m.pick(t)
	b := mapping.Block{Multihash: Multihash(rapid.Uint64Range(0, 9).Draw(t, "block"))}
	if rapid.Bool().Draw(t, "leaf") {
		b.Blob, b.Offset, b.Length = Hash(1), rapid.Uint64Range(0, 1<<40).Draw(t, "offset"), 5
	} else {
		b.Node = rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "node")
	}
	m.fatal("block", tx.tx.Block(b))
	tx.blocks[string(b.Multihash)] = normal(b)
}

func (m *model) ref(t *rapid.T) {
	tx := m.pick(t)
	n := rapid.Uint64Range(0, 5).Draw(t, "hash")
	r := mapping.Ref{Hash: Hash(n)}
	if rapid.Bool().Draw(t, "file") {
		r.CID = CID(cid.Raw, 100+n)
	}
	m.fatal("ref", tx.tx.Ref(r.Hash, r.CID))
	tx.refs[r] = true
}

func (m *model) commit(t *rapid.T) {
	tx := m.pick(t)
	l := Link(rapid.Uint64Range(0, 5).Draw(t, "hash"))
	l.CID = name(t)
	if rapid.Bool().Draw(t, "folder") {
		l.Format = mapping.FormatCollection
	}
	m.fatal("commit", tx.tx.Commit(context.Background(), l))
	tx.link = l
	tx.refs[mapping.Ref{Hash: l.Hash, CID: l.CID}] = true
	tx.refs[mapping.Ref{Hash: l.Layout}] = true
	m.end(tx)
	if old := m.links[mapping.Canonical(l.CID)]; old != nil {
		m.dead = append(m.dead, old)
	}
	m.links[mapping.Canonical(l.CID)] = tx
}

func (m *model) abort(t *rapid.T) {
	tx := m.pick(t)
	m.fatal("abort", tx.tx.Abort())
	m.end(tx)
	m.dead = append(m.dead, tx)
}

func (m *model) delete(t *rapid.T) {
	c := name(t)
	err := m.s.Delete(context.Background(), c)
	old := m.links[mapping.Canonical(c)]
	if old == nil {
		if !errors.Is(err, mapping.ErrNotFound) {
			t.Fatalf("delete of nothing: %v", err)
		}
		return
	}
	m.fatal("delete", err)
	delete(m.links, mapping.Canonical(c))
	m.dead = append(m.dead, old)
}

func (m *model) referenced(hash [32]byte) bool {
	for _, tx := range slices.Concat(m.running, slices.Collect(maps.Values(m.links))) {
		for r := range tx.refs {
			if r.Hash == hash {
				return true
			}
		}
	}
	return false
}

func (m *model) purge(t *rapid.T) {
	want := make(map[[32]byte]bool)
	for _, tx := range m.dead {
		for r := range tx.refs {
			if !m.referenced(r.Hash) {
				want[r.Hash] = true
			}
		}
	}
	got := make(map[[32]byte]bool)
	m.fatal("orphans", m.s.Orphans(context.Background(), func(h [32]byte) error {
		if !want[h] || got[h] {
			return fmt.Errorf("orphan %x is listed", h[:4])
		}
		got[h] = true
		return nil
	}))
	if !maps.Equal(got, want) {
		t.Fatalf("orphans: listed %x, want %x", slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(want)))
	}
	clear(got)
	m.fatal("purge", m.s.Purge(context.Background(), func(h [32]byte) error {
		if got[h] {
			return fmt.Errorf("orphan %x twice", h[:4])
		}
		got[h] = true
		return nil
	}))
	if !maps.Equal(got, want) {
		t.Fatalf("orphans: got %x, want %x", slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(want)))
	}
	m.dead = nil
}

func (m *model) reopen(*rapid.T) {
	m.fatal("close", m.s.Close())
	m.s = m.open()
	m.dead = append(m.dead, m.running...)
	m.running = nil
}

// check compares everything that can be seen.
func (m *model) check(t *rapid.T) {
	m.checkBlocks(t)
	m.checkLinks(t)
	for n := range uint64(6) {
		m.checkHash(t, Hash(n))
		m.checkFile(t, CID(cid.Raw, 100+n))
	}
}

func (m *model) checkBlocks(t *rapid.T) {
	for n := range uint64(10) {
		key := Multihash(n)
		var want []mapping.Block
		for _, tx := range m.links {
			if b, ok := tx.blocks[string(key)]; ok {
				want = append(want, b)
			}
		}
		got, err := m.s.Block(context.Background(), Multihash(n))
		if len(want) == 0 {
			if !errors.Is(err, mapping.ErrNotFound) {
				t.Fatalf("block %d: got %v, %v; want not found", n, got, err)
			}
			continue
		}
		m.fatal("block", err)
		if !slices.ContainsFunc(want, func(b mapping.Block) bool { return sameBlock(b, normal(got)) }) {
			t.Fatalf("block %d: got %v, want one of %v", n, got, want)
		}
	}
}

func sameBlock(a, b mapping.Block) bool {
	return bytes.Equal(a.Multihash, b.Multihash) && bytes.Equal(a.Node, b.Node) && a.Blob == b.Blob &&
		a.Offset == b.Offset && a.Length == b.Length && bytes.Equal(a.Prefix, b.Prefix) && bytes.Equal(a.Suffix, b.Suffix)
}

func (m *model) checkLinks(t *rapid.T) {
	seen := 0
	for l, err := range m.s.Links(context.Background()) {
		m.fatal("links", err)
		tx := m.links[mapping.Canonical(l.CID)]
		if tx == nil || tx.link.CID != l.CID || tx.link.Hash != l.Hash {
			t.Fatalf("links: unexpected %v", l)
		}
		seen++
	}
	if seen != len(m.links) {
		t.Fatalf("links: %d, want %d", seen, len(m.links))
	}
	for n := range uint64(4) {
		for _, c := range []cid.Cid{cid.NewCidV0(Multihash(n)), CID(cid.DagProtobuf, n), CID(cid.Raw, n)} {
			l, err := m.s.Link(context.Background(), c)
			tx := m.links[mapping.Canonical(c)]
			if tx == nil {
				if !errors.Is(err, mapping.ErrNotFound) {
					t.Fatalf("link %s: got %v, %v; want not found", c, l, err)
				}
				continue
			}
			m.fatal("link", err)
			if l.CID != tx.link.CID || l.Hash != tx.link.Hash || l.Format != tx.link.Format {
				t.Fatalf("link %s: got %v, want %v", c, l, tx.link)
			}
		}
	}
}

func (m *model) checkHash(t *rapid.T, hash [32]byte) {
	got, err := m.s.Referenced(context.Background(), hash)
	m.fatal("referenced", err)
	if want := m.referenced(hash); got != want {
		t.Fatalf("referenced %x: %v", hash[:4], got)
	}
	want := make(map[mapping.Ref]bool)
	for _, tx := range m.links {
		for r := range tx.refs {
			if r.Hash == hash && r.CID.Defined() {
				r.Link = tx.link.CID
				want[r] = true
			}
		}
	}
	refs, err := m.s.Refs(context.Background(), hash)
	m.fatal("refs", err)
	seen := make(map[mapping.Ref]bool)
	for _, r := range refs {
		seen[r] = true
	}
	if len(seen) != len(refs) || !maps.Equal(seen, want) {
		t.Fatalf("refs of %x: got %v, want %v", hash[:4], refs, want)
	}
}

func (m *model) checkFile(t *rapid.T, c cid.Cid) {
	want := make(map[mapping.Ref]bool)
	for _, tx := range m.links {
		for r := range tx.refs {
			if r.CID == c {
				r.Link = tx.link.CID
				want[r] = true
			}
		}
	}
	got, err := m.s.File(context.Background(), c)
	if len(want) == 0 {
		if !errors.Is(err, mapping.ErrNotFound) {
			t.Fatalf("file %s: got %v, %v; want not found", c, got, err)
		}
		return
	}
	m.fatal("file", err)
	if !want[got] {
		t.Fatalf("file %s: got %v, want one of %v", c, got, want)
	}
}
