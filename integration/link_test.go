package integration

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// bad starts a link with faults in front of a ticket's provider and returns a ticket that leads over it.
func bad(t *testing.T, text string, link fault.Link) (*fault.Proxy, string) {
	t.Helper()
	proxy, err := fault.NewProxy(direct(t, text), link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	return proxy, reroute(t, text, proxy.Addr())
}

// TestBadLinks exposes over links that lose, double, damage, reorder and delay packets, and lets a Rust node fetch over
// the same: whole and right every time.
func TestBadLinks(t *testing.T) {
	rust := peertest.Rust(t)
	const size = 4 << 20
	for name, link := range map[string]fault.Link{
		"loss 5 %":    {Drop: 0.05},
		"duplicates":  {Duplicate: 0.2},
		"damage 1 %":  {Corrupt: 0.01},
		"reordering":  {Reorder: 0.1, ReorderBy: 5 * time.Millisecond},
		"delay 40 ms": {Delay: 20 * time.Millisecond},
		"all at once": {Drop: 0.01, Duplicate: 0.02, Corrupt: 0.005, Reorder: 0.05, Delay: 2 * time.Millisecond},
		"loss 20 %":   {Drop: 0.2},
	} {
		t.Run(name, func(t *testing.T) {
			link.Seed = uint64(time.Now().UnixNano())
			t.Logf("seed %d", link.Seed)
			file := randomFile(t, filepath.Join(t.TempDir(), "file"), size, link.Seed)
			node := peertest.Serve(t, rust, file)
			d := start(t)
			_, ticket := bad(t, node.Items[0].Ticket, link)
			c := do(t, d, "expose", ticket)
			if c.Hash != node.Items[0].Hash {
				t.Errorf("exposed as %s, want %s", c.Hash, node.Items[0].Hash)
			}
			_, back := bad(t, c.Ticket, link)
			sameFile(t, fetch(t, rust, back), file)
		})
	}
}

// TestBlackout cuts the link for five seconds in the middle of a transfer: it goes on by itself.
func TestBlackout(t *testing.T) {
	rust := peertest.Rust(t)
	const size = 60 << 20
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), size, 1)
	node := peertest.Serve(t, rust, file)
	d := start(t)
	proxy, ticket := bad(t, node.Items[0].Ticket, fault.Link{Delay: 10 * time.Millisecond})
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		if passed(t, proxy, size/4) {
			proxy.Cut()
			time.Sleep(5 * time.Second)
			proxy.Restore()
		}
	}()
	c := do(t, d, "expose", ticket)
	<-cut
	out := filepath.Join(t.TempDir(), "out")
	if r := d.Run(peertest.Context(t), "get", c.CID, "-o", out); r.Status != 0 {
		t.Fatalf("get: status %d\n%s", r.Status, r.Stderr)
	}
	sameFile(t, out, file)
}

// passed waits until so many bytes went to the clients of a proxy.
func passed(t *testing.T, proxy *fault.Proxy, bytes int64) bool {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if proxy.Counts().ToClients >= bytes {
			return true
		}
	}
	t.Error("the transfer never got so far")
	return false
}

// resumed is the most that may be sent for size bytes when so many were lost: packet headers and the hash tree on top of the bytes.
func resumed(size, lost int64) int64 { return size + size/20 + lost }

const (
	// lostByCut is what a cut of the link may lose: what was on its way.
	lostByCut = 16 << 20
	// lostByKill is what the end of a process may lose besides, on a disk that takes its time: what the bridge had not yet noted as being there.
	lostByKill = 40 << 20
)

// TestResumeAfterKill kills the daemon in the middle of an expose, three times: the next one goes on where it was.
func TestResumeAfterKill(t *testing.T) {
	rust := peertest.Rust(t)
	const size = 200 << 20
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), size, 1)
	node := peertest.Serve(t, rust, file)
	proxy, ticket := bad(t, node.Items[0].Ticket, fault.Link{Delay: 5 * time.Millisecond})
	d := start(t)
	for round := range 3 {
		op, err := peer.Start(peertest.Context(t), peer.Command{
			Path: program.Bin, Args: []string{"expose", ticket, "--data", d.Data, "--json"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if passed(t, proxy, size/4*int64(round+1)) {
			proxy.Cut() // what the provider still sends does not count
			d.Kill()
		}
		op.Kill()
		proxy.Restore()
		if t.Failed() {
			return
		}
		d = start(t, d.Data)
		if r := d.Run(peertest.Context(t), "ls", "--json"); r.Status != 0 || len(r.Stdout) > 0 {
			t.Errorf("after a kill: status %d, %s", r.Status, r.Stdout)
		}
	}
	c := do(t, d, "expose", ticket)
	sent := proxy.Counts().ToClients
	t.Logf("%d bytes were sent for %d (%.3f times)", sent, int64(size), float64(sent)/size)
	if limit := resumed(size, 3*lostByKill); sent > limit {
		t.Errorf("%d bytes were sent for %d, more than %d: it did not go on where it was", sent, int64(size), limit)
	}
	sameFile(t, fetch(t, rust, c.Ticket), file)
}

// TestCutLinkEndsInAnError cuts the link for good: an error within the idle limit, and when the link is back the rest
// is fetched, not the whole.
func TestCutLinkEndsInAnError(t *testing.T) {
	rust := peertest.Rust(t)
	const size = 100 << 20
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), size, 1)
	node := peertest.Serve(t, rust, file)
	proxy, ticket := bad(t, node.Items[0].Ticket, fault.Link{Delay: 5 * time.Millisecond})
	d := start(t)
	cut := make(chan time.Time, 1)
	go func() {
		passed(t, proxy, size/2)
		proxy.Cut()
		cut <- time.Now()
	}()
	r := d.Run(peertest.Context(t), "expose", ticket)
	if took := time.Since(<-cut); r.Status == 0 || took > 90*time.Second {
		t.Errorf("status %d, %s after the cut; want an error within the idle limit of 30 s and some more", r.Status, took)
	}
	if r.Stderr == "" {
		t.Error("no word about it")
	}
	proxy.Restore()
	c := do(t, d, "expose", ticket)
	if sent, limit := proxy.Counts().ToClients, resumed(size, lostByCut); sent > limit {
		t.Errorf("%d bytes were sent for %d, more than %d: it did not go on where it was", sent, int64(size), limit)
	}
	sameFile(t, fetch(t, rust, c.Ticket), file)
}
