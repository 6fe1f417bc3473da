package nats

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// large is the size of a file that takes a while.
const large = 32 << 20

// file writes a file of random bytes.
func file(t testing.TB, size int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, size)
	return name
}

func write(t testing.TB, name string, size int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(data)
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// folder writes a small folder.
func folder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "folder")
	for name, size := range map[string]int{"empty": 0, "one": 1, "deep/er/ü": 100_000, "deep/group": 16 << 10, "large": 3 << 20} {
		write(t, filepath.Join(dir, name), size)
	}
	return dir
}

// retarget is a blob ticket with another address of the provider.
func retarget(t testing.TB, text string, change func(*ticket.EndpointAddr)) string {
	t.Helper()
	parsed := check(ticket.ParseBlob(text))(t)
	change(&parsed.Addr)
	return parsed.String()
}

// fetched fetches a ticket, or what other arguments of `bridge fetch` say, and compares what is then there: what has no CID yet
// gets one, by its own ticket, for which nothing needs to be fetched any more.
func fetched(t testing.TB, d *peer.Daemon, want string, args ...string) {
	t.Helper()
	content := runInto[peer.Content](t, d, append([]string{"fetch"}, args...)...)
	out := filepath.Join(t.TempDir(), "out")
	exposed := runInto[peer.Content](t, d, "expose", content.Ticket)
	run(t, d, "get", exposed.CID, "-o", out)
	same(t, out, want)
}

// rustFetched fetches a ticket by the Rust peer and compares.
func rustFetched(t testing.TB, r peer.RustPeer, want, text string) peer.RustFetch {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	got := check(r.Fetch(peertest.Context(t), "mem", text, out))(t)
	same(t, out, want)
	return got
}

// same fails the test unless two files or folders hold the same.
func same(t testing.TB, got, want string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(want, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		rel, err := filepath.Rel(want, name)
		if err != nil {
			return err
		}
		a, err := os.ReadFile(filepath.Join(got, rel))
		if err != nil {
			return err
		}
		b, err := os.ReadFile(name)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: other bytes (%d, want %d)", rel, len(a), len(b))
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files compared: %v", files, err)
	}
}
