package keeping

import (
	"context"
	"slices"
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
	s, err := store.Open(t.TempDir(), store.Config{})
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
	var going []bao.Hash
	dropped, err := k.Drop(root, func(h []bao.Hash) error { going = h; return nil })
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
	if dropped, err := k.Drop(stray, func([]bao.Hash) error { return nil }); err != nil || len(dropped) != 1 {
		t.Errorf("the stray: %v, %v", dropped, err)
	}
	if dropped, err := k.Drop(root, func([]bao.Hash) error { return nil }); err != nil || len(dropped) != 0 {
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
