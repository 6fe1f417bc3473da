package mappingtest

import (
	"context"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/mapping"
)

func testAbort(t *testing.T, s mapping.Store) {
	put(t, s, Link(1), Leaf(1))
	tx := begin(t, s)
	for i := range uint64(10000) {
		if err := tx.Block(Leaf(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Ref(Hash(100), CID(cid.Raw, 100)); err != nil {
		t.Fatal(err)
	}
	wantReferenced(t, s, Hash(100), true)
	if _, err := s.File(context.Background(), CID(cid.Raw, 100)); !errors.Is(err, mapping.ErrNotFound) {
		t.Errorf("a running transaction's file: %v", err)
	}
	if refs, err := s.Refs(context.Background(), Hash(100)); err != nil || len(refs) != 0 {
		t.Errorf("a running transaction's refs: %v, %v", refs, err)
	}
	if err := tx.Abort(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		wantBlock(t, s, Leaf(1))
		wantNoBlock(t, s, Multihash(2))
		wantReferenced(t, s, Hash(100), false)
		got := purge(t, s)
		if want := 1 - i; got[Hash(100)] != want || len(got) != want {
			t.Fatalf("orphans of purge %d: %v", i, got)
		}
	}
}

func testDone(t *testing.T, s mapping.Store) {
	for name, end := range map[string]func(mapping.Tx) error{
		"commit": func(tx mapping.Tx) error { return tx.Commit(context.Background(), Link(1)) },
		"abort":  func(tx mapping.Tx) error { return tx.Abort() },
	} {
		tx := begin(t, s)
		if err := tx.Block(Leaf(1)); err != nil {
			t.Fatal(err)
		}
		if err := end(tx); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := tx.Block(Leaf(2)); !errors.Is(err, mapping.ErrClosed) {
			t.Errorf("block after %s: %v", name, err)
		}
		if err := tx.Ref(Hash(2), cid.Undef); !errors.Is(err, mapping.ErrClosed) {
			t.Errorf("ref after %s: %v", name, err)
		}
		if err := tx.Commit(context.Background(), Link(2)); !errors.Is(err, mapping.ErrClosed) {
			t.Errorf("commit after %s: %v", name, err)
		}
		if err := tx.Abort(); err != nil {
			t.Errorf("abort after %s: %v", name, err)
		}
		wantReferenced(t, s, Hash(2), false)
		wantNoLink(t, s, Link(2).CID)
	}
	wantLink(t, s, Link(1).CID, Link(1))
	wantBlock(t, s, Leaf(1))
}

func testContext(t *testing.T, s mapping.Store) {
	put(t, s, Link(1), Leaf(1))
	tx := begin(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, errBegin := s.Begin(ctx)
	_, errBlock := s.Block(ctx, Multihash(1))
	_, errLink := s.Link(ctx, Link(1).CID)
	errDelete := s.Delete(ctx, Link(1).CID)
	errCommit := tx.Commit(ctx, Link(2))
	var errLinks error
	for _, errLinks = range s.Links(ctx) {
	}
	for name, err := range map[string]error{
		"begin": errBegin, "block": errBlock, "link": errLink, "delete": errDelete, "commit": errCommit, "links": errLinks,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantLink(t, s, Link(1).CID, Link(1))
	wantNoLink(t, s, Link(2).CID)
}

func testClosed(t *testing.T, s mapping.Store) {
	ctx := context.Background()
	put(t, s, Link(1), Leaf(1))
	tx := begin(t, s)
	if err := tx.Block(Leaf(2)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, errBegin := s.Begin(ctx)
	_, errBlock := s.Block(ctx, Multihash(1))
	_, errLink := s.Link(ctx, Link(1).CID)
	_, errFile := s.File(ctx, Link(1).CID)
	_, errRefs := s.Refs(ctx, Hash(1))
	_, errReferenced := s.Referenced(ctx, Hash(1))
	errPurge := s.Purge(ctx, func([32]byte) error { return nil })
	for name, err := range map[string]error{
		"begin": errBegin, "block": errBlock, "link": errLink, "file": errFile, "refs": errRefs, "referenced": errReferenced,
		"purge": errPurge, "orphans": s.Orphans(ctx, func([32]byte) error { return nil }), "delete": s.Delete(ctx, Link(1).CID),
		"tx block": tx.Block(Leaf(3)), "tx ref": tx.Ref(Hash(1), cid.Undef), "tx commit": tx.Commit(ctx, Link(2)),
	} {
		if !errors.Is(err, mapping.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := tx.Abort(); err != nil {
		t.Errorf("abort: %v", err)
	}
}
