package keeping

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	return openAt(t, t.TempDir())
}

func openAt(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s *store.Store, data string) bao.Hash {
	t.Helper()
	h, err := s.Put(context.Background(), []byte(data))
	must(t, err)
	return h
}

func folder(t *testing.T, s *store.Store, files ...string) (root, meta bao.Hash) {
	t.Helper()
	var c blobs.Collection
	for _, f := range files {
		c.Names, c.Hashes = append(c.Names, f), append(c.Hashes, put(t, s, f))
	}
	meta = put(t, s, string(c.Meta()))
	return put(t, s, string(c.HashSeq(meta))), meta
}

// drop finds what has a hash and drops it.
func drop(k *Keeper, hash bao.Hash, going func([]bao.Hash) error) ([]Item, error) {
	items, err := k.Find(hash)
	if err != nil {
		return nil, err
	}
	return items, k.Drop(items, going)
}

func TestWhatIsKeptIsHeldWithItsChildren(t *testing.T) {
	s := open(t)
	k := New(s)
	root, meta := folder(t, s, "one", "twotwo")
	blob, other := put(t, s, "three"), put(t, s, "nobody's")
	must(t, k.Keep(root, ticket.HashSeq))
	must(t, k.Keep(blob, ticket.Raw))
	held, err := k.Held()
	must(t, err)
	for _, h := range []bao.Hash{root, meta, bao.Sum([]byte("one")), bao.Sum([]byte("twotwo")), blob} {
		if !held.Has(h) {
			t.Errorf("%s is not held", h)
		}
	}
	if held.Has(other) || len(held) != 5 {
		t.Errorf("%d are held", len(held))
	}
	have, err := k.Have(Item{Hash: root, Format: ticket.HashSeq})
	if want := (Have{Collection: true, Complete: true, Size: 9, Bytes: 9}); err != nil || have != want {
		t.Errorf("%+v, %v", have, err)
	}
	must(t, s.Delete(bao.Sum([]byte("one"))))
	if have, err := k.Have(Item{Hash: root, Format: ticket.HashSeq}); err != nil || have.Complete || have.Bytes != 6 {
		t.Errorf("with a child missing: %+v, %v", have, err)
	}
	if have, err := k.Have(Item{Hash: other}); err != nil || have != (Have{Complete: true, Size: 8, Bytes: 8}) {
		t.Errorf("a blob: %+v, %v", have, err)
	}
}

func TestPushes(t *testing.T) {
	s := open(t)
	k := New(s)
	alice, bob := key.SecretKeyFromSeed([32]byte{1}).ID(), key.SecretKeyFromSeed([32]byte{2}).ID()
	root, meta := folder(t, s, "one", "shared")
	second, meta2 := folder(t, s, "shared", "x")
	stray := put(t, s, "cut short")
	mark := func(hashes ...bao.Hash) {
		for _, h := range hashes {
			must(t, s.SetTag(provider.PushTag+h.String(), h, ticket.Raw))
		}
	}
	mark(root, meta, bao.Sum([]byte("one")), bao.Sum([]byte("shared")), second, meta2, bao.Sum([]byte("x")), stray)
	must(t, k.Pushed(alice, root, ticket.Raw)) // the first request had the root alone
	must(t, k.Pushed(alice, root, ticket.HashSeq))
	must(t, k.Pushed(alice, root, ticket.Raw))
	must(t, k.Pushed(bob, second, ticket.HashSeq))
	items, err := k.Items()
	must(t, err)
	for i := range items {
		items[i].tag = ""
	}
	want := []Item{{Hash: root, Format: ticket.HashSeq, Pushed: true, By: alice}, {Hash: second, Format: ticket.HashSeq, Pushed: true, By: bob}}
	if alice.String() > bob.String() {
		slices.Reverse(want)
	}
	if want = append(want, Item{Hash: stray, Pushed: true}); !slices.Equal(items, want) {
		t.Fatalf("%+v, want %+v", items, want)
	}
	if items, err := k.Find(meta); err != nil || len(items) != 0 {
		t.Errorf("part of what was pushed: %+v, %v", items, err)
	}
	var going []bao.Hash
	dropped, err := drop(k, root, func(h []bao.Hash) error { going = h; return nil })
	if err != nil || len(dropped) != 1 || len(going) != 4 {
		t.Fatalf("%+v, %v, %v", dropped, going, err)
	}
	left := map[string]bool{}
	for tag, err := range s.Tags() {
		must(t, err)
		left[tag.Name] = true
	}
	for h, want := range map[bao.Hash]bool{root: false, meta: false, bao.Sum([]byte("one")): false, bao.Sum([]byte("shared")): true, second: true, stray: true} {
		if left[provider.PushTag+h.String()] != want {
			t.Errorf("%s counts against the quota: %v, want %v", h, !want, want)
		}
	}
	if dropped, err := drop(k, stray, func([]bao.Hash) error { return nil }); err != nil || len(dropped) != 1 {
		t.Errorf("the stray: %v, %v", dropped, err)
	}
	if dropped, err := drop(k, root, func([]bao.Hash) error { return nil }); err != nil || len(dropped) != 0 {
		t.Errorf("again: %v, %v", dropped, err)
	}
}

