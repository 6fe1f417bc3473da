package integration

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// TestMakeRun starts what `make run` starts, reads its text as a stranger would, carries out the two ways that it names
// of fetching the sample with a real Kubo and a real sendme, and interrupts it.
func TestMakeRun(t *testing.T) {
	sendme := peertest.Sendme(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	ctx := peertest.Context(t)
	root, err := peer.Root()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "run")
	if _, _, err := peer.Output(ctx, peer.Command{Path: "go", Args: []string{"build", "-o", bin, "./examples/run"}, Dir: root}); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	p, err := peer.Start(ctx, peer.Command{
		Path: bin, Args: []string{"-bridge", program.Bin}, Dir: root,
		// The usual ports may be in use here, and nothing but this machine is to hear of it.
		Env: []string{
			"TMPDIR=" + tmp, "BRIDGE_IROH_LISTEN=127.0.0.1:0", "BRIDGE_API_LISTEN=127.0.0.1:0",
			"BRIDGE_LIBP2P_LISTEN=/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/udp/0/quic-v1",
		},
		Ready: func(line string) bool { return strings.HasPrefix(line, "Ctrl-C") },
	})
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, p)
	if _, err := p.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	text := p.Log()
	word := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("nothing like %s in\n%s", pattern, text)
		}
		return m[1]
	}
	cid, hash, ticket := word(`^CID +(\S+)$`), word(`^hash +([0-9a-f]{64})$`), word(`^ticket +(blob\S+)$`)
	sample := filepath.Join(root, "examples", "sample")
	if want := add(t, hasher(t, profiles[0]), sample, "--only-hash"); cid != want {
		t.Errorf("CID %s, `ipfs add` gives %s", cid, want)
	}
	if made := parseTicket(t, ticket); made.Hash.String() != hash {
		t.Errorf("the ticket is for %s, the hash is %s", made.Hash, hash)
	}
	if _, err := kubo.Run(ctx, strings.Fields(word(`^ +ipfs (swarm connect \S+)$`))...); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := kubo.Run(ctx, append(strings.Fields(word(`^ +ipfs (get \S+)$`)), "-o", out)...); err != nil {
		t.Fatal(err)
	}
	sameTree(t, out, sample)
	sameTree(t, receive(t, sendme, word(`^ +sendme receive (\S+)$`)), sample)

	began := time.Now()
	if err := p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.Wait(wait); err != nil {
		t.Errorf("after %s: %v\n%s", time.Since(began), err, p.Log())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
