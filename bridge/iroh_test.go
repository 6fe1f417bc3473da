package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
	"github.com/iroh-ipfs/bridge/mapping"
)

func list(t *testing.T, b *Bridge) []Content {
	t.Helper()
	var all []Content
	if err := b.List(timeout(t), func(c Content) bool { all = append(all, c); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

func mustHash(t *testing.T, text string) bao.Hash {
	t.Helper()
	h, err := bao.ParseHash(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func complete(t *testing.T, b *Bridge, hash string) bool {
	t.Helper()
	st, err := b.store.Status(mustHash(t, hash))
	if err != nil {
		t.Fatal(err)
	}
	return st.State == store.Complete
}

// purged waits until the purge that is due is over.
func purged(t *testing.T, b *Bridge) {
	t.Helper()
	if err := b.ops.Acquire(timeout(t), allOps); err != nil {
		t.Fatal(err)
	}
	defer b.ops.Release(allOps)
	if err := b.sweep(timeout(t)); err != nil {
		t.Fatal(err)
	}
}

// TestFetchIsKeptWithoutACID: listed, verified, served, exposed; it survives the removal of its link and goes with its hash.
func TestFetchIsKeptWithoutACID(t *testing.T) {
	a, b, c := online(t), online(t), online(t)
	added := add(t, a, AddRequest{Path: sample(t)})
	got, err := b.Fetch(timeout(t), native.FetchRequest{Content: added.Ticket}, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Hash != added.Hash || got.Format != "collection" || got.Size != added.Size || got.Kept != (native.Kept{Why: "fetched", State: "complete", Have: added.Size}) {
		t.Errorf("%+v", got)
	}
	if len(got.Providers) != 1 || got.Providers[0].Bytes == 0 || got.Received == 0 {
		t.Errorf("%+v", got)
	}
	if all := list(t, b); len(all) != 1 || all[0].CID != "" || all[0].Hash != added.Hash || all[0].Kept == nil {
		t.Errorf("%+v", all)
	}
	var found []Finding
	if err := b.Verify(timeout(t), VerifyRequest{}, Silent{}, func(f Finding) error { found = append(found, f); return nil }); err != nil ||
		len(found) != 1 || !found[0].OK || found[0].Hash != added.Hash {
		t.Errorf("verify: %+v, %v", found, err)
	}
	for name, ask := range map[string]func() error{
		"map": func() error { _, err := b.Map(timeout(t), added.Hash); return err },
		"get": func() error { _, err := b.Open(timeout(t), added.Hash, Silent{}); return err },
	} {
		if err := ask(); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "`bridge expose "+added.Hash+"`") {
			t.Errorf("%s of what is kept: %v, want a word of expose", name, err)
		}
	}
	// Others get it here, by the hash of the sequence and the provider alone.
	mine, err := b.Ticket(timeout(t), native.TicketRequest{Content: added.Hash})
	if err != nil || mine.Format != "hashseq" {
		t.Fatalf("%+v, %v", mine, err)
	}
	again, err := c.Fetch(timeout(t), native.FetchRequest{Content: added.Hash, Recursive: true, From: []string{mine.Ticket}}, Silent{})
	if err != nil || again.Size != added.Size {
		t.Fatalf("%+v, %v", again, err)
	}
	// It gets a CID by its hash alone, the one that it has elsewhere.
	exposed, err := b.Expose(timeout(t), ExposeRequest{Ticket: added.Hash}, Silent{})
	if err != nil || exposed.CID != added.CID {
		t.Fatalf("%+v, %v", exposed, err)
	}
	if all := list(t, b); len(all) != 2 {
		t.Errorf("%+v", all)
	}
	if _, err := b.Remove(timeout(t), added.CID); err != nil {
		t.Fatal(err)
	}
	purged(t, b)
	if all := list(t, b); len(all) != 1 || all[0].Kept == nil || all[0].Kept.State != "complete" {
		t.Errorf("without its link: %+v", all)
	}
	if m, err := b.Remove(timeout(t), added.Hash); err != nil || m.Hash != added.Hash || len(m.CIDs) != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	purged(t, b)
	if len(list(t, b)) != 0 || complete(t, b, added.Hash) {
		t.Error("it is still here")
	}
	if _, err := b.Remove(timeout(t), added.Hash); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestRemovalLeavesWhatAnotherNeeds: a blob of two kept contents, and of a link, stays until the last one goes.
func TestRemovalLeavesWhatAnotherNeeds(t *testing.T) {
	a, b := online(t), online(t)
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folder := add(t, a, AddRequest{Path: dir})
	file := add(t, a, AddRequest{Path: filepath.Join(dir, "one")})
	for _, text := range []string{folder.Ticket, file.Ticket} {
		if _, err := b.Fetch(timeout(t), native.FetchRequest{Content: text}, Silent{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Remove(timeout(t), folder.Hash); err != nil {
		t.Fatal(err)
	}
	purged(t, b)
	if !complete(t, b, file.Hash) || complete(t, b, folder.Hash) || complete(t, b, bao.Sum([]byte("two")).String()) {
		t.Error("the file that is kept by itself must be all that is left")
	}
	if _, err := b.Expose(timeout(t), ExposeRequest{Ticket: file.Hash}, Silent{}); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Remove(timeout(t), file.Hash); err != nil || len(m.CIDs) == 0 {
		t.Errorf("%+v, %v", m, err)
	}
	purged(t, b)
	if complete(t, b, file.Hash) || len(list(t, b)) != 0 {
		t.Error("by its hash both the link and what is kept must go")
	}
}

// TestFetchFailsAndLeavesNothing, and what it lacked is said.
func TestFetchFailsAndLeavesNothing(t *testing.T) {
	a, b := online(t), online(t)
	id, err := a.Identity()
	if err != nil {
		t.Fatal(err)
	}
	here, err := a.Ticket(timeout(t), native.TicketRequest{Content: add(t, a, AddRequest{Path: sample(t)}).CID})
	if err != nil {
		t.Fatal(err)
	}
	unknown, own := strings.Repeat("1", 64), b.ownAddr().ID.String()
	for name, tc := range map[string]struct {
		req  native.FetchRequest
		want error
	}{
		"nobody has it":   {native.FetchRequest{Content: unknown, From: []string{here.Ticket}}, ErrNotFound},
		"nobody is named": {native.FetchRequest{Content: unknown}, ErrNotFound},
		"a CID":           {native.FetchRequest{Content: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", From: []string{id.EndpointID}}, ErrInvalid},
		"itself":          {native.FetchRequest{Content: unknown, From: []string{own}}, ErrInvalid},
		"itself, others":  {native.FetchRequest{Content: unknown, From: []string{own, here.Ticket}}, ErrNotFound},
		"no source":       {native.FetchRequest{Content: unknown, From: []string{"nobody"}}, ErrInvalid},
	} {
		if _, err := b.Fetch(timeout(t), tc.req, Silent{}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if all := list(t, b); len(all) != 0 {
		t.Errorf("left behind: %+v", all)
	}
}

// TestWrongRecursiveSpoilsNothing of what was fetched as the blob that it is.
func TestWrongRecursiveSpoilsNothing(t *testing.T) {
	for _, size := range []int{3 << 20, 3<<20 + 5} { // the first reads as hashes
		a, b := online(t), online(t)
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, random(1, size), 0o644); err != nil {
			t.Fatal(err)
		}
		added := add(t, a, AddRequest{Path: file})
		if _, err := b.Fetch(timeout(t), native.FetchRequest{Content: added.Ticket}, Silent{}); err != nil {
			t.Fatal(err)
		}
		wrong := native.FetchRequest{Content: added.Hash, Recursive: true, From: []string{added.Ticket}}
		if _, err := b.Fetch(timeout(t), wrong, Silent{}); err == nil {
			t.Errorf("%d bytes are a sequence", size)
		}
		if all := list(t, b); len(all) != 1 || all[0].Format != "blob" || all[0].Kept.State != "complete" {
			t.Errorf("%d bytes: %+v", size, all)
		}
		if got, err := b.Fetch(timeout(t), native.FetchRequest{Content: added.Hash}, Silent{}); err != nil || got.Received != 0 {
			t.Errorf("%d bytes: by hash: %+v, %v", size, got, err)
		}
		// A pusher's word is not heard before what was fetched, and a ticket's own is.
		h := mustHash(t, added.Hash)
		if err := b.store.SetTag("bridge/pushed/"+a.ownAddr().ID.String()+"/"+added.Hash, h, ticket.HashSeq); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{added.Ticket, added.Hash} {
			if s, err := b.stock.Seek(name, false, nil); err != nil || s.Format != ticket.Raw {
				t.Errorf("%d bytes: %s: %+v, %v", size, name, s, err)
			}
			if _, format, err := b.stock.Here(timeout(t), name, false); err != nil || format != ticket.Raw {
				t.Errorf("%d bytes: %s: %v, %v", size, name, format, err)
			}
		}
		// Never fetched before, it is not kept for having been asked for wrongly.
		if _, err := a.Fetch(timeout(t), native.FetchRequest{Content: added.Hash, Recursive: true, From: []string{b.ownAddr().ID.String()}}, Silent{}); err == nil {
			t.Errorf("%d bytes are a sequence", size)
		}
		if all := list(t, a); len(all) != 1 {
			t.Errorf("%d bytes: %+v", size, all)
		}
	}
}

// TestBareHashOfASequence is never silently taken for a blob's: what is here shows what it is, and of what comes it is said.
func TestBareHashOfASequence(t *testing.T) {
	a := online(t)
	folder := add(t, a, AddRequest{Path: sample(t)})
	var hashes []byte // of a sequence that nothing is noted of, and of which one child is here
	for _, text := range []string{folder.Hash, bao.Sum([]byte("no child")).String()} {
		h := mustHash(t, text)
		hashes = append(hashes, h[:]...)
	}
	outer, err := a.store.Put(t.Context(), hashes)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{outer.String(), folder.Hash} {
		if got, err := a.Ticket(t.Context(), native.TicketRequest{Content: h}); err != nil || got.Format != "hashseq" {
			t.Errorf("%+v, %v", got, err)
		}
		if s, err := a.stock.Seek(h, false, nil); err != nil || s.Format != ticket.HashSeq {
			t.Errorf("%+v, %v", s, err)
		}
	}
	from := []string{native.TicketOf(outer, ticket.Raw, a.ownAddr())}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, random(1, 1<<20), 0o644); err != nil { // reads as hashes, which nobody has
		t.Fatal(err)
	}
	blob := add(t, a, AddRequest{Path: file})
	for _, tc := range []struct{ name, want string }{
		{folder.Hash, "is a sequence"}, {blob.Hash, ""}, {folder.Ticket, ""}, {"s" + folder.Hash, ""}, {blob.Ticket, ""},
	} {
		b := online(t)
		fetched, err := b.Fetch(timeout(t), native.FetchRequest{Content: tc.name, From: from}, Silent{})
		if err != nil || tc.want == "" && fetched.Warning != "" || !strings.Contains(fetched.Warning, tc.want) {
			t.Errorf("fetch %s: %q, %v", tc.name, fetched.Warning, err)
		}
		c := online(t)
		exposed, err := c.Expose(timeout(t), ExposeRequest{Ticket: tc.name, From: from}, Silent{})
		if err != nil || tc.want == "" && exposed.Warning != "" || !strings.Contains(exposed.Warning, tc.want) {
			t.Errorf("expose %s: %q, %v", tc.name, exposed.Warning, err)
		}
		if tc.want == "" {
			continue
		}
		// When nobody can be asked any more, it may be one.
		exposed, err = b.Expose(timeout(t), ExposeRequest{Ticket: tc.name}, Silent{})
		if err != nil || !strings.Contains(exposed.Warning, "may be a sequence") || !strings.Contains(exposed.Warning, "named s"+folder.Hash) {
			t.Errorf("expose what was fetched: %q, %v", exposed.Warning, err)
		}
	}
}

// TestInterruptedFetchGoesOn where it was, after a restart too: it is listed as partial, no purge takes it, and the rest comes.
func TestInterruptedFetchGoesOn(t *testing.T) {
	a := online(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, random(1, 40<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	added := add(t, a, AddRequest{Path: file})
	dir := t.TempDir()
	b := open(t, dir)
	if err := b.Online(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	if _, err := b.Fetch(ctx, native.FetchRequest{Content: added.Ticket}, &stopAfter{bytes: 20 << 20, stop: cancel}); err == nil {
		t.Fatal("it was not interrupted")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if err := b.Online(t.Context()); err != nil {
		t.Fatal(err)
	}
	purged(t, b)
	all := list(t, b)
	if len(all) != 1 || all[0].Kept.State != "partial" || all[0].Kept.Have < 10<<20 {
		t.Fatalf("%+v", all)
	}
	got, err := b.Fetch(timeout(t), native.FetchRequest{Content: added.Ticket}, Silent{})
	if err != nil || got.Kept.State != "complete" || got.Received > added.Size-10<<20 {
		t.Errorf("%+v, %v", got, err)
	}
}

// stopAfter interrupts what it hears of.
type stopAfter struct {
	Silent
	bytes, seen uint64
	stop        func()
	begin       func() // may be nil; called once before
}

func (s *stopAfter) Item(string, int64) {
	if s.begin != nil {
		s.begin()
		s.begin = nil
	}
}

func (s *stopAfter) Bytes(n uint64) {
	if s.seen += n; s.seen >= s.bytes {
		s.stop()
	}
}

// pusher opens a bridge that may push to another one, and that other one.
func pusher(t *testing.T, quota uint64) (from, to *Bridge, target string) {
	t.Helper()
	from = online(t)
	id, err := from.Identity()
	if err != nil {
		t.Fatal(err)
	}
	to = open(t, t.TempDir(), func(c *config.Config) { c.Push = config.Push{Peers: []string{id.EndpointID}, Quota: quota} })
	if err := to.Online(t.Context()); err != nil {
		t.Fatal(err)
	}
	return from, to, ticket.Endpoint{Addr: to.ownAddr()}.String()
}

// TestPush: what was pushed is listed under who pushed it, gets a CID when it is exposed, and gives the quota back when it goes.
func TestPush(t *testing.T) {
	from, to, target := pusher(t, 20<<20)
	added := add(t, from, AddRequest{Path: sample(t)})
	done, err := from.Push(timeout(t), native.PushRequest{Target: target, Content: added.CID}, Silent{})
	if err != nil || done.Hash != added.Hash || done.Format != "hashseq" || done.Bytes < added.Size || done.Path == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	id, err := from.Identity()
	if err != nil {
		t.Fatal(err)
	}
	var all []Content
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		// The target says that it has the last blob a moment before it notes the push as a whole.
		if all = list(t, to); len(all) == 1 && all[0].Kept.By != "" && all[0].Format == "collection" {
			break
		}
	}
	if len(all) != 1 || all[0].Hash != added.Hash || *all[0].Kept != (native.Kept{Why: "pushed", By: id.EndpointID, State: "complete", Have: added.Size}) {
		t.Fatalf("%+v", all)
	}
	again, err := from.Push(timeout(t), native.PushRequest{Target: target, Content: "s" + added.Hash}, Silent{})
	if err != nil || again.Blobs != 0 || again.Skipped == 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	exposed, err := to.Expose(timeout(t), ExposeRequest{Ticket: added.Hash}, Silent{})
	if err != nil || exposed.CID != added.CID {
		t.Errorf("%+v, %v", exposed, err)
	}
	if _, err := to.Remove(timeout(t), added.Hash); err != nil {
		t.Fatal(err)
	}
	purged(t, to)
	if complete(t, to, added.Hash) || len(list(t, to)) != 0 {
		t.Error("it is still here")
	}
	for tag, err := range to.store.Tags() {
		if err != nil || strings.Contains(tag.Name, "push") {
			t.Errorf("left behind: %+v, %v", tag, err)
		}
	}
}

// TestRemovedIsNotThere for iroh peers, though nothing can be deleted while an operation runs; who pushes it again has it kept.
func TestRemovedIsNotThere(t *testing.T) {
	from, to, target := pusher(t, 20<<20)
	added := add(t, from, AddRequest{Path: sample(t)})
	push := func() native.Pushed {
		t.Helper()
		done, err := from.Push(timeout(t), native.PushRequest{Target: target, Content: added.CID}, Silent{})
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if all := list(t, to); len(all) == 1 && all[0].Kept.By != "" && all[0].Format == "collection" {
				return done
			}
		}
		t.Fatalf("%+v", list(t, to))
		return done
	}
	fetch := func() error {
		other := online(t)
		_, err := other.Fetch(timeout(t), native.FetchRequest{Content: added.Hash, Recursive: true, From: []string{target}}, Silent{})
		return err
	}
	first := push()
	for _, name := range []string{added.Hash, added.CID} {
		if err := to.ops.Acquire(t.Context(), 1); err != nil { // an operation begins
			t.Fatal(err)
		}
		if name == added.CID { // it is a link's this time, and not kept besides
			exposed, err := to.Expose(timeout(t), ExposeRequest{Ticket: "s" + added.Hash}, Silent{})
			if err != nil || exposed.CID != added.CID {
				t.Fatalf("%+v, %v", exposed, err)
			}
			if _, _, err := to.letGo(timeout(t), mustHash(t, added.Hash)); err != nil {
				t.Fatal(err)
			}
			if err := fetch(); err != nil {
				t.Errorf("linked: %v", err)
			}
		}
		if _, err := to.Remove(timeout(t), name); err != nil {
			t.Fatal(err)
		}
		if err := fetch(); !errors.Is(err, ErrNotFound) {
			t.Errorf("removed by %s: %v", name, err)
		}
		if again := push(); again.Blobs != first.Blobs || again.Skipped != first.Skipped {
			t.Errorf("again: %+v, want %+v", again, first)
		}
		to.ops.Release(1)
		purged(t, to)
		if all := list(t, to); len(all) != 1 || all[0].Kept.State != "complete" {
			t.Errorf("%+v", all)
		}
		if err := fetch(); err != nil {
			t.Error(err)
		}
	}
}

// TestRemovedStaysAway from both networks though it is on the disk, and after a restart too.
func TestRemovedStaysAway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, random(1, 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	b, other := reopened(t, open(t, t.TempDir())), online(t)
	added := add(t, b, AddRequest{Path: file})
	raw, ok := mapping.BLAKE3CID(mustHash(t, added.Hash), added.Size)
	if !ok {
		t.Fatal("it has no BLAKE3 CID")
	}
	ways := map[string]func() error{
		"iroh": func() error {
			_, err := other.Fetch(timeout(t), native.FetchRequest{Content: native.TicketOf(mustHash(t, added.Hash), ticket.Raw, b.ownAddr())}, Silent{})
			if err == nil {
				_, err = other.Remove(t.Context(), added.Hash)
				purged(t, other)
			}
			return err
		},
		"Bitswap": func() error {
			_, err := b.blocks().Block(t.Context(), raw)
			if errors.Is(err, exchange.ErrNotFound) {
				err = ErrNotFound
			}
			return err
		},
		"map":    func() error { _, err := b.Map(t.Context(), raw.String()); return err },
		"ticket": func() error { _, err := b.Ticket(t.Context(), native.TicketRequest{Content: added.Hash}); return err },
	}
	there := func(when string, want error) {
		t.Helper()
		for name, way := range ways {
			if err := way(); !errors.Is(err, want) {
				t.Errorf("%s, %s: %v", name, when, err)
			}
		}
	}
	there("added", nil)
	if err := b.ops.Acquire(t.Context(), 1); err != nil { // so that nothing is deleted
		t.Fatal(err)
	}
	if _, err := b.Remove(timeout(t), added.CID); err != nil {
		t.Fatal(err)
	}
	there("removed", ErrNotFound)
	closed(t, b)
	var err error
	if b, err = prepare(b.Dir(), b.cfg, b.log); err != nil { // no purge begins
		t.Fatal(err)
	}
	if err := errors.Join(b.openMapping(true), b.Online(t.Context())); err != nil {
		t.Fatal(err)
	}
	if !complete(t, b, added.Hash) {
		t.Fatal("it was deleted before anybody could ask for it")
	}
	there("after a restart", ErrNotFound)
	purged(t, b)
	if complete(t, b, added.Hash) || b.stock.Keeper.Left(mustHash(t, added.Hash)) {
		t.Error("it is still here, or thought of")
	}
	closed(t, b)
}

// TestRemovedGivesTheQuotaBack at once, though the last count was a moment ago and nothing is deleted yet.
func TestRemovedGivesTheQuotaBack(t *testing.T) {
	from, to, target := pusher(t, 1<<20)
	if err := to.ops.Acquire(t.Context(), 1); err != nil { // nothing is purged
		t.Fatal(err)
	}
	defer to.ops.Release(1)
	for i := range 3 {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, random(uint64(i), 700<<10), 0o644); err != nil {
			t.Fatal(err)
		}
		added := add(t, from, AddRequest{Path: file})
		if _, err := from.Push(timeout(t), native.PushRequest{Target: target, Content: added.Hash}, Silent{}); err != nil {
			t.Fatalf("push %d: %v", i, err)
		}
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if all := list(t, to); len(all) == 1 && all[0].Kept.By != "" {
				break // the push is noted
			}
		}
		if _, err := to.Remove(timeout(t), added.Hash); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPushIsRefused to who is not allowed, and beyond the quota; what there was is as before.
func TestPushIsRefused(t *testing.T) {
	from, to, target := pusher(t, 1<<20)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, random(1, 2<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	added := add(t, from, AddRequest{Path: file})
	if _, err := from.Push(timeout(t), native.PushRequest{Target: target, Content: added.Hash}, Silent{}); !errors.Is(err, blobs.ErrRefused) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("beyond the quota: %v", err)
	}
	stranger := online(t)
	same := add(t, stranger, AddRequest{Path: file})
	if _, err := stranger.Push(timeout(t), native.PushRequest{Target: target, Content: same.Hash}, Silent{}); !errors.Is(err, blobs.ErrRefused) || !strings.Contains(err.Error(), "to allow our endpoint id") {
		t.Errorf("not allowed: %v", err)
	}
	if all := list(t, to); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if _, err := from.Push(timeout(t), native.PushRequest{Target: from.ownAddr().ID.String(), Content: added.Hash}, Silent{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("to itself: %v", err)
	}
	if _, err := from.Push(timeout(t), native.PushRequest{Target: target, Content: strings.Repeat("1", 64)}, Silent{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("not here: %v", err)
	}
}

func TestObserve(t *testing.T) {
	from, to, target := pusher(t, 20<<20)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, random(1, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	added := add(t, from, AddRequest{Path: file})
	ask := func(once bool, seen func(native.Observed)) error {
		return from.Observe(timeout(t), native.ObserveRequest{Content: added.Hash, From: target, Once: once}, func(o native.Observed) error { seen(o); return nil })
	}
	var first native.Observed
	if err := ask(true, func(o native.Observed) { first = o }); !errors.Is(err, ErrNotFound) || first.Hash != "" {
		t.Errorf("%+v, %v", first, err)
	}
	var all []native.Observed
	ended := make(chan error, 1)
	asked := make(chan struct{})
	go func() {
		ended <- ask(false, func(o native.Observed) {
			if all = append(all, o); len(all) == 1 {
				close(asked)
			}
		})
	}()
	<-asked
	if _, err := from.Push(timeout(t), native.PushRequest{Target: target, Content: added.Hash}, Silent{}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if first = all[0]; first.Size != 0 || first.Complete || first.Ranges == nil {
		t.Errorf("%+v", first)
	}
	last := all[len(all)-1]
	if !last.Complete || last.Have != 3<<20 || !slices.Equal(last.Ranges, [][2]uint64{{0, 3 << 20}}) || last.From != to.ownAddr().ID.String() {
		t.Errorf("%+v", last)
	}
	// A ticket says whom to ask.
	mine, err := from.Ticket(timeout(t), native.TicketRequest{Content: added.CID})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Observe(timeout(t), native.ObserveRequest{Content: mine.Ticket}, func(o native.Observed) error { first = o; return nil }); err != nil || !first.Complete {
		t.Errorf("%+v, %v", first, err)
	}
	if err := to.Observe(timeout(t), native.ObserveRequest{Content: added.Hash}, func(native.Observed) error { return nil }); !errors.Is(err, ErrInvalid) {
		t.Errorf("nobody to ask: %v", err)
	}
}

func TestTicketSaysAsMuchAsIsAsked(t *testing.T) {
	b := online(t)
	file := add(t, b, AddRequest{Path: filepath.Join(sample(t), "big")})
	for parts, addrs := range map[string]int{"": 1, "short": 0, "relay": 0, "addrs": 1} {
		got, err := b.Ticket(timeout(t), native.TicketRequest{Content: file.CID, Parts: parts})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ticket.ParseBlob(got.Ticket)
		if err != nil || len(parsed.Addr.Direct) != addrs || len(got.Addrs) != addrs || len(parsed.Addr.Relays) != 0 || parsed.Hash.String() != file.Hash || parsed.Format != ticket.Raw {
			t.Errorf("%q: %+v, %v", parts, parsed, err)
		}
	}
	if _, err := b.Ticket(timeout(t), native.TicketRequest{Content: file.CID, Parts: "x"}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := b.Ticket(timeout(t), native.TicketRequest{Content: strings.Repeat("1", 64)}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestPeers sees a connection of each network while it lasts.
func TestPeers(t *testing.T) {
	a, b := online(t), online(t)
	added := add(t, a, AddRequest{Path: sample(t)})
	id, err := a.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Import(timeout(t), ImportRequest{Path: added.CID, From: id.Libp2pAddrs[:1]}, Silent{}); err != nil {
		t.Fatal(err)
	}
	conn, err := b.online().iroh.Presence.Endpoint.Dial(timeout(t), a.ownAddr(), blobs.ALPN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	peers := b.Peers().Peers
	if len(peers) != 2 || peers[0].Network != "iroh" || peers[1].Network != "libp2p" {
		t.Fatalf("%+v", peers)
	}
	if p := peers[0]; p.ID != id.EndpointID || p.Path != id.IrohAddrs[0] || p.Relayed || !p.Dialed || p.RTTMillis <= 0 || p.Sent == 0 || p.Received == 0 || p.Protocol != blobs.ALPN {
		t.Errorf("%+v", p)
	}
	if p := peers[1]; p.ID != id.PeerID || !strings.HasPrefix(p.Path, "/ip4/127.0.0.1/") || p.Received < added.Size || p.Transport != "tcp" {
		t.Errorf("%+v", p)
	}
}

// TestDoctorOfALocalBridge has no problems, and says what is not there.
func TestDoctorOfALocalBridge(t *testing.T) {
	b := online(t)
	d, err := b.Doctor(timeout(t))
	if err != nil || d.Problems != 0 || !d.Daemon || d.NAT != "unknown" || len(d.Relays) != 0 || len(d.Sources) != 0 || len(d.Addrs) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	var text []string
	for _, c := range d.Checks {
		text = append(text, c.Name+" "+string(c.State)+": "+c.Text)
	}
	t.Log(strings.Join(text, "\n"))
}
