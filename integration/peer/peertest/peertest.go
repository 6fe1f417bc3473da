// Package peertest gives tests the real peers of package peer: built when needed, started in temporary folders, and
// gone when the test ends.
//
// Where cargo or Node.js is missing, a test that needs a peer that is built by it is skipped, and its name goes to the file that the environment
// variable BRIDGE_LEFT_OUT names, so that `make test` can say loudly what it left out. With CI set it fails instead. The
// same holds for tests that need network namespaces.
package peertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
)

// Need returns the program file of a peer, built when it is missing.
func Need(t testing.TB, kind peer.Kind) string {
	t.Helper()
	bin, err := peer.Cache{}.Path(context.Background(), kind)
	missing := errors.Is(err, peer.ErrNoCargo) || errors.Is(err, peer.ErrNoNode)
	if missing && os.Getenv("CI") == "" {
		leftOut(t, err.Error())
		t.Skipf("LEFT OUT: %s: %v", kind, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// leftOut notes a test that is left out, and what is missing.
func leftOut(t testing.TB, why string) {
	name := os.Getenv("BRIDGE_LEFT_OUT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s: %s\n", t.Name(), why); err != nil {
		t.Fatal(err)
	}
}

// Lab returns an empty lab of network namespaces. It is gone when the test ends, after the peers that were started on its hosts.
func Lab(t testing.TB) *netns.Lab {
	t.Helper()
	lab, err := netns.New(Context(t))
	if errors.Is(err, netns.ErrUnsupported) && os.Getenv("CI") == "" {
		leftOut(t, "no network namespaces here (Linux, root, iproute2 and nftables are needed)")
		t.Skipf("LEFT OUT: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// Program returns the path of a program of the system that may be in a folder for administrators only.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := netns.Program(name)
	if err != nil && os.Getenv("CI") == "" {
		leftOut(t, name+" is not installed")
		t.Skip("LEFT OUT:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Rust returns the Rust peer.
func Rust(t testing.TB) peer.RustPeer {
	t.Helper()
	return peer.RustPeer{Bin: Need(t, peer.Rust)}
}

// NPM returns the peer from npm, on a host of a lab.
func NPM(t testing.TB, h *netns.Host) peer.NPMPeer {
	t.Helper()
	return peer.NPMPeer{Script: Need(t, peer.NPM), Netns: h.Namespace}
}

// Sendme returns sendme.
func Sendme(t testing.TB) peer.SendmePeer {
	t.Helper()
	return peer.SendmePeer{Bin: Need(t, peer.Sendme)}
}

// Relay starts a relay with an empty folder, unless cfg names one.
func Relay(t testing.TB, cfg peer.RelayConfig) *peer.RelayServer {
	t.Helper()
	Need(t, peer.Relay)
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	r, err := peer.Cache{}.StartRelay(Context(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	Keep(t, r.Process)
	return r
}

// Kubo starts a Kubo with an empty repository in a temporary folder, unless cfg names one.
func Kubo(t testing.TB, cfg peer.KuboConfig) *peer.KuboNode {
	t.Helper()
	Need(t, peer.Kubo)
	if cfg.Repo == "" {
		cfg.Repo = filepath.Join(t.TempDir(), "kubo")
	}
	k, err := peer.Cache{}.StartKubo(Context(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	Keep(t, k.Process)
	return k
}

// Serve starts a Rust node that serves paths from memory.
func Serve(t testing.TB, r peer.RustPeer, paths ...string) *peer.RustNode {
	t.Helper()
	node, err := r.Serve(Context(t), "mem", paths...)
	if err != nil {
		t.Fatal(err)
	}
	Keep(t, node.Process)
	return node
}

// DNS starts an iroh-dns-server in a temporary folder, on this machine's loopback unless another place is named.
func DNS(t testing.TB, at ...peer.Place) *peer.DNSNode {
	t.Helper()
	Need(t, peer.DNSServer)
	node, err := peer.Cache{}.StartDNS(Context(t), t.TempDir(), append(at, peer.Place{})[0])
	if err != nil {
		t.Fatal(err)
	}
	Keep(t, node.Process)
	return node
}

// Keep stops a process when the test ends, and shows its output when the test failed.
func Keep(t testing.TB, p *peer.Process) {
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("last output of %d:\n%s", p.Pid(), p.Log())
		}
	})
}

// patience is how long a test may wait for any one thing a peer does.
const patience = 5 * time.Minute

// Context is a context that outlives the test's own cleanup functions, so that peers can be stopped in order, and ends
// with the test's deadline.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
