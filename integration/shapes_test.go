package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// A shape is one way in which Kubo lays out a DAG.
type shape struct {
	name  string
	path  string   // what is added
	flags []string // of `ipfs add`
	// settings are changed before the add, for all that follow.
	settings [][2]string
}

// shapes returns every kind of DAG that Kubo can make.
func shapes(t *testing.T) []shape {
	dir := t.TempDir()
	big := randomFile(t, filepath.Join(dir, "big"), 6_500_001, 1)
	small := randomFile(t, filepath.Join(dir, "small"), 20, 2)
	tree := filepath.Join(dir, "tree")
	for i := range 30 {
		randomFile(t, filepath.Join(tree, fmt.Sprint(i%4), fmt.Sprintf("file %d", i)), int64(i*i*i*20), uint64(i))
	}
	if err := os.Symlink("0/file 0", filepath.Join(tree, "link")); err != nil {
		t.Fatal(err)
	}
	wide := filepath.Join(dir, "wide") // with Kubo's threshold of 256 KiB this folder becomes a HAMT
	for i := range 3000 {
		randomFile(t, filepath.Join(wide, fmt.Sprintf("a file with quite a long name, so that the folder grows %064d", i)), 10, uint64(i))
	}
	repeated := filepath.Join(dir, "repeated")
	if err := os.WriteFile(repeated, []byte(strings.Repeat("the same block again and again..", 1<<16)), 0o644); err != nil {
		t.Fatal(err)
	}
	return []shape{
		{name: "defaults, CIDv0", path: big},
		{name: "CIDv1", path: big, flags: []string{"--cid-version=1"}},
		{name: "rabin", path: big, flags: []string{"--chunker=rabin"}},
		{name: "rabin 1000-2000-4000", path: big, flags: []string{"--chunker=rabin-1000-2000-4000"}},
		{name: "buzhash", path: big, flags: []string{"--chunker=buzhash"}},
		{name: "size-1000", path: big, flags: []string{"--chunker=size-1000"}},
		{name: "size-1000 raw leaves", path: big, flags: []string{"--chunker=size-1000", "--raw-leaves"}},
		{name: "size-2MiB", path: big, flags: []string{"--chunker=size-2000000"}},
		{name: "trickle", path: big, flags: []string{"--trickle"}},
		{name: "trickle size-1000", path: big, flags: []string{"--trickle", "--chunker=size-1000"}},
		{name: "CIDv0 small", path: small, flags: []string{"--cid-version=0"}},
		{name: "CIDv1 wrapped leaves", path: big, flags: []string{"--cid-version=1", "--raw-leaves=false"}},
		{name: "blake3", path: big, flags: []string{"--hash=blake3"}},
		{name: "blake3 one block", path: small, flags: []string{"--hash=blake3"}},
		{name: "sha2-512", path: big, flags: []string{"--hash=sha2-512"}},
		{name: "blake2b-256", path: big, flags: []string{"--hash=blake2b-256"}},
		{name: "sha3-256 folder", path: tree, flags: []string{"--hash=sha3-256"}},
		{name: "inlined file", path: small, flags: []string{"--inline", "--inline-limit=32", "--cid-version=1"}},
		{name: "inlined files in a folder", path: tree, flags: []string{"--inline", "--inline-limit=120", "--cid-version=1"}},
		{name: "width 2", path: big, flags: []string{"--max-file-links=2", "--chunker=size-65536"}},
		{name: "repeated blocks", path: repeated, flags: []string{"--chunker=size-32"}},
		{name: "wrapped in a directory", path: big, flags: []string{"-w"}},
		{name: "folder", path: tree},
		{name: "folder CIDv1", path: tree, flags: []string{"--cid-version=1"}},
		{name: "folder blake3", path: tree, flags: []string{"--hash=blake3"}},
		{name: "modes and times", path: tree, flags: []string{"--preserve-mode", "--preserve-mtime"}},
		{name: "HAMT", path: wide},
		{name: "HAMT CIDv1", path: wide, flags: []string{"--cid-version=1"}},
		{name: "HAMT fanout 16", path: wide, settings: [][2]string{{"Import.UnixFSHAMTDirectoryMaxFanout", "16"}}},
		{name: "HAMT of few", path: tree, settings: [][2]string{{"Import.UnixFSHAMTDirectorySizeThreshold", `"1B"`}}},
	}
}

