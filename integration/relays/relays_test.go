package relays

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an endpoint of ours with a store, whose home is a relay, and which serves what it has.
type node struct {
	*iroh.Endpoint
	store *store.Store
	conns chan *iroh.Conn
}

func start(t testing.TB, server *peer.RelayServer) *node {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	home, err := relay.ParseMap(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	e, err := iroh.Listen(iroh.Config{
		SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{blobs.ALPN}, Relays: home, RelayRoots: server.Roots, HideAddrs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Endpoint: e, store: s, conns: make(chan *iroh.Conn, 100)}
	served := make(chan struct{})
	go n.serve(served)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	if err := e.WaitRelay(peertest.Context(t)); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) serve(over chan<- struct{}) {
	defer close(over)
	provider := blobs.NewProvider(blobs.ProviderConfig{Store: n.store})
	for {
		conn, err := n.Accept(context.Background())
		if err != nil {
			return
		}
		n.conns <- conn
		go provider.Serve(context.Background(), conn) // it ends with the endpoint
	}
}

// blob puts random bytes into the store.
func (n *node) blob(t testing.TB, size int) (bao.Hash, []byte) {
	t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	hash, err := n.store.Put(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	return hash, data
}

// ticketByRelay names the node by its relay alone.
func (n *node) ticketByRelay(hash bao.Hash) string {
	addr := n.Addr()
	addr.Direct = nil
	return ticket.Blob{Addr: addr, Hash: hash, Format: ticket.Raw}.String()
}

func (n *node) fetch(t testing.TB, text string) []byte {
	t.Helper()
	want, err := ticket.ParseBlob(text)
	if err != nil {
		t.Fatal(err)
	}
	d := downloader.New(downloader.Config{Store: n.store, Endpoint: n})
	if _, err := d.Fetch(peertest.Context(t), []ticket.EndpointAddr{want.Addr}, want.Hash, want.Format, nil); err != nil {
		t.Fatal(err)
	}
	return n.read(t, want.Hash)
}

func (n *node) read(t testing.TB, hash bao.Hash) []byte {
	t.Helper()
	b, err := n.store.Open(hash)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	data := make([]byte, b.Size())
	if _, err := b.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}

func file(t testing.TB, size int) (string, []byte) {
	t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name, data
}

// rustAt is the Rust peer with a relay, and without sockets if only that is to be used.
func rustAt(t testing.TB, server *peer.RelayServer, only bool) peer.RustPeer {
	r := peertest.Rust(t)
	r.Relay, r.RelayOnly = server.URL, only
	return r
}

const size = 16 << 20

func TestOursFetchFromOurs(t *testing.T) {
	for name, cfg := range map[string]peer.RelayConfig{"plain": {}, "tls": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			server := peertest.Relay(t, cfg)
			a, b := start(t, server), start(t, server)
			hash, data := a.blob(t, size)
			if !bytes.Equal(b.fetch(t, a.ticketByRelay(hash)), data) {
				t.Error("other bytes")
			}
			if p := (<-a.conns).Path(); p.Relay != server.URL {
				t.Errorf("came over %v", p)
			}
		})
	}
}

func TestOursFetchFromRust(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	name, data := file(t, size)
	rust := peertest.Serve(t, rustAt(t, server, true), name)
	if !bytes.Equal(start(t, server).fetch(t, rust.Items[0].Ticket), data) {
		t.Error("other bytes")
	}
}

func TestRustFetchesFromOurs(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	a := start(t, server)
	hash, data := a.blob(t, size)
	out := filepath.Join(t.TempDir(), "out")
	if _, err := rustAt(t, server, true).Fetch(t.Context(), "mem", a.ticketByRelay(hash), out); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if p := (<-a.conns).Path(); p.Relay != server.URL {
		t.Errorf("came over %v", p)
	}
}

// iroh sends the first packet on all paths at once, and stays on the one that answers: that must be the direct one. Ours waits for it for
// 50 ms, which is not enough where this process does not run for so long.
func TestRustChoosesTheDirectPath(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	a := start(t, server)
	rust := rustAt(t, server, false)
	hash, _ := a.blob(t, 1000)
	for good, tries := 0, 1; good < 3; tries++ {
		both := ticket.Blob{Addr: a.Addr(), Hash: hash, Format: ticket.Raw}.String()
		stop := gaps()
		_, err := rust.Fetch(t.Context(), "mem", both, "none")
		longest := stop()
		if err != nil {
			t.Fatal(err)
		}
		switch p := (<-a.conns).Path(); {
		case p.Relay == "" && p.Addr.IsValid():
			good++
		case longest < 20*time.Millisecond || tries >= 20:
			t.Fatalf("came over %v; nothing ran for %s", p, longest)
		}
	}
}

// gaps watches how long this process does not get to run. stop returns the longest time.
func gaps() (stop func() time.Duration) {
	const pause = 2 * time.Millisecond
	over, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		var most time.Duration
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-over:
				longest <- most
				return
			case <-time.After(pause):
				most = max(most, time.Since(last)-pause)
			}
		}
	}()
	return func() time.Duration { close(over); return <-longest }
}

