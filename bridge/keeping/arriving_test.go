package keeping

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// TestArriving is held like what is kept, found, and in no list; it goes when it has arrived or is dropped.
func TestArriving(t *testing.T) {
	s := open(t)
	k := New(s)
	root, meta := folder(t, s, "one", "two")
	alice, one := key.SecretKeyFromSeed([32]byte{1}).ID(), bao.Sum([]byte("one"))
	now := time.Unix(1_800_000_000, 0)
	nothing := func([]bao.Hash) error { return nil }
	arrives := func(at time.Time) {
		t.Helper()
		must(t, k.Arrive(root, ticket.HashSeq, at))
		all, err := k.Arriving()
		if err != nil || len(all) != 1 || all[0].Hash != root || all[0].Format != ticket.HashSeq || !all[0].Arriving.Equal(at) || all[0].Kept() {
			t.Errorf("%+v, %v", all, err)
		}
	}
	arrives(now)
	arrives(now) // in the same second
	arrives(now.Add(time.Hour))
	if items, err := k.Items(); err != nil || len(items) != 0 {
		t.Errorf("listed: %+v, %v", items, err)
	}
	held, err := k.Held()
	for _, h := range []bao.Hash{root, meta, one} {
		if err != nil || !held.Has(h) {
			t.Errorf("%s is not held: %v", h, err)
		}
	}
	must(t, k.Arrived(root))
	if held, err := k.Held(); err != nil || len(held) != 0 {
		t.Errorf("%v, %v", held, err)
	}

	arrives(now)
	must(t, k.Pushed(alice, root, ticket.HashSeq))
	must(t, k.Keep(one, ticket.Raw))
	items, err := k.Find(root)
	if err != nil || len(items) != 2 || !items[0].Pushed || items[1].Kept() {
		t.Fatalf("%+v, %v", items, err)
	}
	must(t, k.Drop(items[1:], nothing))
	if k.Left(root) || k.Left(meta) {
		t.Error("what was pushed is given up")
	}
	arrives(now)
	items, err = k.Find(root)
	must(t, err)
	must(t, k.Drop(items[:1], nothing))
	if k.Left(root) || k.Left(meta) {
		t.Error("what is arriving is given up")
	}
	must(t, k.Drop(items[1:], nothing))
	if !k.Left(root) || !k.Left(meta) || k.Left(one) {
		t.Error("what was dropped is not given up, or what is kept is")
	}
	arrives(now)
	if k.Left(root) || k.Left(meta) {
		t.Error("what arrives again is given up")
	}
}

func TestOverdue(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for age, want := range map[time.Duration]bool{
		0: false, time.Second: false, ArrivalTime: false, ArrivalTime + time.Second: true, 50 * 365 * 24 * time.Hour: true,
		-time.Hour: false, -ArrivalTime - time.Second: true,
	} {
		if got := (Item{Arriving: now.Add(-age)}).Overdue(now); got != want {
			t.Errorf("%s old: %v", age, got)
		}
	}
	if (Item{}).Overdue(now) {
		t.Error("what is kept is overdue")
	}
}

// TestDamagedArrival locks up nothing: nothing was promised of it.
func TestDamagedArrival(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir, store.Config{})
	must(t, err)
	root, _ := folder(t, s, "one")
	broken := put(t, s, string(make([]byte, 32*1024))) // a file of its own
	must(t, New(s).Keep(root, ticket.HashSeq))
	must(t, New(s).Arrive(broken, ticket.HashSeq, time.Now()))
	must(t, s.Close())
	found, err := filepath.Glob(filepath.Join(dir, "data", "*", broken.String()+".data"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	must(t, os.Remove(found[0]))

	k := New(openAt(t, dir))
	if _, err := k.Blobs(Item{Hash: broken, Format: ticket.HashSeq}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("it is not damaged: %v", err)
	}
	if held, err := k.Held(); err != nil || len(held) != 4 || !held.Has(broken) {
		t.Errorf("%v, %v", held, err)
	}
	if dropped, err := drop(k, root, func([]bao.Hash) error { return nil }); err != nil || len(dropped) != 1 || !k.Left(root) {
		t.Errorf("%+v, %v", dropped, err)
	}
}
