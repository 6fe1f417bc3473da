package mappingtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/mapping"
)

// folder makes a link whose rows refer to the blobs from..to, each a file, and
// to two blobs that are no file.
func folder(t *testing.T, s mapping.Store, n, from, to uint64) mapping.Link {
	t.Helper()
	tx := begin(t, s)
	l := Link(n)
	l.Format = mapping.FormatCollection
	l.CID = CID(cid.DagProtobuf, n)
	for i := from; i < to; i++ {
		if err := tx.Ref(Hash(i), CID(cid.Raw, i)); err != nil {
			t.Fatal(err)
		}
		wantReferenced(t, s, Hash(i), true)
	}
	if err := tx.Ref(Hash(n+1<<33), cid.Undef); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(context.Background(), l); err != nil {
		t.Fatal(err)
	}
	return l
}

func wantRefs(t *testing.T, s mapping.Store, hash [32]byte, want ...mapping.Ref) {
	t.Helper()
	got, err := s.Refs(context.Background(), hash)
	if err != nil {
		t.Fatal(err)
	}
	order := func(a, b mapping.Ref) int {
		return strings.Compare(a.CID.KeyString()+a.Link.KeyString(), b.CID.KeyString()+b.Link.KeyString())
	}
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		t.Fatalf("refs of %x:\n got %v\nwant %v", hash[:4], got, want)
	}
}

