package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// folderOf writes n files of a size.
func folderOf(t *testing.T, n, size int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), random(uint64(i), size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// cutExpose interrupts an expose after so many bytes.
func cutExpose(t *testing.T, b *Bridge, text string, after uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	if c, err := b.Expose(ctx, ExposeRequest{Ticket: text}, &stopAfter{bytes: after, stop: cancel}); err == nil {
		t.Fatalf("it was not interrupted: %+v", c)
	}
}

// reopened closes a bridge and opens it again, online.
func reopened(t *testing.T, b *Bridge) *Bridge {
	t.Helper()
	closed(t, b)
	b = open(t, b.Dir())
	if err := b.Online(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func arriving(t *testing.T, b *Bridge) []keeping.Item {
	t.Helper()
	all, err := b.stock.Keeper.Arriving()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// have is how many bytes of blobs are in a store.
func have(t *testing.T, b *Bridge) (bytes uint64) {
	t.Helper()
	for st, err := range b.store.All() {
		if err != nil {
			t.Fatal(err)
		}
		bytes += st.Ranges.Bytes(st.Size)
	}
	return bytes
}

// TestInterruptedExposeGoesOn where it was, after a restart and a purge too, and is nothing that anybody sees.
func TestInterruptedExposeGoesOn(t *testing.T) {
	a := online(t)
	for name, added := range map[string]Content{
		"file":   add(t, a, AddRequest{Path: filepath.Join(folderOf(t, 1, 40<<20), "0")}),
		"folder": add(t, a, AddRequest{Path: folderOf(t, 40, 1<<20)}),
	} {
		t.Run(name, func(t *testing.T) {
			b := reopened(t, open(t, t.TempDir()))
			cutExpose(t, b, added.Ticket, 20<<20)
			b = reopened(t, b)
			purged(t, b)
			if all := list(t, b); len(all) != 0 {
				t.Errorf("%+v", all)
			}
			verified(t, b)
			for name, err := range map[string]error{
				"map": func() error { _, err := b.Map(timeout(t), added.Hash); return err }(),
				"a hash without a provider": func() error {
					_, err := b.Expose(timeout(t), ExposeRequest{Ticket: added.Hash}, Silent{})
					return err
				}(),
			} {
				if !errors.Is(err, ErrNotFound) || strings.Contains(err.Error(), "kept") {
					t.Errorf("%s: %v", name, err)
				}
			}
			before := have(t, b)
			if before < 10<<20 || len(arriving(t, b)) != 1 {
				t.Errorf("%d bytes are here, %+v", before, arriving(t, b))
			}
			got, err := b.Expose(timeout(t), ExposeRequest{Ticket: added.Ticket}, Silent{})
			if err != nil || got.CID != added.CID {
				t.Errorf("%+v, %v", got, err)
			}
			if all := arriving(t, b); len(all) != 0 {
				t.Errorf("still arriving: %+v", all)
			}
			if _, err := b.Remove(timeout(t), added.CID); err != nil {
				t.Error(err)
			}
			purged(t, b)
			if left := have(t, b); left != 0 {
				t.Errorf("%d bytes are left", left)
			}
		})
	}
}

// TestWhatArrivedIsGivenUp by its hash, or by time, with all its children.
func TestWhatArrivedIsGivenUp(t *testing.T) {
	a := online(t)
	added := add(t, a, AddRequest{Path: folderOf(t, 40, 1<<20)})
	for name, giveUp := range map[string]func(*testing.T, *Bridge){
		"removed": func(t *testing.T, b *Bridge) {
			m, err := b.Remove(timeout(t), added.Hash)
			if err != nil || m.Hash != added.Hash {
				t.Errorf("%+v, %v", m, err)
			}
			if !b.stock.Keeper.Left(mustHash(t, added.Hash)) {
				t.Error("it is not given up at once")
			}
		},
		"overdue": func(t *testing.T, b *Bridge) {
			if err := b.stock.Keeper.Arrive(mustHash(t, added.Hash), ticket.HashSeq, time.Now().Add(-keeping.ArrivalTime-time.Minute)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := reopened(t, open(t, t.TempDir()))
			cutExpose(t, b, added.Ticket, 20<<20)
			purged(t, b)
			if got := have(t, b); got < 10<<20 {
				t.Fatalf("%d bytes are here", got)
			}
			giveUp(t, b)
			purged(t, b)
			if left, all := have(t, b), arriving(t, b); left != 0 || len(all) != 0 {
				t.Errorf("%d bytes are left, %+v", left, all)
			}
		})
	}
}

// TestRemovedBeforeItComes and cut then: nothing stays of what nobody knew of when it was removed.
func TestRemovedBeforeItComes(t *testing.T) {
	a, b := online(t), online(t)
	added := add(t, a, AddRequest{Path: folderOf(t, 40, 1<<20)})
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	removed := false
	_, err := b.Expose(ctx, ExposeRequest{Ticket: added.Ticket}, &stopAfter{bytes: 20 << 20, stop: cancel, begin: func() {
		removed = true
		if _, err := b.Remove(t.Context(), added.Hash); err != nil {
			t.Error(err)
		}
	}})
	if err == nil || !removed {
		t.Fatalf("removed: %v, %v", removed, err)
	}
	purged(t, b)
	if left, all := have(t, b), arriving(t, b); left != 0 || len(all) != 0 {
		t.Errorf("%d bytes are left, %+v", left, all)
	}
}

// TestLinkTakesOver from a memory that a crash left behind, which is not held against it.
func TestLinkTakesOver(t *testing.T) {
	b := online(t)
	added := add(t, b, AddRequest{Path: sample(t)})
	if err := b.stock.Keeper.Arrive(mustHash(t, added.Hash), ticket.HashSeq, time.Now()); err != nil {
		t.Fatal(err)
	}
	purged(t, b)
	if all := arriving(t, b); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	verified(t, b)
}

// TestHopelessExposeLeavesNothing: of what nobody has, and of what nobody may link, nothing is held.
func TestHopelessExposeLeavesNothing(t *testing.T) {
	a, b := online(t), online(t)
	add(t, a, AddRequest{Path: folderOf(t, 1, 100<<10)})
	meta := append([]byte("CollectionV0."), 1, 4)
	metaHash, err := a.store.Put(t.Context(), append(meta, "../x"...))
	if err != nil {
		t.Fatal(err)
	}
	file := bao.Sum(random(0, 100<<10))
	seq, err := a.store.Put(t.Context(), append(metaHash[:], file[:]...))
	if err != nil {
		t.Fatal(err)
	}
	odd, err := a.store.Put(t.Context(), make([]byte, 33))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		hash bao.Hash
		want error
	}{
		"a name that leads elsewhere": {seq, ErrContent},
		"no sequence":                 {odd, blobs.ErrHashSeq},
		"nobody has it":               {mustHash(t, strings.Repeat("1", 64)), ErrNotFound},
	} {
		text := native.TicketOf(tc.hash, ticket.HashSeq, a.ownAddr())
		if c, err := b.Expose(timeout(t), ExposeRequest{Ticket: text}, Silent{}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		if all := arriving(t, b); len(all) != 0 {
			t.Errorf("%s: %+v", name, all)
		}
		purged(t, b)
		if left := have(t, b); left != 0 {
			t.Errorf("%s: %d bytes are left", name, left)
		}
	}
}

func TestHopeless(t *testing.T) {
	from := func(errs ...error) (s downloader.Stats) {
		for _, err := range errs {
			s.Providers = append(s.Providers, downloader.ProviderStats{Err: err})
		}
		return s
	}
	other := errors.New("other")
	for name, tc := range map[string]struct {
		err   error
		stats downloader.Stats
		want  bool
	}{
		"content":                     {ErrContent, from(nil), true},
		"no sequence":                 {blobs.ErrHashSeq, from(nil), true},
		"a lie":                       {ErrVerify, from(bao.ErrHashMismatch), true},
		"lies":                        {ErrVerify, from(bao.ErrHashMismatch, blobs.ErrTooLarge), true},
		"a lie, and one not reached":  {errors.Join(ErrVerify, other), from(bao.ErrHashMismatch, other), false},
		"a lie, and one not asked":    {ErrVerify, from(bao.ErrHashMismatch, nil), false},
		"our own disk":                {store.ErrChanged, from(nil), false},
		"our own bytes, none wanted":  {ErrVerify, downloader.Stats{}, false},
		"cancelled":                   {context.Canceled, from(nil), false},
		"the only one is unreachable": {other, from(other), false},
	} {
		if got := hopeless(tc.err, tc.stats); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
