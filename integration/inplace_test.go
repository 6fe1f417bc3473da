package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// TestInPlaceCopiesNothing adds a file in place and serves it on both networks: the same names as a copy would have,
// and next to no disk.
func TestInPlaceCopiesNothing(t *testing.T) {
	rust := peertest.Rust(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	tree := filepath.Join(t.TempDir(), "tree")
	randomFile(t, filepath.Join(tree, "big"), 100<<20, 1)
	randomFile(t, filepath.Join(tree, "small"), 100, 2)
	d, other := start(t), start(t)
	c, copied := do(t, d, "add", "--in-place", tree), do(t, other, "add", tree)
	if c.CID != copied.CID || c.Hash != copied.Hash {
		t.Errorf("in place %s %s, copied %s %s", c.CID, c.Hash, copied.CID, copied.Hash)
	}
	// 1 % for the outboard and the index, and a fixed part for the database's own files.
	if used := diskUse(t, d.Data); used > 100<<20/100+2<<20 {
		t.Errorf("%d bytes are used beside 100 MiB that were to stay in place", used)
	}
	connect(t, kubo, d, "tcp")
	sameTree(t, get(t, kubo, c.CID), tree)
	sameTree(t, fetch(t, rust, c.Ticket), tree)
}

// TestInPlaceChangedFile changes, shortens, replaces and removes files that were added in place: whoever asks gets an
// error that names the file, never a wrong byte; and the file being back as it was, all is well again.
func TestInPlaceChangedFile(t *testing.T) {
	rust := peertest.Rust(t)
	ctx := peertest.Context(t)
	for name, change := range map[string]func(t *testing.T, path string){
		"one byte": func(t *testing.T, path string) { flip(t, path, 1_500_000) },
		"one byte and the old time": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			flip(t, path, 1_500_000)
			if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
		"shorter": func(t *testing.T, path string) {
			if err := os.Truncate(path, 1_000_000); err != nil {
				t.Fatal(err)
			}
		},
		"longer": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("more"); err != nil {
				t.Fatal(err)
			}
		},
		"replaced": func(t *testing.T, path string) { randomFile(t, path, 3_000_000, 99) },
		"removed": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := randomFile(t, filepath.Join(t.TempDir(), "file"), 3_000_000, 1)
			kubo := peertest.Kubo(t, peer.KuboConfig{})
			d := start(t)
			c := do(t, d, "add", "--in-place", path)
			connect(t, kubo, d, "tcp")
			change(t, path)
			out := filepath.Join(t.TempDir(), "out")
			r := d.Run(ctx, "get", c.CID, "-o", out)
			if r.Status == 0 || !strings.Contains(r.Stderr, path) {
				t.Errorf("bridge get: status %d, %q; want an error that names %s", r.Status, r.Stderr, path)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("bridge get left a file")
			}
			if _, err := rust.Fetch(ctx, "mem", c.Ticket, out); err == nil {
				t.Error("a Rust node fetched a changed file")
			}
			if _, err := kubo.Run(ctx, "get", "-o", out, "--timeout=10s", c.CID); err == nil {
				t.Error("a Kubo fetched a changed file")
			}
			if r := d.Run(ctx, "verify"); r.Status != 4 && r.Status != 5 {
				t.Errorf("verify: status %d, want 4 or 5\n%s%s", r.Status, r.Stdout, r.Stderr)
			}
			// Adding it again makes it whole: as a copy now, since the file on disk is back.
			randomFile(t, path, 3_000_000, 1)
			if again := do(t, d, "add", path); again.CID != c.CID || again.Hash != c.Hash {
				t.Errorf("added again as %+v, before as %+v", again, c)
			}
			sameFile(t, get(t, kubo, c.CID), path)
			sameFile(t, fetch(t, rust, c.Ticket), path)
		})
	}
}
