package bridge

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// open opens a bridge that hears only this machine.
func open(t *testing.T, dir string, change ...func(*config.Config)) *Bridge {
	t.Helper()
	cfg := config.Default()
	cfg.Local = true
	cfg.Iroh.Listen = "127.0.0.1:0"
	cfg.Libp2p.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	for _, c := range change {
		c(&cfg)
	}
	b, err := Open(dir, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func online(t *testing.T) *Bridge {
	t.Helper()
	b := open(t, t.TempDir())
	if err := b.Online(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// sample writes a tree with everything that a folder may hold. names are files' paths and their sizes.
func sample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i, f := range []struct {
		path string
		size int
	}{
		{"a", 0}, {"a.txt", 1}, {"a-b", 1024}, {"deep/er/still/x", 16385}, {"deep/er/y", 1<<20 + 1}, {"-dash", 5},
		{" leading space", 7}, {"grüße/日本/🙂.bin", 100000}, {"quote\"'`", 3}, {"new\nline", 3}, {"big", 5<<20 + 3},
	} {
		name := filepath.Join(dir, filepath.FromSlash(f.path))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, random(uint64(i), f.size), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func add(t *testing.T, b *Bridge, req AddRequest) Content {
	t.Helper()
	c, err := b.Add(timeout(t), req, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tree reads what Open hands out: path → bytes, "/" at the end for folders, "-> target" for links.
func tree(t *testing.T, b *Bridge, target string) map[string]string {
	t.Helper()
	e, err := b.Open(timeout(t), target, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var buf bytes.Buffer
	if _, err := e.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	if !e.Folder() {
		return map[string]string{"": buf.String()}
	}
	got := map[string]string{}
	r := tar.NewReader(&buf)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			got[h.Name] = "-> " + h.Linkname
		case tar.TypeDir:
			got[h.Name] = "" // its name ends in a slash
		default:
			got[h.Name] = string(data)
		}
	}
}

func diskTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator)))
		switch {
		case d.IsDir():
			got[name+"/"] = ""
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			got[name] = "-> " + target
			return err
		default:
			data, err := os.ReadFile(path)
			got[name] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func verified(t *testing.T, b *Bridge) {
	t.Helper()
	err := b.Verify(timeout(t), VerifyRequest{}, Silent{}, func(f Finding) error {
		if !f.OK {
			t.Errorf("%s: %v", f.CID, f.Problems)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestOneContentHasOneName: however a folder comes in (added, imported, exposed), it has the same CID and the same
// hash, and comes out as it went in.
func TestOneContentHasOneName(t *testing.T) {
	dir := sample(t)
	a, imported, exposed := online(t), online(t), online(t)
	added := add(t, a, AddRequest{Path: dir})
	if len(added.Notes) != 0 {
		t.Errorf("notes about a plain folder: %q", added.Notes)
	}
	id, err := a.Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"tcp": id.Libp2pAddrs[0], "again": id.Libp2pAddrs[1]} {
		got, err := imported.Import(timeout(t), ImportRequest{Path: "/ipfs/" + added.CID, From: []string{from}}, Silent{})
		if err != nil {
			t.Fatal(name, err)
		}
		got.Ticket = added.Ticket
		if diff := cmp.Diff(added, got); diff != "" {
			t.Errorf("imported: %s", diff)
		}
	}
	// The same over iroh: UnixFS says nothing that the collection does not.
	got, err := exposed.Expose(timeout(t), ExposeRequest{Ticket: added.Ticket}, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	got.Ticket = added.Ticket
	if diff := cmp.Diff(added, got); diff != "" {
		t.Errorf("exposed: %s", diff)
	}
	want := diskTree(t, dir)
	for name, b := range map[string]*Bridge{"added": a, "imported": imported, "exposed": exposed} {
		for _, target := range []string{added.CID, added.Hash, added.Ticket, "/ipfs/" + added.CID} {
			if diff := cmp.Diff(want, tree(t, b, target)); diff != "" {
				t.Errorf("%s, by %s: %s", name, target, diff)
			}
		}
		verified(t, b)
	}
}

// TestWhatACollectionCannotSay: empty folders, links and names that a collection may not hold survive under the CID,
// and the user is told.
func TestWhatACollectionCannotSay(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "sub", "empty"), 0o755),
		os.Symlink("../elsewhere", filepath.Join(dir, "sub", "link")),
		os.WriteFile(filepath.Join(dir, `back\slash`), []byte("1"), 0o644),
		os.WriteFile(filepath.Join(dir, "bytes\xff"), []byte("2"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	a, c := online(t), online(t)
	added := add(t, a, AddRequest{Path: dir})
	want := []string{`empty folder "sub/empty"`, `symlink "sub/link"`, `name "back\\slash"`, "name \"bytes\uFFFD\" (\"bytes%FF\" in the collection)"}
	for _, w := range want {
		if !strings.Contains(strings.Join(added.Notes, "\n"), w) {
			t.Errorf("no note of %s in %q", w, added.Notes)
		}
	}
	id, err := a.Identity()
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Import(timeout(t), ImportRequest{Path: added.CID, From: id.Libp2pAddrs[:1]}, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Hash != added.Hash || len(got.Notes) != len(added.Notes) {
		t.Errorf("imported as %s with notes %q", got.Hash, got.Notes)
	}
	if diff := cmp.Diff(diskTree(t, dir), tree(t, c, added.CID)); diff != "" {
		t.Error(diff)
	}
	verified(t, c)
}

// TestMapKnowsEveryName: of a link, of a file inside one, and of a small blob by its own hash.
func TestMapKnowsEveryName(t *testing.T) {
	b := open(t, t.TempDir())
	dir := t.TempDir()
	data := random(9, 300_000)
	if err := os.WriteFile(filepath.Join(dir, "f"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	folder := add(t, b, AddRequest{Path: dir})
	v1 := add(t, b, AddRequest{Path: filepath.Join(dir, "f")})
	v0 := add(t, b, AddRequest{Path: filepath.Join(dir, "f"), Profile: "unixfs-v0-2015"})
	if v1.Hash != bao.Sum(data).String() || v0.Hash != v1.Hash || v0.CID == v1.CID || !strings.HasPrefix(v0.CID, "Qm") {
		t.Fatalf("v1 %+v, v0 %+v", v1, v0)
	}
	for _, target := range []string{v1.CID, v0.CID, v1.Hash} {
		m, err := b.Map(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if m.Hash != v1.Hash || m.Size != uint64(len(data)) || len(m.CIDs) != 3 {
			t.Errorf("%s: %+v", target, m)
		}
		if m.CIDs[2][:5] != "bafkr" || m.CIDs[0] == m.CIDs[1] {
			t.Errorf("CIDs: %q", m.CIDs)
		}
		by, err := b.Map(t.Context(), m.CIDs[2])
		if err != nil || by.Hash != v1.Hash {
			t.Errorf("by BLAKE3 CID: %+v, %v", by, err)
		}
	}
	if m, err := b.Map(t.Context(), folder.CID); err != nil || m.Format != "collection" || len(m.CIDs) != 1 {
		t.Errorf("folder: %+v, %v", m, err)
	}
}

// TestRemoveKeepsWhatOthersNeed: after rm, content is gone at once, its blobs soon, and those of another link stay.
func TestRemoveKeepsWhatOthersNeed(t *testing.T) {
	b := open(t, t.TempDir())
	dir := sample(t)
	folder := add(t, b, AddRequest{Path: dir})
	file := add(t, b, AddRequest{Path: filepath.Join(dir, "big")})
	if _, err := b.Remove(t.Context(), file.Hash); err != nil {
		t.Fatal(err)
	}
	if _, err := b.mapping.Link(t.Context(), mustCID(t, file.CID)); err == nil {
		t.Error("the link is still there")
	}
	verified(t, b)
	if got := tree(t, b, folder.CID)["big"]; len(got) != 5<<20+3 {
		t.Errorf("the folder's file has %d bytes", len(got))
	}
	if _, err := b.Remove(t.Context(), folder.CID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context(), folder.CID, Silent{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("after rm: %v", err)
	}
	waitFor(t, func() bool {
		n := 0
		for st, err := range b.store.All() {
			if err != nil {
				t.Fatal(err)
			}
			if st.State != store.Missing {
				n++
			}
		}
		return n <= 1 // the empty blob is always there
	})
	if _, err := b.Remove(t.Context(), folder.CID); !errors.Is(err, ErrNotFound) {
		t.Errorf("rm twice: %v", err)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 1200 {
		if done() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("it did not happen within a minute")
}

// TestInPlaceFileThatChanged is an error by every way out, never wrong bytes.
func TestInPlaceFileThatChanged(t *testing.T) {
	b := online(t)
	other := online(t)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, random(1, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	c := add(t, b, AddRequest{Path: name, InPlace: true})
	if got := tree(t, b, c.CID)[""]; got != string(random(1, 3<<20)) {
		t.Error("other bytes came out")
	}
	if err := os.WriteFile(name, random(2, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	e, err := b.Open(t.Context(), c.CID, Silent{})
	if err == nil {
		var buf bytes.Buffer
		if _, err = e.WriteTo(&buf); buf.Len() != 0 {
			t.Errorf("%d bytes came out", buf.Len())
		}
	}
	if !errors.Is(err, ErrVerify) {
		t.Errorf("get: %v", err)
	}
	if err := b.Verify(t.Context(), VerifyRequest{}, Silent{}, func(Finding) error { return nil }); !errors.Is(err, ErrVerify) {
		t.Errorf("verify: %v", err)
	}
	if _, err := other.Expose(timeout(t), ExposeRequest{Ticket: c.Ticket}, Silent{}); err == nil {
		t.Error("iroh served a changed file")
	}
	if _, err := b.Remove(t.Context(), c.CID); err != nil {
		t.Error("removing it:", err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, random(2, 3<<20)) {
		t.Error("the user's file was touched:", err)
	}
}

// TestRepairRebuildsTheIndex from the link and the blobs alone.
func TestRepairRebuildsTheIndex(t *testing.T) {
	b := open(t, t.TempDir())
	dir := sample(t)
	c := add(t, b, AddRequest{Path: dir, Profile: "unixfs-v0-2015"})
	link, err := b.mapping.Link(t.Context(), mustCID(t, c.CID))
	if err != nil {
		t.Fatal(err)
	}
	// A link committed again without rows has lost its index. Hold the purge off meanwhile: it would be right to take
	// the blobs that nothing refers to.
	if err := b.ops.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	tx, err := b.mapping.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context(), link); err != nil {
		t.Fatal(err)
	}
	verify := func(repair bool) (f Finding, err error) {
		err = b.Verify(t.Context(), VerifyRequest{Repair: repair}, Silent{}, func(one Finding) error { f = one; return nil })
		return f, err
	}
	if f, err := verify(false); !errors.Is(err, ErrVerify) || f.OK || f.Repaired {
		t.Fatalf("without an index: %+v, %v", f, err)
	}
	if f, err := verify(true); err != nil || !f.OK || !f.Repaired {
		t.Fatalf("repair: %+v, %v", f, err)
	}
	b.ops.Release(1)
	if err := b.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, err := verify(false); err != nil || !f.OK {
		t.Fatalf("after the repair: %+v, %v", f, err)
	}
	if diff := cmp.Diff(diskTree(t, dir), tree(t, b, c.CID)); diff != "" {
		t.Error(diff)
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	b := online(t)
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		run  func() error
		want error
	}{
		"path is not there": {func() error {
			_, err := b.Add(t.Context(), AddRequest{Path: filepath.Join(dir, "x")}, Silent{})
			return err
		}, ErrInvalid},
		"path is relative": {func() error { _, err := b.Add(t.Context(), AddRequest{Path: "x"}, Silent{}); return err }, ErrInvalid},
		"unknown profile":  {func() error { _, err := b.Add(t.Context(), AddRequest{Path: dir, Profile: "x"}, Silent{}); return err }, ErrInvalid},
		"no ticket":        {func() error { _, err := b.Expose(t.Context(), ExposeRequest{Ticket: "x"}, Silent{}); return err }, ErrInvalid},
		"no CID":           {func() error { _, err := b.Import(t.Context(), ImportRequest{Path: "x"}, Silent{}); return err }, ErrInvalid},
		"IPNS": {func() error {
			_, err := b.Import(t.Context(), ImportRequest{Path: "/ipns/example.org"}, Silent{})
			return err
		}, ErrInvalid},
		"peer is no address": {func() error {
			_, err := b.Import(t.Context(), ImportRequest{Path: unknownCID, From: []string{"x"}}, Silent{})
			return err
		}, ErrInvalid},
		"peer is not there": {func() error {
			_, err := b.Import(timeout(t), ImportRequest{Path: unknownCID, From: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWAqBFRxoR51trSy6GzfbpqkhN5kJ441FTbAoZg7umRcCS"}}, Silent{})
			return err
		}, ErrNotFound},
		"target is nothing": {func() error { _, err := b.Map(t.Context(), "x"); return err }, ErrInvalid},
		"CID is not here":   {func() error { _, err := b.Map(t.Context(), unknownCID); return err }, ErrNotFound},
		"hash is not here":  {func() error { _, err := b.Map(t.Context(), strings.Repeat("0", 64)); return err }, ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.run(); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	if err := b.List(t.Context(), func(c Content) bool { t.Errorf("left behind: %+v", c); return true }); err != nil {
		t.Error(err)
	}
}

func TestSecondProcessIsToldSo(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	cfg := config.Default()
	if _, err := Open(dir, cfg, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

// TestRemoveFreesTheDiskAtClose: a command without a daemon ends before the purge would begin by itself.
func TestRemoveFreesTheDiskAtClose(t *testing.T) {
	dir := t.TempDir()
	b := open(t, filepath.Join(dir, "data"))
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, random(3, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	c := add(t, b, AddRequest{Path: file})
	if _, err := b.Remove(t.Context(), c.CID); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(dir, "data", "blobs"), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st, err := s.Status(bao.Sum(random(3, 1<<20))); err != nil || st.State != store.Missing {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestImportFindsProviders: without a peer to ask, an import finds who announced the root on the DHT.
func TestImportFindsProviders(t *testing.T) {
	withDHT := func(peer string) *Bridge {
		b := open(t, t.TempDir(), func(c *config.Config) { c.Libp2p.Bootstrap = []string{peer} })
		if err := b.Online(t.Context()); err != nil {
			t.Fatal(err)
		}
		return b
	}
	addr := func(b *Bridge) string {
		id, err := b.Identity()
		if err != nil {
			t.Fatal(err)
		}
		return id.Libp2pAddrs[0]
	}
	hub := withDHT("/ip4/127.0.0.1/tcp/1/p2p/12D3KooWAqBFRxoR51trSy6GzfbpqkhN5kJ441FTbAoZg7umRcCS")
	a, c := withDHT(addr(hub)), withDHT(addr(hub))
	content := add(t, a, AddRequest{Path: sample(t)})
	got, err := c.Import(timeout(t), ImportRequest{Path: content.CID}, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Hash != content.Hash {
		t.Errorf("%+v", got)
	}
}

// TestDataFolderThatCannotBeOpened is an error that says where, and lets go of everything.
func TestDataFolderThatCannotBeOpened(t *testing.T) {
	for _, part := range []string{"blobs", "mapping"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, part), []byte("no folder"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := config.Default()
		if _, err := Open(dir, cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", part, err)
		}
		if err := os.Remove(filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
		open(t, dir) // the lock was let go
	}
}
