package integration

import (
	"path/filepath"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// TestBlobsFromIroh lets a Rust node hold files of every size, exposes each, and fetches each with `ipfs get` over TCP
// and with a second Rust node.
func TestBlobsFromIroh(t *testing.T) {
	rust := peertest.Rust(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{Transport: "tcp"})
	v1 := hasher(t, profiles[0])
	dir := ladder(t)
	var paths []string
	for _, size := range sizes {
		paths = append(paths, filepath.Join(dir, sizeName(size)))
	}
	node := peertest.Serve(t, rust, paths...)
	d := start(t)
	connect(t, kubo, d, "tcp")
	for i, size := range sizes {
		t.Run(sizeName(size), func(t *testing.T) {
			c := do(t, d, "expose", node.Items[i].Ticket)
			if c.Hash != node.Items[i].Hash || c.Format != "blob" || c.Size != uint64(size) {
				t.Errorf("exposed as %+v, want hash %s and size %d", c, node.Items[i].Hash, size)
			}
			if want := add(t, v1, paths[i], "--only-hash"); c.CID != want {
				t.Errorf("CID %s, `ipfs add` gives %s", c.CID, want)
			}
			sameFile(t, get(t, kubo, c.CID), paths[i])
			sameFile(t, fetch(t, rust, c.Ticket), paths[i])
		})
	}
}

// TestFilesFromIPFS lets a Kubo hold files of every size, imports each over QUIC, and fetches each with a Rust node.
func TestFilesFromIPFS(t *testing.T) {
	rust := peertest.Rust(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{Transport: "quic"})
	dir := ladder(t)
	d := start(t)
	store := filepath.Join(t.TempDir(), "hashes")
	for _, size := range sizes {
		t.Run(sizeName(size), func(t *testing.T) {
			path := filepath.Join(dir, sizeName(size))
			root := add(t, kubo, path)
			c := do(t, d, "import", root, "--from", kubo.Addrs[0])
			if c.CID != root || c.Format != "blob" || c.Size != uint64(size) {
				t.Errorf("imported as %+v, want CID %s and size %d", c, root, size)
			}
			known, err := rust.Import(peertest.Context(t), store, path)
			if err != nil {
				t.Fatal(err)
			}
			if c.Hash != known.Hash {
				t.Errorf("hash %s, iroh-blobs gives %s", c.Hash, known.Hash)
			}
			sameFile(t, fetch(t, rust, c.Ticket), path)
			out := filepath.Join(t.TempDir(), "out")
			if r := d.Run(peertest.Context(t), "get", root, "-o", out); r.Status != 0 {
				t.Fatalf("bridge get: status %d\n%s", r.Status, r.Stderr)
			}
			sameFile(t, out, path)
		})
	}
}

// TestSendmeBothRoles sends the ladder with sendme through the bridge to a Kubo, and from the bridge to sendme.
func TestSendmeBothRoles(t *testing.T) {
	sendme := peertest.Sendme(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	dir := ladder(t)
	d := start(t)
	connect(t, kubo, d, "quic-v1")

	t.Run("sends a folder", func(t *testing.T) {
		c := do(t, d, "expose", send(t, sendme, dir))
		if c.Format != "collection" {
			t.Errorf("exposed as %s, want a collection", c.Format)
		}
		sameTree(t, filepath.Join(get(t, kubo, c.CID), filepath.Base(dir)), dir)
	})
	for _, size := range sizes {
		t.Run("sends one file/"+sizeName(size), func(t *testing.T) {
			c := do(t, d, "expose", send(t, sendme, filepath.Join(dir, sizeName(size))))
			sameFile(t, filepath.Join(get(t, kubo, c.CID), sizeName(size)), filepath.Join(dir, sizeName(size)))
		})
	}
	t.Run("receives what was added", func(t *testing.T) {
		sameTree(t, receive(t, sendme, do(t, d, "add", dir).Ticket), dir)
	})
	t.Run("receives what was imported", func(t *testing.T) {
		other := peertest.Kubo(t, peer.KuboConfig{})
		c := do(t, d, "import", add(t, other, dir, "--chunker=size-300000"), "--from", other.Addrs[0])
		sameTree(t, receive(t, sendme, c.Ticket), dir)
	})
}

// TestAddedFilesOnBothNetworks adds files of every size in both profiles and fetches them on both networks.
func TestAddedFilesOnBothNetworks(t *testing.T) {
	rust := peertest.Rust(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	dir := ladder(t)
	for _, profile := range profiles {
		d := start(t)
		connect(t, kubo, d, "tcp")
		reference := hasher(t, profile)
		for _, size := range sizes {
			t.Run(profile+"/"+sizeName(size), func(t *testing.T) {
				path := filepath.Join(dir, sizeName(size))
				c := do(t, d, "add", "--profile", profile, path)
				if want := add(t, reference, path, "--only-hash"); c.CID != want {
					t.Errorf("CID %s, `ipfs add` gives %s", c.CID, want)
				}
				sameFile(t, get(t, kubo, c.CID), path)
				sameFile(t, fetch(t, rust, c.Ticket), path)
			})
		}
	}
}
