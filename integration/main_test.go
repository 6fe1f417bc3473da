package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// program is the bridge under test, built once for all tests.
var program peer.Bridge

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bridge-integration-")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = peer.BuildBridge(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// start starts a daemon on a data folder of its own, unless one is named.
func start(t testing.TB, data ...string) *peer.Daemon {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if len(data) > 0 {
		dir = data[0]
	}
	return startIn(t, program, dir)
}

// startOn starts a daemon of a bridge that is kept elsewhere, on a data folder of its own.
func startOn(t testing.TB, b peer.Bridge) *peer.Daemon {
	t.Helper()
	return startIn(t, b, filepath.Join(t.TempDir(), "data"))
}

func startIn(t testing.TB, b peer.Bridge, dir string) *peer.Daemon {
	t.Helper()
	d, err := b.Daemon(peertest.Context(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, d.Process)
	return d
}

// do runs add, expose or import through a daemon.
func do(t testing.TB, d *peer.Daemon, args ...string) peer.Content {
	t.Helper()
	c, err := d.Do(peertest.Context(t), args...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect connects a Kubo to the bridge over "tcp" or "quic-v1".
func connect(t testing.TB, k *peer.KuboNode, d *peer.Daemon, transport string) {
	t.Helper()
	if err := k.Connect(peertest.Context(t), d.Addr(transport)); err != nil {
		t.Fatal(err)
	}
}

// get fetches a CID with `ipfs get` and returns where it is.
func get(t testing.TB, k *peer.KuboNode, cid string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if _, err := k.Run(peertest.Context(t), "get", "-o", out, cid); err != nil {
		t.Fatal(err)
	}
	return out
}

// getAhead is get for folders of many files: it fetches all blocks at once before, since `ipfs get` walks from file to
// file and waits for each.
func getAhead(t testing.TB, k *peer.KuboNode, cid string) string {
	t.Helper()
	if _, err := k.Run(peertest.Context(t), "pin", "add", "--progress=false", cid); err != nil {
		t.Fatal(err)
	}
	return get(t, k, cid)
}

// add adds a path with `ipfs add` and returns the root CID.
func add(t testing.TB, k *peer.KuboNode, path string, flags ...string) string {
	t.Helper()
	args := append([]string{"add", "-Q", "-r", "-H", "--progress=false"}, flags...)
	root, err := k.Line(peertest.Context(t), append(args, path)...)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// fetch fetches a ticket with the Rust peer and returns where it is.
func fetch(t testing.TB, r peer.RustPeer, ticket string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if _, err := r.Fetch(peertest.Context(t), "mem", ticket, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// receive fetches a ticket with sendme and returns the folder it is in.
func receive(t testing.TB, s peer.SendmePeer, ticket string) string {
	t.Helper()
	out := t.TempDir()
	if err := s.Receive(peertest.Context(t), out, ticket); err != nil {
		t.Fatal(err)
	}
	return out
}

// send serves a path with sendme and returns its ticket.
func send(t testing.TB, s peer.SendmePeer, path string) string {
	t.Helper()
	sender, err := s.Send(peertest.Context(t), t.TempDir(), path)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, sender.Process)
	return sender.Ticket
}

// hasher is a Kubo without a daemon whose `ipfs add` follows a UnixFS profile; it only computes CIDs.
func hasher(t testing.TB, profile string) *peer.KuboNode {
	t.Helper()
	peertest.Need(t, peer.Kubo)
	k, err := peer.Cache{}.NewKubo(peertest.Context(t), peer.KuboConfig{
		Repo: filepath.Join(t.TempDir(), "hasher"), Profiles: []string{profile},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// profiles are the UnixFS profiles of IPIP-499 that both Kubo and the bridge have.
var profiles = []string{"unixfs-v1-2025", "unixfs-v0-2015"}
