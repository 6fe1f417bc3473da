package peer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// The Rust peers alone meet through the relay, before anything of ours does.
func TestRustPeersMeetThroughARelay(t *testing.T) {
	relay := peertest.Relay(t, peer.RelayConfig{})
	rust := peertest.Rust(t)
	rust.Relay, rust.RelayOnly = relay.URL, true
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(strings.Repeat("relayed ", 1<<17)), 0o644); err != nil {
		t.Fatal(err)
	}
	node := peertest.Serve(t, rust, file)
	if len(node.Addrs) != 0 {
		t.Errorf("a node without sockets has the addresses %v", node.Addrs)
	}
	fetched, err := rust.Fetch(t.Context(), "mem", node.Items[0].Ticket, "none")
	if err != nil || fetched.PayloadRead != 1<<20 {
		t.Errorf("fetched %d bytes: %v", fetched.PayloadRead, err)
	}
	if dial, err := rust.Dial(t.Context(), node.ID+"@"+relay.URL); err != nil || dial.RemoteID != node.ID {
		t.Errorf("dialed %s by its relay: %v", dial.RemoteID, err)
	}
}
