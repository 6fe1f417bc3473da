package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// files in the folder that crosses in every direction.
const folderFiles = 2000

// TestFolderFromIroh exposes a Rust node's collection and lets every peer fetch it.
func TestFolderFromIroh(t *testing.T) {
	rust, sendme := peertest.Rust(t), peertest.Sendme(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	tree := oddTree(t, folderFiles)
	node := peertest.Serve(t, rust, tree)
	d := start(t)
	connect(t, kubo, d, "tcp")
	c := do(t, d, "expose", node.Items[0].Ticket)
	if c.Hash != node.Items[0].Hash || c.Format != "collection" || c.Size != node.Items[0].Size {
		t.Errorf("exposed as %+v, want hash %s and size %d", c, node.Items[0].Hash, node.Items[0].Size)
	}
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	if want := add(t, hasher(t, profiles[0]), tree, "--only-hash"); c.CID != want {
		t.Errorf("CID %s, `ipfs add` gives %s", c.CID, want)
	}
	sameTree(t, get(t, kubo, c.CID), tree)
	sameTree(t, fetch(t, rust, c.Ticket), tree)
	sameTree(t, receive(t, sendme, c.Ticket), tree)
	t.Run("as sendme sends it", func(t *testing.T) {
		c := do(t, d, "expose", send(t, sendme, tree))
		sameTree(t, filepath.Join(getAhead(t, kubo, c.CID), filepath.Base(tree)), tree)
	})
}

// TestFolderFromIPFS imports a Kubo's folder and lets every peer fetch it.
func TestFolderFromIPFS(t *testing.T) {
	rust, sendme := peertest.Rust(t), peertest.Sendme(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	tree := oddTree(t, folderFiles)
	root := add(t, kubo, tree)
	d := start(t)
	c := do(t, d, "import", root, "--from", kubo.Addrs[0])
	if c.CID != root || c.Format != "collection" {
		t.Errorf("imported as %+v, want CID %s and a collection", c, root)
	}
	if err := kubo.Stop(); err != nil {
		t.Fatal(err)
	}
	sameTree(t, fetch(t, rust, c.Ticket), tree)
	sameTree(t, receive(t, sendme, c.Ticket), tree)
	empty := peertest.Kubo(t, peer.KuboConfig{})
	connect(t, empty, d, "quic-v1")
	sameTree(t, get(t, empty, root), tree)
	out := filepath.Join(t.TempDir(), "out")
	if r := d.Run(peertest.Context(t), "get", c.Hash, "-o", out); r.Status != 0 {
		t.Fatalf("bridge get: status %d\n%s", r.Status, r.Stderr)
	}
	sameTree(t, out, tree)
}

// TestAddedFolder adds a folder in both profiles, compares the CID with Kubo's, and lets every peer fetch it.
func TestAddedFolder(t *testing.T) {
	rust, sendme := peertest.Rust(t), peertest.Sendme(t)
	tree := oddTree(t, folderFiles)
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			d := start(t)
			c := do(t, d, "add", "--profile", profile, tree)
			if want := add(t, hasher(t, profile), tree, "--only-hash"); c.CID != want {
				t.Errorf("CID %s, `ipfs add` gives %s", c.CID, want)
			}
			kubo := peertest.Kubo(t, peer.KuboConfig{})
			connect(t, kubo, d, "tcp")
			sameTree(t, getAhead(t, kubo, c.CID), tree)
			sameTree(t, fetch(t, rust, c.Ticket), tree)
			sameTree(t, receive(t, sendme, c.Ticket), tree)
		})
	}
}