// A connection to a Rust node that began on the relay moves to UDP, in the middle of everything.
func TestConnectionToRustMoves(t *testing.T) {
	server := peertest.Relay(t, peer.RelayConfig{})
	name, data := file(t, size)
	rust := peertest.Serve(t, rustAt(t, server, false), name)
	proxy, err := fault.NewProxy(netip.MustParseAddrPort(rust.Addrs[0]), fault.Link{})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	proxy.Cut()
	want, err := ticket.ParseBlob(rust.Items[0].Ticket)
	if err != nil {
		t.Fatal(err)
	}
	want.Addr.Direct = []netip.AddrPort{proxy.Addr()}
	n := start(t, server)
	conn, err := n.Dial(peertest.Context(t), want.Addr, blobs.ALPN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	if p := conn.Path(); p.Relay != server.URL {
		t.Fatalf("began on %v", p)
	}
	proxy.Restore()
	for end := time.Now().Add(time.Minute); conn.Path().Addr != proxy.Addr(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("stays on %v", conn.Path())
		}
	}
	d := downloader.New(downloader.Config{Store: n.store, Endpoint: n})
	if _, err := d.FetchFrom(peertest.Context(t), conn, want.Hash, want.Format, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(n.read(t, want.Hash), data) {
		t.Error("other bytes")
	}
	if back := proxy.Counts().ToClients; back < size {
		t.Errorf("only %d bytes came directly", back)
	}
}

// A relay that restarts in the middle of a transfer costs a pause, not the transfer, whoever is the Rust node.
func TestRelayRestartsInTheMiddle(t *testing.T) {
	const large, rate = 128 << 20, 48 << 20
	for _, c := range []struct {
		name  string
		fetch func(t *testing.T, server *peer.RelayServer) (begin func() error)
	}{
		{"Rust fetches", func(t *testing.T, server *peer.RelayServer) func() error {
			a := start(t, server)
			hash, _ := a.blob(t, large)
			text, rust := a.ticketByRelay(hash), rustAt(t, server, true)
			return func() error {
				f, err := rust.Fetch(peertest.Context(t), "mem", text, "none")
				if err == nil && (f.Hash != hex.EncodeToString(hash[:]) || f.PayloadRead != large) {
					t.Errorf("fetched %+v", f)
				}
				return err
			}
		}},
		{"Rust serves", func(t *testing.T, server *peer.RelayServer) func() error {
			name, data := file(t, large)
			rust := peertest.Serve(t, rustAt(t, server, true), name)
			n := start(t, server)
			return func() error {
				if !bytes.Equal(n.fetch(t, rust.Items[0].Ticket), data) {
					t.Error("other bytes")
				}
				return nil
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			// It is under way for seconds, also where everything is fast.
			cfg := peer.RelayConfig{Dir: dir, More: fmt.Sprintf("limits.client.rx.bytes_per_second = %d", rate)}
			server := peertest.Relay(t, cfg)
			begin := c.fetch(t, server)
			done := make(chan error, 1)
			go func() { done <- begin() }()
			time.Sleep(700 * time.Millisecond)
			select {
			case err := <-done:
				t.Fatalf("the transfer was over before the restart: %v", err)
			default:
			}
			server.Kill()
			time.Sleep(time.Second)
			cfg.Port = server.Port
			peertest.Relay(t, cfg)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
