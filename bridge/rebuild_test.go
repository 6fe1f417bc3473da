package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iroh-ipfs/bridge/bridge/collection"
	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/layout"
)

// rebuildVariable makes this program a process that rebuilds the data folder which it names, to be killed.
const rebuildVariable = "BRIDGE_TEST_REBUILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(rebuildVariable); dir != "" {
		_, err := Rebuild(context.Background(), dir, config.Default(), slog.New(slog.DiscardHandler), Silent{}, func(Finding) error { return nil })
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// rebuild repairs a folder and returns what was said of each link, by CID.
func rebuild(t *testing.T, dir string) (Rebuilt, map[string]Finding, error) {
	t.Helper()
	found := map[string]Finding{}
	done, err := Rebuild(timeout(t), dir, config.Default(), slog.New(slog.DiscardHandler), Silent{}, func(f Finding) error {
		found[f.CID] = f
		return nil
	})
	return done, found, err
}

// openError opens a folder that should not open.
func openError(dir string) error {
	b, err := Open(dir, config.Default(), slog.New(slog.DiscardHandler))
	if err == nil {
		err = b.Close()
	}
	return err
}

func closed(t *testing.T, b *Bridge) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func listed(t *testing.T, b *Bridge) []string {
	t.Helper()
	var all []string
	if err := b.List(t.Context(), func(c Content) bool { all = append(all, c.CID); return true }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// linked is a data folder with links of several kinds, closed, and what is in them.
type linkedFolder struct {
	dir, sample, inPlace string
	contents             []Content
}

func linkedContents(t *testing.T) *linkedFolder {
	t.Helper()
	l := &linkedFolder{dir: filepath.Join(t.TempDir(), "data"), sample: sample(t), inPlace: filepath.Join(t.TempDir(), "f")}
	if err := os.WriteFile(l.inPlace, random(21, 2<<20+5), 0o644); err != nil {
		t.Fatal(err)
	}
	b := open(t, l.dir)
	l.contents = []Content{
		add(t, b, AddRequest{Path: l.sample}),
		add(t, b, AddRequest{Path: l.sample, Profile: "unixfs-v0-2015"}),
		add(t, b, AddRequest{Path: l.inPlace, InPlace: true}),
		add(t, b, AddRequest{Path: filepath.Join(l.sample, "a")}), // the empty file
		add(t, b, AddRequest{Path: filepath.Join(l.sample, "deep"), Profile: "unixfs-v0-2015"}),
	}
	closed(t, b)
	return l
}

// check opens the folder and looks whether everything is as it was.
func (l *linkedFolder) check(t *testing.T) {
	t.Helper()
	b := open(t, l.dir)
	verified(t, b)
	var want []string
	var v0, inPlace string
	for _, c := range l.contents {
		want = append(want, c.CID)
		switch {
		case c.Format == "collection" && v0 == "" && c.Size > 5<<20 && strings.HasPrefix(c.CID, "Qm"):
			v0 = c.CID
		case c.Size == 2<<20+5:
			inPlace = c.Hash
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, listed(t, b)); diff != "" {
		t.Error(diff)
	}
	var got []Content
	for _, c := range l.contents {
		link, err := b.mapping.Link(t.Context(), mustCID(t, c.CID))
		if err != nil {
			t.Fatal(err)
		}
		one := b.describe(link)
		one.Ticket = c.Ticket
		got = append(got, one)
	}
	if diff := cmp.Diff(l.contents, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(diskTree(t, l.sample), tree(t, b, v0)); diff != "" {
		t.Error(diff)
	}
	if got := tree(t, b, inPlace)[""]; got != string(random(21, 2<<20+5)) {
		t.Error("the file in place has other bytes")
	}
	closed(t, b)
}

// damages are ways in which the mapping database is found damaged.
var damages = map[string]func(mapping string) error{
	"the folder is gone":   os.RemoveAll,
	"the folder is empty":  func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)) },
	"a file in its place":  func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, []byte("x"), 0o600)) },
	"the manifest is gone": func(dir string) error { return removeAll(dir, "MANIFEST-*") },
	"the marker is gone":   func(dir string) error { return removeAll(dir, "marker.manifest*") },
	"the manifest is empty": func(dir string) error {
		names, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
		for _, name := range names {
			err = errors.Join(err, os.Truncate(name, 0))
		}
		return err
	},
}

