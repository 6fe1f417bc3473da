// Package providers has no code of its own: its tests let the downloader fetch from many real providers at once, some of which
// misbehave, and many peers at once from a daemon, and tell what that costs.
//
// Environment: BRIDGE_PROVIDERS_MIB is how large the blob is (64 by default, `make providers` takes 1024). From 1024 on the times of docs/benchmarks.md
// are limits; below, what does not grow with the size is allowed for.
package providers

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// full is the size from which the times of docs/benchmarks.md are limits.
const full = 1024

// size is how many bytes the blob has.
func size(t testing.TB) int64 {
	t.Helper()
	mib := 64
	if text := os.Getenv("BRIDGE_PROVIDERS_MIB"); text != "" {
		var err error
		if mib, err = strconv.Atoi(text); err != nil || mib < 1 {
			t.Fatalf("BRIDGE_PROVIDERS_MIB is %q", text)
		}
	}
	return int64(mib) << 20
}

// randomFile makes a file of n random bytes.
func randomFile(t testing.TB, n int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blob")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{1, 2, 3}), n); err != nil {
		t.Fatal(err)
	}
	return path
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// endpoint is one with a new key on a free port of an address of this machine.
func endpoint(host string) (*iroh.Endpoint, error) {
	secret, err := key.GenerateSecretKey()
	if err != nil {
		return nil, err
	}
	return iroh.Listen(iroh.Config{SecretKey: secret, Listen: host + ":0", ALPNs: []string{blobs.ALPN}})
}

func listen(t testing.TB, host string) *iroh.Endpoint {
	t.Helper()
	e, err := endpoint(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// rust starts a Rust node that serves a file in place, and returns its address and the file's hash.
func rust(t testing.TB, path string, faults ...string) (ticket.EndpointAddr, bao.Hash) {
	t.Helper()
	_, addr, hash := rustNode(t, path, faults...)
	return addr, hash
}

// rustNode is rust that returns the process as well.
func rustNode(t testing.TB, path string, faults ...string) (*peer.RustNode, ticket.EndpointAddr, bao.Hash) {
	t.Helper()
	node, err := peertest.Rust(t).Serve(peertest.Context(t), t.TempDir(), slices.Concat([]string{"--reference"}, faults, []string{path})...)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	id, err := key.ParseEndpointID(node.ID)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bao.ParseHash(node.Items[0].Hash)
	if err != nil {
		t.Fatal(err)
	}
	return node, ticket.EndpointAddr{ID: id, Direct: []netip.AddrPort{netip.MustParseAddrPort(node.Addrs[0])}}, hash
}

// fetch fetches a blob into an empty store and verifies every byte that is there afterwards.
func fetch(t testing.TB, hash bao.Hash, from ...ticket.EndpointAddr) downloader.Stats {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "store")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s := openStore(t, dir)
	defer s.Close()
	d := downloader.New(downloader.Config{Store: s, Endpoint: listen(t, "127.0.0.1")})
	// What came before is on disk when the clock starts: else who happens to fetch while it is written pays for it.
	if err := exec.Command("sync").Run(); err != nil {
		t.Fatal(err)
	}
	stats, err := d.Fetch(peertest.Context(t), from, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(context.Background(), hash); err != nil {
		t.Fatal(err)
	}
	return stats
}

// One blob from four Rust providers, one of which is good, one sends corrupt data, one stops after a tenth and keeps its connection, and one is
// slow: complete, verified, and hardly slower than from the good one alone.
func TestOneGoodOfFour(t *testing.T) {
	n := size(t)
	path := randomFile(t, n)
	good, hash := rust(t, path)
	corrupt, _ := rust(t, path, "--flip", "10")
	slow, _ := rust(t, path, "--rate", fmt.Sprint(2<<20))
	rounds := 3
	if n >= full<<20 {
		rounds = 5
	}
	fetch(t, hash, good) // everything is warm
	var alone, many []time.Duration
	for round := range rounds {
		turns := []func(){
			func() { alone = append(alone, fetch(t, hash, good).Took) },
			func() {
				stops, _ := rust(t, path, "--stop-after", fmt.Sprint(n/10)) // a new one, since it stops once
				stats := fetch(t, hash, corrupt, stops, slow, good)
				many = append(many, stats.Took)
				if stats.Providers[0].Err == nil || stats.Bytes != uint64(n) {
					t.Errorf("%d bytes, of the corrupt provider %v", stats.Bytes, stats.Providers[0].Err)
				}
				for i, p := range stats.Providers {
					t.Logf("round %d, provider %d: %d bytes, %d twice, %d requests, %d failures, %v", round, i, p.Bytes, p.Duplicate, p.Requests, p.Failures, p.Err)
				}
			},
		}
		if round%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			turn()
		}
	}
	one, four := median(alone), median(many)
	t.Logf("%d MiB: alone %v, of four %v: %.3f", n>>20, alone, many, four.Seconds()/one.Seconds())
	limit := time.Duration(1.2 * float64(one))
	if n < full<<20 {
		limit += 3 * time.Second // what it takes to see that one is silent, on a machine that is busy
	}
	if four > limit {
		t.Errorf("takes %s, limit %s", four, limit)
	}
}

// oneStream hides how far away a connection leads, so that it is used over one stream.
type oneStream struct{ blobs.Opener }

// Over a path of 50 ms from a Rust provider the downloader asks over several streams, and is no slower for that.
func TestOneProviderFarAway(t *testing.T) {
	n := min(size(t), 64<<20) // the proxy loses packets on a busy machine, and larger transfers take minutes then
	addr, hash := rust(t, randomFile(t, n))
	far, err := fault.NewProxy(addr.Direct[0], fault.Link{Delay: 25 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	addr.Direct[0] = far.Addr()
	var one, several []time.Duration
	get := func(hide bool) downloader.Stats {
		conn, err := listen(t, "127.0.0.1").Dial(peertest.Context(t), addr, blobs.ALPN)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseWithError(0, "")
		var from blobs.Opener = conn
		if hide {
			from = oneStream{conn}
		}
		s := openStore(t, t.TempDir())
		defer s.Close()
		d := downloader.New(downloader.Config{Store: s})
		stats, err := d.FetchFrom(peertest.Context(t), from, hash, ticket.Raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(context.Background(), hash); err != nil {
			t.Fatal(err)
		}
		return stats
	}
	for rounds := 0; rounds < 3 || median(several) > 2*median(one) && rounds < 9; rounds++ { // a machine that is busy makes more of them differ
		a, b := get(true), get(false)
		if a.Requests != 1 || b.Requests < 4 {
			t.Errorf("%d requests over one stream, %d over several", a.Requests, b.Requests)
		}
		one, several = append(one, a.Took), append(several, b.Took)
	}
	t.Logf("%d MiB at 50 ms: over one stream %v, over several %v: %.2f", n>>20, one, several, median(several).Seconds()/median(one).Seconds())
	if median(several) > 2*median(one) {
		t.Error("several streams are slower")
	}
}

func median(of []time.Duration) time.Duration {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}