func testRefs(t *testing.T, s mapping.Store) {
	ctx := context.Background()
	a := folder(t, s, 1000, 0, 10)
	b := folder(t, s, 2000, 5, 15)
	put(t, s, Link(7)) // the same file as a link of its own
	file := func(n uint64, link cid.Cid) mapping.Ref {
		return mapping.Ref{Hash: Hash(n), CID: CID(cid.Raw, n), Link: link}
	}
	wantRefs(t, s, Hash(0), file(0, a.CID))
	wantRefs(t, s, Hash(5), file(5, a.CID), file(5, b.CID))
	wantRefs(t, s, Hash(7), file(7, a.CID), file(7, b.CID), file(7, Link(7).CID))
	wantRefs(t, s, Hash(14), file(14, b.CID))
	wantRefs(t, s, Hash(15))
	wantRefs(t, s, a.Hash, mapping.Ref{Hash: a.Hash, CID: a.CID, Link: a.CID})
	wantRefs(t, s, a.Layout)
	wantRefs(t, s, Hash(1000+1<<33))
	wantReferenced(t, s, a.Layout, true)
	wantReferenced(t, s, Hash(1000+1<<33), true)
	if r, err := s.File(ctx, CID(cid.Raw, 0)); err != nil || r != file(0, a.CID) {
		t.Errorf("file: %v, %v", r, err)
	}
	if r, err := s.File(ctx, a.CID); !errors.Is(err, mapping.ErrNotFound) {
		t.Errorf("a folder as a file: %v, %v", r, err)
	}
	if err := s.Delete(ctx, a.CID); err != nil {
		t.Fatal(err)
	}
	wantRefs(t, s, Hash(0))
	wantRefs(t, s, Hash(5), file(5, b.CID))
	if r, err := s.File(ctx, CID(cid.Raw, 5)); err != nil || r != file(5, b.CID) {
		t.Errorf("file: %v, %v", r, err)
	}
	// One blob under two CIDs in one link.
	tx := begin(t, s)
	for _, c := range []cid.Cid{CID(cid.Raw, 90), CID(cid.DagProtobuf, 91), CID(cid.Raw, 90)} {
		if err := tx.Ref(Hash(90), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(ctx, Link(92)); err != nil {
		t.Fatal(err)
	}
	wantRefs(t, s, Hash(90),
		mapping.Ref{Hash: Hash(90), CID: CID(cid.Raw, 90), Link: Link(92).CID},
		mapping.Ref{Hash: Hash(90), CID: CID(cid.DagProtobuf, 91), Link: Link(92).CID})
}

func testPurge(t *testing.T, s mapping.Store) {
	ctx := context.Background()
	a := folder(t, s, 1000, 0, 10)
	b := folder(t, s, 2000, 5, 15)
	running := begin(t, s)
	if err := running.Ref(Hash(3), cid.Undef); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, a.CID); err != nil {
		t.Fatal(err)
	}
	got := purge(t, s)
	want := [][32]byte{Hash(0), Hash(1), Hash(2), Hash(4), a.Hash, a.Layout, Hash(1000 + 1<<33)}
	for _, h := range want {
		if got[h] != 1 {
			t.Errorf("orphan %x: called %d times", h[:4], got[h])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d orphans, want %d", len(got), len(want))
	}
	wantLink(t, s, b.CID, b)
	if err := running.Abort(); err != nil {
		t.Fatal(err)
	}
	if got := purge(t, s); len(got) != 1 || got[Hash(3)] != 1 {
		t.Errorf("orphans after the abort: %v", got)
	}
	if got := purge(t, s); len(got) != 0 {
		t.Errorf("orphans of a purge with nothing to do: %v", got)
	}
	// Replacing a link by one with the same blobs orphans none of them.
	folder(t, s, 2000, 5, 15)
	if got := purge(t, s); len(got) != 0 {
		t.Errorf("orphans after the same again: %v", got)
	}
}

func testPurgeError(t *testing.T, s mapping.Store) {
	ctx := context.Background()
	a := folder(t, s, 1000, 0, 10)
	if err := s.Delete(ctx, a.CID); err != nil {
		t.Fatal(err)
	}
	seen := map[[32]byte]bool{}
	failure := errors.New("the blob store is away")
	if err := s.Orphans(ctx, func([32]byte) error { return failure }); !errors.Is(err, failure) {
		t.Error(err)
	}
	for i := 0; ; i++ {
		n := 0
		err := s.Purge(ctx, func(h [32]byte) error {
			if n++; n > i {
				return failure
			}
			seen[h] = true
			return nil
		})
		if err == nil {
			break
		}
		if !errors.Is(err, failure) {
			t.Fatal(err)
		}
		if i > 100 {
			t.Fatal("purge does not come to an end")
		}
	}
	if len(seen) != 13 {
		t.Errorf("%d orphans, want 13", len(seen))
	}
	wantNoLink(t, s, a.CID)
}

func testPurgeRace(t *testing.T, s mapping.Store) {
	ctx := context.Background()
	put(t, s, Link(1), Leaf(1))
	if err := s.Delete(ctx, Link(1).CID); err != nil {
		t.Fatal(err)
	}
	inOrphan, leave := make(chan struct{}), make(chan struct{})
	var removed atomic.Bool
	var g errgroup.Group
	g.Go(func() error {
		return s.Purge(ctx, func(h [32]byte) error {
			if h != Hash(1) {
				return nil
			}
			close(inOrphan)
			<-leave
			removed.Store(true)
			return nil
		})
	})
	<-inOrphan
	// Reading, and work on other blobs, goes on.
	wantNoLink(t, s, Link(1).CID)
	wantReferenced(t, s, Hash(1), false)
	put(t, s, Link(2), Leaf(2))
	wantBlock(t, s, Leaf(2))
	tx := begin(t, s)
	g.Go(func() error {
		if err := tx.Ref(Hash(1), cid.Undef); err != nil {
			return err
		}
		if !removed.Load() {
			return errors.New("ref returned while the blob was being removed")
		}
		found, err := s.Referenced(ctx, Hash(1))
		if err == nil && !found {
			err = errors.New("not referenced after ref")
		}
		return err
	})
	time.Sleep(20 * time.Millisecond) // give a wrong Ref time to return
	close(leave)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx, Link(1)); err != nil {
		t.Fatal(err)
	}
	if got := purge(t, s); len(got) != 0 {
		t.Errorf("orphans: %v", got)
	}
	wantLink(t, s, Link(1).CID, Link(1))
}

func testConcurrent(t *testing.T, s mapping.Store) {
	ctx := context.Background()
	var g errgroup.Group
	const workers, rounds, shared = 8, 15, 50
	for w := range uint64(workers) {
		g.Go(func() error {
			for r := range uint64(rounds) {
				tx, err := s.Begin(ctx)
				if err != nil {
					return err
				}
				for i := range uint64(shared) { // the same blocks in every link
					if err := tx.Block(Leaf(i)); err != nil {
						return err
					}
				}
				if err := tx.Ref(Hash(r), CID(cid.Raw, r)); err != nil {
					return err
				}
				if r%5 == 4 {
					if err := tx.Abort(); err != nil {
						return err
					}
					continue
				}
				if err := tx.Commit(ctx, Link(w*2+r%2)); err != nil { // two links each
					return err
				}
			}
			return nil
		})
	}
	stop := make(chan struct{})
	purged := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				purged <- nil
				return
			default:
			}
			if err := s.Purge(ctx, func([32]byte) error { return nil }); err != nil {
				purged <- err
				return
			}
		}
	}()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-purged; err != nil {
		t.Fatal(err)
	}
	for i := range uint64(workers * 2) {
		wantLink(t, s, Link(i).CID, Link(i))
		for j := range uint64(shared) {
			wantBlock(t, s, Leaf(j))
		}
		if err := s.Delete(ctx, Link(i).CID); err != nil {
			t.Fatal(err)
		}
	}
	for j := range uint64(shared) {
		wantNoBlock(t, s, Multihash(j))
	}
	purge(t, s)
}

func testReplaceRead(t *testing.T, s mapping.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	put(t, s, Link(1), Leaf(1))
	var g errgroup.Group
	var reads atomic.Int64
	for range 4 {
		g.Go(func() error {
			for ctx.Err() == nil {
				if _, err := s.Block(context.Background(), Multihash(1)); err != nil {
					return err
				}
				if _, err := s.Link(context.Background(), Link(1).CID); err != nil {
					return err
				}
				if _, err := s.File(context.Background(), Link(1).CID); err != nil {
					return err
				}
				n := 0
				for _, err := range s.Links(context.Background()) {
					if err != nil {
						return err
					}
					n++
				}
				if n != 1 {
					return errors.New("links does not list one link")
				}
				reads.Add(1)
			}
			return nil
		})
	}
	for i := 0; i < 200 || reads.Load() < 200; i++ {
		put(t, s, Link(1), Leaf(1))
		if i%4 == 0 {
			purge(t, s)
		}
		if i > 20000 {
			t.Fatal("readers make no progress")
		}
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