func removeAll(dir, pattern string) error {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if len(names) == 0 {
		err = errors.Join(err, os.ErrNotExist)
	}
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// TestRebuild: whatever became of the mapping database, opening says what to do, and doing it brings everything back.
func TestRebuild(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			l := linkedContents(t)
			at := filepath.Join(l.dir, "mapping")
			if err := damage(at); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := openError(l.dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "bridge verify --repair") {
					t.Fatalf("opened: %v", err)
				}
			}
			done, found, err := rebuild(t, l.dir)
			if err != nil || done.Links != len(l.contents) || done.Lost != 0 {
				t.Fatalf("%+v, %v", done, err)
			}
			for _, c := range l.contents {
				if f := found[c.CID]; !f.OK || !f.Restored || len(f.Problems) != 0 {
					t.Errorf("%+v", f)
				}
			}
			if _, err := os.Stat(done.Aside); (err != nil) != strings.Contains(name, "the folder is") {
				t.Errorf("set aside in %q: %v", done.Aside, err)
			}
			l.check(t)
		})
	}
}

// TestRebuildAnywhere: bits flip anywhere in the database. It is opened and right, or verify finds the damage, or it
// cannot be opened; a repair ends with everything there.
func TestRebuildAnywhere(t *testing.T) {
	l := linkedContents(t)
	whole := l.dir
	r := rand.New(rand.NewPCG(7, 8))
	rebuilt := 0
	for range 12 {
		l.dir = filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(l.dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		flipAnywhere(t, filepath.Join(l.dir, "mapping"), r)
		again := false
		b, err := Open(l.dir, config.Default(), slog.New(slog.DiscardHandler))
		if err == nil {
			err = b.Verify(timeout(t), VerifyRequest{Repair: true}, Silent{}, func(f Finding) error {
				if !f.OK {
					t.Errorf("%+v", f)
				}
				return nil
			})
			again = errors.Is(err, ErrDamaged)
			if err != nil && !again {
				t.Errorf("verify: %v", err)
			}
			if err := b.Close(); err != nil && !again {
				t.Error(err)
			}
		} else if again = errors.Is(err, ErrDamaged); !again {
			t.Errorf("open: %v", err)
		}
		if again {
			rebuilt++
			if _, _, err := rebuild(t, l.dir); err != nil {
				t.Fatal(err)
			}
		}
		l.check(t)
	}
	if rebuilt == 0 {
		t.Error("none of the databases was damaged: the test means little")
	}
}

// flipAnywhere changes some bytes of some files of a folder.
func flipAnywhere(t *testing.T, dir string, r *rand.Rand) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for range 4 {
		name := names[r.IntN(len(names))]
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if len(data) > 0 {
				data[r.IntN(len(data))] ^= byte(1 + r.IntN(255))
			}
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRebuildKilled at random points: the folder is as it was, damaged, or all is back. Nothing in between is seen.
func TestRebuildKilled(t *testing.T) {
	l := linkedContents(t)
	if err := removeAll(filepath.Join(l.dir, "mapping"), "MANIFEST-*"); err != nil {
		t.Fatal(err)
	}
	whole := l.dir
	var before, after, span int
	for round := 0; round < 16 || (before == 0 || after == 1) && round < 200; round++ {
		l.dir = filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(l.dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), rebuildVariable+"="+l.dir)
		begun := time.Now()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			time.Sleep(time.Duration(rand.IntN(span * 5 / 4)))
			_ = c.Process.Kill() // it may have ended
		}
		err := c.Wait()
		if round == 0 { // the first one shows how long it takes
			if err != nil {
				t.Fatal(err)
			}
			span = int(time.Since(begun))
		}
		if err := openError(l.dir); errors.Is(err, ErrDamaged) {
			before++
			span += span / 8
			if _, _, err := rebuild(t, l.dir); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Fatal(err)
		} else {
			after++
			span -= span / 8 // the first one may have been slow
		}
		l.check(t)
		if left, _ := filepath.Glob(filepath.Join(l.dir, "mapping.fill*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if left, _ := filepath.Glob(filepath.Join(l.dir, "mapping.damaged.*")); len(left) != 1 {
			t.Errorf("%d damaged databases are kept", len(left))
		}
	}
	t.Logf("damaged after %d kills, whole after %d", before, after)
	if before == 0 || after == 1 {
		t.Errorf("damaged %d times, whole %d times: the test means little", before, after)
	}
}

// TestRebuildInterrupted: a repair that is cut off by its context, or fails, leaves things as they were.
func TestRebuildInterrupted(t *testing.T) {
	l := linkedContents(t)
	if err := removeAll(filepath.Join(l.dir, "mapping"), "MANIFEST-*"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Rebuild(ctx, l.dir, config.Default(), slog.New(slog.DiscardHandler), Silent{}, func(Finding) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := openError(l.dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened: %v", err)
	}
	if _, _, err := rebuild(t, l.dir); err != nil {
		t.Fatal(err)
	}
	l.check(t)
	b := open(t, l.dir)
	if _, _, err := rebuild(t, l.dir); !errors.Is(err, ErrBusy) {
		t.Errorf("beside an open bridge: %v", err)
	}
	closed(t, b)
	if _, _, err := rebuild(t, t.TempDir()); !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestRebuildTrustsNoLookalike: a file that somebody added, whose bytes are those of a layout, makes no link: be they
// those of a link that was removed, or made up. What was removed does not come back though all of it is still there.
func TestRebuildTrustsNoLookalike(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := open(t, dir)
	if err := b.ops.Acquire(t.Context(), 1); err != nil { // nothing is purged
		t.Fatal(err)
	}
	names := filesOf(t, map[string][]byte{"secret": random(31, 300_000), "kept": random(32, 300_000)})
	secret, kept := add(t, b, AddRequest{Path: names["secret"]}), add(t, b, AddRequest{Path: names["kept"]})
	real, err := collection.ReadBlob(b.store, layoutOf(t, b, secret.CID))
	if err != nil {
		t.Fatal(err)
	}
	var made strings.Builder
	w := layout.NewWriter(&made)
	h := bao.Sum(random(32, 300_000))
	if err := errors.Join(w.File(h, 300_000, mustCID(t, unknownCID)), w.Close(mapping.Link{
		CID: mustCID(t, unknownCID), Hash: h, Format: mapping.FormatBlob, Size: 300_000, Blocks: 1,
	})); err != nil {
		t.Fatal(err)
	}
	fakes := filesOf(t, map[string][]byte{"copy": real, "made up": []byte(made.String())})
	want := []string{kept.CID, add(t, b, AddRequest{Path: fakes["copy"]}).CID, add(t, b, AddRequest{Path: fakes["made up"]}).CID}
	slices.Sort(want)
	if _, err := b.Remove(t.Context(), secret.CID); err != nil {
		t.Fatal(err)
	}
	closed(t, b)
	if err := os.RemoveAll(filepath.Join(dir, "mapping")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := rebuild(t, dir); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if st, err := b.store.Status(bao.Sum(random(31, 300_000))); err != nil || st.State != store.Complete {
		t.Errorf("the bytes that were removed are gone already: the test means little: %+v, %v", st, err)
	}
	if diff := cmp.Diff(want, listed(t, b)); diff != "" {
		t.Error(diff)
	}
	if _, err := b.Map(t.Context(), secret.CID); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was removed: %v", err)
	}
	verified(t, b)
}

// filesOf writes files and returns their paths.
func filesOf(t *testing.T, files map[string][]byte) map[string]string {
	t.Helper()
	dir, paths := t.TempDir(), map[string]string{}
	for name, data := range files {
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func layoutOf(t *testing.T, b *Bridge, cid string) bao.Hash {
	t.Helper()
	l, err := b.mapping.Link(t.Context(), mustCID(t, cid))
	if err != nil {
		t.Fatal(err)
	}
	return l.Layout
}

// TestRebuildVerifies: a link comes back only with good bytes. It is named until they are good again, and then comes
// back, or until it is removed.
func TestRebuildVerifies(t *testing.T) {
	l := linkedContents(t)
	if err := errors.Join(os.RemoveAll(filepath.Join(l.dir, "mapping")), os.Remove(l.inPlace)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(l.dir, "blobs", "data", "*", bao.Sum(random(10, 5<<20+3)).String()+".data")
	paths, err := filepath.Glob(data)
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	good, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	bad[4<<20] ^= 1
	if err := os.WriteFile(paths[0], bad, 0o600); err != nil {
		t.Fatal(err)
	}
	done, found, err := rebuild(t, l.dir)
	if !errors.Is(err, ErrPartial) || errors.Is(err, ErrVerify) || done.Links != 2 || done.Lost != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	for i, ok := range []bool{false, false, false, true, true} {
		if f := found[l.contents[i].CID]; f.OK != ok || f.Restored != ok || (len(f.Problems) == 0) != ok {
			t.Errorf("%d: %+v", i, f)
		}
	}
	b := open(t, l.dir)
	if err := b.look(t.Context()); err != nil { // nor does a start bring it back
		t.Fatal(err)
	}
	if n := len(listed(t, b)); n != 2 {
		t.Errorf("%d links", n)
	}
	for _, repair := range []bool{false, true} {
		lost := 0
		err := b.Verify(timeout(t), VerifyRequest{Repair: repair}, Silent{}, func(f Finding) error {
			if !f.OK {
				lost++
			}
			return nil
		})
		if !errors.Is(err, ErrPartial) || errors.Is(err, ErrDamaged) || lost != 3 {
			t.Errorf("repair %v: %d are lost, %v", repair, lost, err)
		}
	}
	// What they need is kept when something else goes that needs it too: one is given up for good, one is mended.
	for _, i := range []int{1, 2, 4} {
		if m, err := b.Remove(t.Context(), l.contents[i].CID); err != nil || m.CID != l.contents[i].CID {
			t.Fatalf("%+v, %v", m, err)
		}
		if _, err := b.Remove(t.Context(), l.contents[i].CID); !errors.Is(err, ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
		if err := b.purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(paths[0], good, 0o600); err != nil {
		t.Fatal(err)
	}
	closed(t, b) // the open files are those of before
	b = open(t, l.dir)
	restored := 0
	if err := b.Verify(timeout(t), VerifyRequest{Repair: true}, Silent{}, func(f Finding) error {
		if f.Restored {
			restored++
		}
		return nil
	}); err != nil || restored != 1 {
		t.Errorf("%d are back, %v", restored, err)
	}
	if n := len(listed(t, b)); n != 2 {
		t.Errorf("%d links", n)
	}
	verified(t, b)
	if diff := cmp.Diff(diskTree(t, l.sample), tree(t, b, l.contents[0].CID)); diff != "" {
		t.Error(diff)
	}
	// With nothing lost, what was given up is deleted.
	if err := b.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, err := b.store.Status(bao.Sum(random(21, 2<<20+5))); err != nil || st.State != store.Missing {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestLinksThatTheMappingForgot: a database that opens well, and has forgotten what came last, as a lost log would have
// it. Verify names the link and brings it back; a start brings it back by itself, before anything is deleted.
func TestLinksThatTheMappingForgot(t *testing.T) {
	l := linkedContents(t)
	at := filepath.Join(l.dir, "mapping")
	before := filepath.Join(t.TempDir(), "before")
	if err := os.CopyFS(before, os.DirFS(at)); err != nil {
		t.Fatal(err)
	}
	b := open(t, l.dir)
	last := add(t, b, AddRequest{Path: filepath.Join(l.sample, "a-b")})
	l.contents = append(l.contents, last)
	closed(t, b)
	forget := func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(at), os.CopyFS(at, os.DirFS(before))); err != nil {
			t.Fatal(err)
		}
	}

	forget()
	b = open(t, l.dir)
	if err := b.ops.Acquire(t.Context(), 1); err != nil { // as an operation does: the audit waits
		t.Fatal(err)
	}
	for _, repair := range []bool{false, true} {
		var f Finding
		err := b.Verify(timeout(t), VerifyRequest{Repair: repair}, Silent{}, func(one Finding) error {
			if one.CID == last.CID {
				f = one
			} else if !one.OK {
				t.Errorf("%+v", one)
			}
			return nil
		})
		if (err == nil) != repair || f.OK != repair || f.Restored != repair || f.CID != last.CID {
			t.Errorf("repair %v: %+v, %v", repair, f, err)
		}
	}
	b.ops.Release(1)
	closed(t, b)
	l.check(t)

	forget()
	b = open(t, l.dir)
	if _, err := b.Remove(t.Context(), l.contents[0].CID); err != nil { // there is something to delete
		t.Fatal(err)
	}
	l.contents = l.contents[1:]
	purged(t, b)
	if _, err := b.Map(t.Context(), last.CID); err != nil {
		t.Error(err)
	}
	closed(t, b)
	l.check(t)
}

// TestRegisterFollowsLinks: however adding and removing the same things overlap, the register has what is linked.
func TestRegisterFollowsLinks(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "data"))
	names := filesOf(t, map[string][]byte{"a": random(1, 100), "b": random(2, 20_000)})
	var work sync.WaitGroup
	for worker := range 6 {
		work.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 40 {
				name := names[[]string{"a", "b"}[r.IntN(2)]]
				if worker%2 == 0 {
					if _, err := b.Add(t.Context(), AddRequest{Path: name}, Silent{}); err != nil {
						t.Error(err)
					}
					continue
				}
				data, err := os.ReadFile(name)
				if err != nil {
					t.Error(err)
				}
				if _, err := b.Remove(t.Context(), bao.Sum(data).String()); err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if err := b.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want []bao.Hash
	for l, err := range b.mapping.Links(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, l.Layout)
	}
	got, err := b.register.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	order := func(a, b bao.Hash) int { return slices.Compare(a[:], b[:]) }
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestFolderWithoutRegister: links that were made before there was a register are in it after the next start.
func TestFolderWithoutRegister(t *testing.T) {
	l := linkedContents(t)
	s, err := store.Open(filepath.Join(l.dir, "blobs"), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for tag, err := range s.Tags() {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag.Name)
	}
	if len(tags) != len(l.contents)+1 {
		t.Errorf("tags: %q", tags)
	}
	for _, name := range tags {
		if err := s.DeleteTag(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l.check(t)
	if err := os.RemoveAll(filepath.Join(l.dir, "mapping")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := rebuild(t, l.dir); err != nil {
		t.Fatal(err)
	}
	l.check(t)
}