// TestShapesOutliveTheirKubo imports a DAG of every shape from one Kubo, ends that Kubo and the bridge, and serves every
// one from the restarted bridge to a second, empty Kubo under the same CID and block by block.
func TestShapesOutliveTheirKubo(t *testing.T) {
	rust := peertest.Rust(t)
	ctx := peertest.Context(t)
	first := peertest.Kubo(t, peer.KuboConfig{})
	d := start(t)
	all := shapes(t)
	roots, blocks := make([]string, len(all)), make([]string, len(all))
	contents := make([]peer.Content, len(all))
	for i, s := range all {
		for _, setting := range s.settings {
			if _, err := first.Run(ctx, "config", "--json", setting[0], setting[1]); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.settings) > 0 {
			restart(t, first)
		}
		roots[i] = add(t, first, s.path, s.flags...)
		blocks[i] = refs(t, first, roots[i])
		t.Run("import "+s.name, func(t *testing.T) {
			contents[i] = do(t, d, "import", roots[i], "--from", first.Addrs[0])
			if contents[i].CID != roots[i] {
				t.Errorf("imported as %s, want %s", contents[i].CID, roots[i])
			}
		})
	}
	if len(slices.Compact(slices.Sorted(slices.Values(roots)))) != len(roots) {
		t.Errorf("two shapes have the same root: the flags do nothing\n%s", strings.Join(roots, "\n"))
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(first.Repo); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	d = start(t, d.Data)
	second := peertest.Kubo(t, peer.KuboConfig{})
	connect(t, second, d, "tcp")
	for i, s := range all {
		t.Run("serve "+s.name, func(t *testing.T) {
			if contents[i].CID == "" {
				t.Skip("it was not imported")
			}
			same := sameFile
			got := getAhead(t, second, roots[i])
			want := s.path
			switch info, err := os.Stat(s.path); {
			case err != nil:
				t.Fatal(err)
			case info.IsDir():
				same = sameTree
			case slices.Contains(s.flags, "-w"):
				got = filepath.Join(got, filepath.Base(s.path))
			}
			same(t, got, want)
			if after := refs(t, second, roots[i]); after != blocks[i] {
				t.Error("the blocks of the DAG are not the ones that were imported")
			}
			got = fetch(t, rust, do(t, d, "import", roots[i]).Ticket)
			switch info, err := os.Stat(s.path); {
			case err != nil:
				t.Fatal(err)
			case info.IsDir():
				sameRegularFiles(t, got, s.path)
			case slices.Contains(s.flags, "-w"):
				sameFile(t, filepath.Join(got, filepath.Base(s.path)), s.path)
			default:
				sameFile(t, got, s.path)
			}
		})
	}
}

// TestModesAndTimes imports a folder with permissions and times, which a collection cannot say: the user is told of each,
// and they are there again when the bridge or a Kubo writes the folder to disk.
func TestModesAndTimes(t *testing.T) {
	first := peertest.Kubo(t, peer.KuboConfig{})
	tree := filepath.Join(t.TempDir(), "tree")
	modes := map[string]os.FileMode{"script": 0o755, "secret": 0o600, "sub": 0o750, "sub/plain": 0o644, "sub/large": 0o400}
	when := func(name string) time.Time { return time.Unix(1_500_000_000+int64(len(name))*86_400, 123_000_000) }
	for i, name := range []string{"script", "secret", "sub/plain", "sub/large"} {
		randomFile(t, filepath.Join(tree, name), int64(1+i*700_000), uint64(i))
	}
	for _, name := range []string{"script", "secret", "sub/plain", "sub/large", "sub"} { // folders after what is in them
		path := filepath.Join(tree, name)
		if err := errors.Join(os.Chmod(path, modes[name]), os.Chtimes(path, when(name), when(name))); err != nil {
			t.Fatal(err)
		}
	}
	root := add(t, first, tree, "--preserve-mode", "--preserve-mtime")
	d := start(t)
	c := do(t, d, "import", root, "--from", first.Addrs[0])
	if c.CID != root {
		t.Errorf("imported as %s, want %s", c.CID, root)
	}
	for name := range modes {
		for _, what := range []string{"mode of", "modification time of"} {
			if note := fmt.Sprintf("%s %q", what, name); !slices.Contains(c.Notes, note) {
				t.Errorf("no note says %s: %q", note, c.Notes)
			}
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	if r := d.Run(peertest.Context(t), "get", root, "-o", out); r.Status != 0 {
		t.Fatalf("get: status %d\n%s", r.Status, r.Stderr)
	}
	second := peertest.Kubo(t, peer.KuboConfig{})
	connect(t, second, d, "tcp")
	for who, got := range map[string]string{"the bridge": out, "Kubo": get(t, second, root)} {
		for name, mode := range modes {
			info, err := os.Stat(filepath.Join(got, name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != mode || !info.ModTime().Equal(when(name)) {
				t.Errorf("%s wrote %s with mode %o and time %v, want %o and %v", who, name, info.Mode().Perm(), info.ModTime(), mode, when(name))
			}
		}
		sameTree(t, got, tree)
	}
}

// sameRegularFiles fails the test unless got holds the files of want and nothing else: a collection has no symlinks.
func sameRegularFiles(t *testing.T, got, want string) {
	t.Helper()
	regular := slices.DeleteFunc(listFiles(t, want), func(name string) bool {
		info, err := os.Lstat(filepath.Join(want, name))
		return err == nil && !info.Mode().IsRegular()
	})
	if have := listFiles(t, got); !slices.Equal(have, regular) {
		t.Fatalf("%d files came, %d should have: %q is missing, %q is too many", len(have), len(regular), missing(regular, have), missing(have, regular))
	}
	for _, name := range regular {
		sameFile(t, filepath.Join(got, name), filepath.Join(want, name))
	}
}

// refs lists every CID below a root, each once.
func refs(t *testing.T, k *peer.KuboNode, root string) string {
	t.Helper()
	out, err := k.Run(peertest.Context(t), "refs", "-r", "-u", root)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// restart ends a Kubo's daemon and starts it again, so that changed settings count.
func restart(t *testing.T, k *peer.KuboNode) {
	t.Helper()
	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(peertest.Context(t)); err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, k.Process)
}

// TestNotUnixFSIsRefused imports a dag-cbor node and a dag-pb node that is not UnixFS: an error that names the CID,
// and nothing is left behind.
func TestNotUnixFSIsRefused(t *testing.T) {
	ctx := peertest.Context(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	d := start(t)
	for codec, node := range map[string]string{
		"dag-cbor": `{"some":"node","n":1}`,
		"dag-json": `{"other":[1,2,3]}`,
		"dag-pb":   `{"Data":{"/":{"bytes":"bm90IHVuaXhmcw"}},"Links":[]}`,
	} {
		t.Run(codec, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "node")
			if err := os.WriteFile(path, []byte(node), 0o644); err != nil {
				t.Fatal(err)
			}
			cid, err := kubo.Line(ctx, "dag", "put", "--input-codec=dag-json", "--store-codec="+codec, path)
			if err != nil {
				t.Fatal(err)
			}
			r := d.Run(ctx, "import", cid, "--from", kubo.Addrs[0])
			if r.Status != 1 || !strings.Contains(r.Stderr, cid) {
				t.Errorf("status %d, stderr %q; want 1 and a word about %s", r.Status, r.Stderr, cid)
			}
			if list := d.Run(ctx, "ls", "--json"); len(list.Stdout) != 0 {
				t.Errorf("something was left behind: %s", list.Stdout)
			}
		})
	}
}
