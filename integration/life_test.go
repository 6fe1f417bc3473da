package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// exitCode is a process's exit status by the error of its wait; -1 for a signal or anything else.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// TestBothNetworksAtOnce lets peers of both networks fetch and bring content at the same time.
func TestBothNetworksAtOnce(t *testing.T) {
	rust := peertest.Rust(t)
	source := peertest.Kubo(t, peer.KuboConfig{})
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	ctx, dir := peertest.Context(t), t.TempDir()
	d := start(t)
	connect(t, kubo, d, "tcp")
	fromKubo := func(c peer.Content, path string) error {
		out := path + ".kubo"
		if _, err := kubo.Run(ctx, "get", "-o", out, c.CID); err != nil {
			return err
		}
		return compare(out, path)
	}
	fromRust := func(c peer.Content, path string) error {
		out := path + ".rust"
		if _, err := rust.Fetch(ctx, "mem", c.Ticket, out); err != nil {
			return err
		}
		return compare(out, path)
	}
	var served []string
	for i := range 4 {
		served = append(served, randomFile(t, filepath.Join(dir, "iroh", fmt.Sprint(i)), int64(20_000_000+i), uint64(i)))
	}
	node := peertest.Serve(t, rust, served...)
	var group errgroup.Group
	for i := range 4 {
		added := randomFile(t, filepath.Join(dir, "added", fmt.Sprint(i)), int64(15_000_000+i), uint64(10+i))
		held := randomFile(t, filepath.Join(dir, "kubo", fmt.Sprint(i)), int64(10_000_000+i), uint64(20+i))
		root := add(t, source, held)
		c := do(t, d, "add", added)
		group.Go(func() error { return fromRust(c, added) })
		group.Go(func() error { return fromKubo(c, added) })
		group.Go(func() error {
			c, err := d.Do(ctx, "expose", node.Items[i].Ticket)
			if err != nil {
				return err
			}
			return fromKubo(c, served[i])
		})
		group.Go(func() error {
			c, err := d.Do(ctx, "import", root, "--from", source.Addrs[0])
			if err != nil {
				return err
			}
			return fromRust(c, held)
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// TestShutdownDuringTransfers asks a busy daemon to end: within five seconds, with status 0, and the next start needs
// no repair and is the same node.
func TestShutdownDuringTransfers(t *testing.T) {
	rust := peertest.Rust(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), 200<<20, 1)
	node := peertest.Serve(t, rust, randomFile(t, filepath.Join(t.TempDir(), "other"), 200<<20, 2))
	d := start(t)
	for tries := 1; ; tries++ { // a disk that is busy makes it longer, but not always
		took := endBusy(t, rust, kubo, node, d, file)
		t.Logf("it took %s to end", took)
		if took <= 5*time.Second {
			break
		}
		if tries == 3 {
			t.Fatalf("it took %s to end", took)
		}
		d = start(t, d.Data)
	}
	again := start(t, d.Data)
	if again.EndpointID != d.EndpointID || again.PeerID != d.PeerID {
		t.Errorf("the node is another one after the restart: %+v, was %+v", again.Ready, d.Ready)
	}
	if r := again.Run(peertest.Context(t), "verify"); r.Status != 0 {
		t.Errorf("verify after the restart: status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
	sameFile(t, fetch(t, rust, do(t, again, "add", file).Ticket), file)
}

// endBusy is how long a daemon takes to end that is in the midst of transfers.
func endBusy(t *testing.T, rust peer.RustPeer, kubo *peer.KuboNode, node *peer.RustNode, d *peer.Daemon, file string) time.Duration {
	t.Helper()
	c := do(t, d, "add", file)
	connect(t, kubo, d, "tcp")
	// The transfers are meant to be cut: their own errors are of no interest.
	ctx, cancel := context.WithCancel(peertest.Context(t))
	defer cancel()
	var wg sync.WaitGroup
	for i := range 4 {
		out := filepath.Join(t.TempDir(), fmt.Sprint(i))
		wg.Go(func() { rust.Fetch(ctx, "mem", c.Ticket, out) })
		wg.Go(func() { kubo.Run(ctx, "get", "-o", out+"k", c.CID) })
	}
	wg.Go(func() { d.Run(ctx, "expose", node.Items[0].Ticket) })
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	if err := d.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := d.Wait(ctx)
	took := time.Since(began)
	if code := exitCode(err); code != 0 && code != 130 {
		t.Errorf("exit status %d (%v)\n%s", code, err, d.Log())
	}
	cancel()
	wg.Wait()
	return took
}

// TestOneProcessPerFolder starts a second daemon on a data folder: it ends with an error that says why.
func TestOneProcessPerFolder(t *testing.T) {
	d := start(t)
	if second, err := program.Daemon(peertest.Context(t), d.Data); err == nil {
		second.Kill()
		t.Fatal("a second daemon runs on the same data folder")
	} else if !strings.Contains(err.Error(), d.Data) && !strings.Contains(err.Error(), "use") {
		t.Errorf("the error does not say what is wrong: %v", err)
	}
	if r := d.Run(peertest.Context(t), "id"); r.Status != 0 {
		t.Errorf("the first daemon suffers: status %d\n%s", r.Status, r.Stderr)
	}
}

// TestRestartServesEverything adds, exposes and imports, ends the daemon, and fetches all of it from the next one.
func TestRestartServesEverything(t *testing.T) {
	rust := peertest.Rust(t)
	source := peertest.Kubo(t, peer.KuboConfig{})
	dir := t.TempDir()
	paths := map[string]string{}
	for i, op := range []string{"add", "expose", "import"} {
		paths[op] = randomFile(t, filepath.Join(dir, op), int64(3_000_000+i), uint64(i))
	}
	node := peertest.Serve(t, rust, paths["expose"])
	root := add(t, source, paths["import"])
	d := start(t)
	contents := map[string]peer.Content{
		"add":    do(t, d, "add", paths["add"]),
		"expose": do(t, d, "expose", node.Items[0].Ticket),
		"import": do(t, d, "import", root, "--from", source.Addrs[0]),
	}
	for _, err := range []error{d.Stop(), node.Stop(), source.Stop()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d = start(t, d.Data)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	connect(t, kubo, d, "quic-v1")
	for op, c := range contents {
		sameFile(t, get(t, kubo, c.CID), paths[op])
		again := do(t, d, op, map[string]string{"add": paths["add"], "expose": node.Items[0].Ticket, "import": root}[op])
		if again.CID != c.CID || again.Hash != c.Hash {
			t.Errorf("%s: %+v after the restart, %+v before", op, again, c)
		}
		sameFile(t, fetch(t, rust, again.Ticket), paths[op])
	}
}

// TestSecretsStaySecret reads everything that a daemon prints and looks at the rights of its files.
func TestSecretsStaySecret(t *testing.T) {
	d := start(t)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	secrets := 0
	for _, name := range listFiles(t, d.Data) {
		if !strings.HasSuffix(name, ".key") && !strings.Contains(name, "token") {
			continue
		}
		secrets++
		path := filepath.Join(d.Data, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %s", name, info.Mode())
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.TrimSpace(string(data)); len(text) >= 32 && strings.Contains(d.Log(), text) {
			t.Errorf("the secret of %s was printed", name)
		}
	}
	if secrets < 3 {
		t.Errorf("only %d secret files were found; two keys and a token were expected", secrets)
	}
}