// TestAStrangersSequence that is none is one blob.
func TestAStrangersSequence(t *testing.T) {
	s := open(t)
	k := New(s)
	h := put(t, s, "not a multiple of 32 bytes")
	must(t, k.Pushed(key.SecretKeyFromSeed([32]byte{1}).ID(), h, ticket.HashSeq))
	held, err := k.Held()
	if err != nil || len(held) != 1 || !held.Has(h) {
		t.Errorf("%v, %v", held, err)
	}
}

// TestADamagedSequence locks up nothing but itself: all is listed, it and others can be dropped, and what is held nobody claims to know.
func TestADamagedSequence(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"gone": os.Remove,
		"flipped": func(file string) error {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			data[32*100] ^= 1 // a child
			return os.WriteFile(file, data, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := store.Open(dir, store.Config{})
			must(t, err)
			files := make([]string, 3000)
			for i := range files {
				files[i] = strconv.Itoa(i)
			}
			root, _ := folder(t, s, files...)
			other, _ := folder(t, s, "one")
			must(t, New(s).Keep(root, ticket.HashSeq))
			must(t, New(s).Keep(other, ticket.HashSeq))
			must(t, New(s).Pushed(key.SecretKeyFromSeed([32]byte{1}).ID(), other, ticket.HashSeq))
			must(t, s.Sync(t.Context()))
			must(t, s.Close())
			found, err := filepath.Glob(filepath.Join(dir, "data", "*", root.String()+".data"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			must(t, damage(found[0]))

			k := New(openAt(t, dir))
			if items, err := k.Items(); err != nil || len(items) != 3 {
				t.Errorf("%+v, %v", items, err)
			}
			if have, err := k.Have(Item{Hash: root, Format: ticket.HashSeq}); err != nil || have.Complete || !have.Damaged {
				t.Errorf("%+v, %v", have, err)
			}
			if _, err := k.Held(); !errors.Is(err, ErrDamaged) {
				t.Errorf("what it holds is known: %v", err)
			}
			if dropped, err := drop(k, other, func([]bao.Hash) error { return nil }); err != nil || len(dropped) != 2 {
				t.Errorf("another: %+v, %v", dropped, err)
			}
			var going []bao.Hash
			if dropped, err := drop(k, root, func(all []bao.Hash) error { going = all; return nil }); err != nil || len(dropped) != 1 || !slices.Equal(going, []bao.Hash{root}) {
				t.Errorf("%+v, %v, %v", dropped, going, err)
			}
			if held, err := k.Held(); err != nil || len(held) != 0 {
				t.Errorf("%v, %v", held, err)
			}
		})
	}
}

// TestSweepSeesWhatComesToBeKept after it has begun: a fetch, a push that found all of it here, and one that is under way.
func TestSweepSeesWhatComesToBeKept(t *testing.T) {
	s := open(t)
	k := New(s)
	alice := key.SecretKeyFromSeed([32]byte{1}).ID()
	first, fetched, marked := put(t, s, "first"), put(t, s, "fetched"), put(t, s, "marked")
	root, meta := folder(t, s, "one")
	sweep := k.Sweep()
	removes := func(h bao.Hash) (removed bool) {
		must(t, sweep.Orphan(h, func() error { removed = true; return nil }))
		return removed
	}
	if !removes(first) {
		t.Error("what nobody keeps stays")
	}
	must(t, k.Keep(fetched, ticket.Raw))
	must(t, k.Pushed(alice, root, ticket.HashSeq))
	must(t, k.Stay(marked, func() error { return s.SetTag(provider.PushTag+marked.String(), marked, ticket.Raw) }))
	for name, h := range map[string]bao.Hash{"fetched": fetched, "root": root, "names": meta, "child": bao.Sum([]byte("one")), "marked": marked} {
		if removes(h) {
			t.Errorf("%s is removed", name)
		}
	}
	if _, err := drop(k, root, func([]bao.Hash) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if !k.Left(meta) || !removes(meta) || k.Left(meta) {
		t.Error("what was dropped meanwhile stays, or is not given up before, or after")
	}
}

// TestGivenUp is what was dropped, nothing that is kept for another reason, and no more what is kept again.
func TestGivenUp(t *testing.T) {
	s := open(t)
	k := New(s)
	alice := key.SecretKeyFromSeed([32]byte{1}).ID()
	first, _ := folder(t, s, "one", "shared")
	second, _ := folder(t, s, "shared", "two")
	one, shared := bao.Sum([]byte("one")), bao.Sum([]byte("shared"))
	left := func(when string, want bool, hashes ...bao.Hash) {
		t.Helper()
		for _, h := range hashes {
			if k.Left(h) != want {
				t.Errorf("%s: %s is given up: %v", when, h, !want)
			}
		}
	}
	must(t, k.Keep(first, ticket.HashSeq))
	must(t, k.Keep(second, ticket.HashSeq))
	giveUp := func(h bao.Hash) {
		t.Helper()
		if _, err := drop(k, h, func([]bao.Hash) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	giveUp(first)
	left("dropped", true, first, one)
	left("of another", false, second, shared)
	must(t, k.Stay(one, func() error { return nil }))
	left("marked", false, one)
	must(t, k.Pushed(alice, first, ticket.HashSeq))
	left("pushed", false, first, one)
	giveUp(first)
	must(t, k.Keep(first, ticket.HashSeq))
	left("fetched", false, first, one)
	must(t, k.Leave([]bao.Hash{one, shared}))
	left("a link's", false, one, shared)
	must(t, k.Unkeep(first))
	left("not fetched after all", true, first, one)
	left("not fetched, but another's", false, shared)
	must(t, k.Unkeep(first))
}

// TestAWrongWord that a blob is a sequence spoils nothing; a right one is not taken back.
func TestAWrongWord(t *testing.T) {
	s := open(t)
	k := New(s)
	alice := key.SecretKeyFromSeed([32]byte{1}).ID()
	blob := put(t, s, string(make([]byte, 3*32))) // reads as three hashes
	root, _ := folder(t, s, "one")
	format := func(h bao.Hash, want ticket.Format) {
		t.Helper()
		items, err := k.Find(h)
		if err != nil || len(items) != 1 || items[0].Format != want {
			t.Errorf("%+v, %v, want %v", items, err, want)
		}
	}
	must(t, k.Pushed(alice, blob, ticket.HashSeq))
	format(blob, ticket.Raw)
	must(t, k.Pushed(alice, root, ticket.HashSeq))
	format(root, ticket.HashSeq)
	for _, h := range []bao.Hash{blob, root} {
		_, err := drop(k, h, func([]bao.Hash) error { return nil })
		must(t, err)
		must(t, k.Keep(h, ticket.HashSeq))
		must(t, k.Keep(h, ticket.Raw))
	}
	format(blob, ticket.Raw)
	format(root, ticket.HashSeq)
}