// TestWhatACollectionCannotSay adds and imports a folder with an empty folder and a symlink: the CID keeps them, the
// collection does not, and the user is told.
func TestWhatACollectionCannotSay(t *testing.T) {
	rust := peertest.Rust(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	tree := filepath.Join(t.TempDir(), "tree")
	randomFile(t, filepath.Join(tree, "sub", "file"), 5000, 1)
	if err := os.MkdirAll(filepath.Join(tree, "hollow", "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/file", filepath.Join(tree, "link")); err != nil {
		t.Fatal(err)
	}
	root := add(t, kubo, tree)
	for name, run := range map[string]func(d *peer.Daemon) peer.Content{
		"add":    func(d *peer.Daemon) peer.Content { return do(t, d, "add", "--profile", "unixfs-v0-2015", tree) },
		"import": func(d *peer.Daemon) peer.Content { return do(t, d, "import", root, "--from", kubo.Addrs[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			c := run(d)
			notes := strings.Join(c.Notes, "\n")
			for _, want := range []string{"hollow/inner", "link"} {
				if !strings.Contains(notes, want) {
					t.Errorf("nothing is said about %q in %q", want, notes)
				}
			}
			if name == "add" && c.CID != add(t, hasher(t, "unixfs-v0-2015"), tree, "--only-hash") {
				t.Errorf("CID %s is not the one of `ipfs add`", c.CID)
			}
			empty := peertest.Kubo(t, peer.KuboConfig{})
			connect(t, empty, d, "tcp")
			out := get(t, empty, c.CID)
			if target, err := os.Readlink(filepath.Join(out, "link")); err != nil || target != "sub/file" {
				t.Errorf("the symlink came back as %q, %v", target, err)
			}
			if info, err := os.Stat(filepath.Join(out, "hollow", "inner")); err != nil || !info.IsDir() {
				t.Errorf("the empty folder is gone: %v", err)
			}
			sameFile(t, filepath.Join(out, "sub", "file"), filepath.Join(tree, "sub", "file"))
			if files := listFiles(t, fetch(t, rust, c.Ticket)); strings.Join(files, " ") != "sub/file" {
				t.Errorf("the collection holds %q, want the one file", files)
			}
		})
	}
}

// TestNamesThatACollectionCannotCarry imports a folder with names that are legal in UnixFS but not in a collection: the
// CID keeps them, the collection has others, and the user is told.
func TestNamesThatACollectionCannotCarry(t *testing.T) {
	rust, sendme := peertest.Rust(t), peertest.Sendme(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	tree := filepath.Join(t.TempDir(), "tree")
	for i, name := range []string{`back\slash`, `..\..\up`, "C:", "plain"} {
		randomFile(t, filepath.Join(tree, name), int64(1000+i), uint64(i))
	}
	root := add(t, kubo, tree)
	d := start(t)
	c := do(t, d, "import", root, "--from", kubo.Addrs[0])
	notes := strings.Join(c.Notes, "\n")
	if !strings.Contains(notes, "slash") || !strings.Contains(notes, "up") {
		t.Errorf("the notes name neither file: %q", notes)
	}
	empty := peertest.Kubo(t, peer.KuboConfig{})
	connect(t, empty, d, "tcp")
	sameTree(t, get(t, empty, c.CID), tree)
	for name, got := range map[string]string{"Rust": fetch(t, rust, c.Ticket), "sendme": receive(t, sendme, c.Ticket)} {
		files := listFiles(t, got)
		if len(files) != 4 {
			t.Errorf("%s has %q, want four files", name, files)
		}
		for _, file := range files {
			if strings.Contains(file, `\`) || slices.Contains(strings.Split(file, "/"), "..") {
				t.Errorf("%s was given the name %q", name, file)
			}
		}
		sameFile(t, filepath.Join(got, "plain"), filepath.Join(tree, "plain"))
	}
}

// TestEmptyFolder crosses a folder that holds nothing at all.
func TestEmptyFolder(t *testing.T) {
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	tree := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	d := start(t)
	c := do(t, d, "add", tree)
	if want := add(t, hasher(t, profiles[0]), tree, "--only-hash"); c.CID != want {
		t.Errorf("CID %s, `ipfs add` gives %s", c.CID, want)
	}
	connect(t, kubo, d, "tcp")
	if files := listFiles(t, get(t, kubo, c.CID)); len(files) != 0 {
		t.Errorf("an empty folder came back with %q", files)
	}
	root := add(t, kubo, tree, "--cid-version=0")
	if imported := do(t, d, "import", root, "--from", kubo.Addrs[0]); imported.CID != root || imported.Format != "collection" {
		t.Errorf("imported as %+v", imported)
	}
}

// TestPathWithinAFolder imports one file of a folder by its path.
func TestPathWithinAFolder(t *testing.T) {
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	tree := filepath.Join(t.TempDir(), "tree")
	file := randomFile(t, filepath.Join(tree, "a b", "ü%2f.bin"), 3_000_000, 5)
	root := add(t, kubo, tree)
	d := start(t)
	c := do(t, d, "import", "/ipfs/"+root+"/a b/ü%2f.bin", "--from", kubo.Addrs[0])
	if c.Format != "blob" || c.Size != 3_000_000 {
		t.Errorf("imported as %+v", c)
	}
	want, err := kubo.Line(peertest.Context(t), "files", "stat", "--hash", "/ipfs/"+root+"/a b/ü%2f.bin")
	if err != nil {
		t.Fatal(err)
	}
	if c.CID != want {
		t.Errorf("CID %s, Kubo has %s there", c.CID, want)
	}
	r := d.Run(peertest.Context(t), "get", c.CID, "-o", "-")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != 0 || !bytes.Equal(r.Stdout, data) {
		t.Errorf("get -o -: status %d, %d bytes\n%s", r.Status, len(r.Stdout), r.Stderr)
	}
}
