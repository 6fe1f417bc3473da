package host

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
	"go.uber.org/goleak"
)

// ignored are goroutines that libraries start once for the whole process.
func ignored() []goleak.Option {
	return []goleak.Option{
		// go-log's reader of its pipe, and OpenCensus of old libraries.
		goleak.IgnoreTopFunction("github.com/ipfs/go-log/v2/writer.(*MirrorWriter).logRoutine"),
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, ignored()...) }

func local(t testing.TB, cfg Config) *Host {
	t.Helper()
	cfg.Local = true
	if cfg.Listen == nil {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	h, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

// addr returns the host's address with a protocol.
func addr(t testing.TB, h *Host, protocol string) string {
	t.Helper()
	for _, a := range h.Addrs() {
		if strings.Contains(a, protocol) {
			return a
		}
	}
	t.Fatalf("no %s address among %v", protocol, h.Addrs())
	return ""
}

func TestConnect(t *testing.T) {
	for _, protocol := range []string{"/tcp/", "/quic-v1"} {
		t.Run(protocol, func(t *testing.T) {
			a, b := local(t, Config{}), local(t, Config{})
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			if err := a.Connect(ctx, addr(t, b, protocol)); err != nil {
				t.Fatal(err)
			}
			conns := a.LibP2P().Network().ConnsToPeer(b.ID())
			if len(conns) != 1 || !strings.Contains(conns[0].RemoteMultiaddr().String(), protocol) {
				t.Fatalf("connections: %v", conns)
			}
			r := <-ping.Ping(ctx, a.LibP2P(), b.ID())
			if r.Error != nil {
				t.Errorf("ping: %v", r.Error)
			}
			if err := a.Connect(ctx, addr(t, b, protocol)); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// TestTransports holds what a host speaks, and what it must not.
func TestTransports(t *testing.T) {
	h := local(t, Config{})
	got := h.LibP2P().Network().ListenAddresses()
	if len(got) != 2 {
		t.Errorf("listening on %v", got)
	}
	for _, p := range h.LibP2P().Mux().Protocols() {
		for _, bad := range []string{"circuit", "relay", "autonat", "dcutr", "holepunch", "kad"} {
			if strings.Contains(string(p), bad) {
				t.Errorf("a local host speaks %s", p)
			}
		}
	}
	for _, a := range []string{"/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/quic-v1/webtransport", "/ip4/127.0.0.1/udp/0/webrtc-direct"} {
		if err := h.LibP2P().Network().Listen(ma.StringCast(a)); err == nil {
			t.Errorf("listening on %s", a)
		}
	}
	if h.Routing() != nil {
		t.Error("a local host has routing")
	}
	c := cid.NewCidV1(cid.Raw, mustSum(t))
	if err := h.Provide(context.Background(), c); !errors.Is(err, ErrNoRouting) {
		t.Errorf("provide: %v", err)
	}
	if _, err := h.FindProviders(context.Background(), c, 1); !errors.Is(err, ErrNoRouting) {
		t.Errorf("find providers: %v", err)
	}
}

func mustSum(t testing.TB) mh.Multihash {
	t.Helper()
	m, err := mh.Sum([]byte(t.Name()), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPrivateDHT(t *testing.T) {
	boot := local(t, Config{Bootstrap: []string{}})
	if boot.Routing() != nil {
		t.Fatal("no bootstrap peers, and routing")
	}
	// The first of a private network knows nobody: it names itself.
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := local(t, Config{Key: key, Bootstrap: []string{addr(t, boot, "/tcp/")}})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	a := local(t, Config{Bootstrap: []string{addr(t, first, "/tcp/")}})
	b := local(t, Config{Bootstrap: []string{addr(t, first, "/quic-v1")}})
	for _, h := range []*Host{a, b} {
		if err := h.Connect(ctx, addr(t, first, "/tcp/")); err != nil {
			t.Fatal(err)
		}
	}
	c := cid.NewCidV1(cid.Raw, mustSum(t))
	if err := a.Provide(ctx, c); err != nil {
		t.Fatal(err)
	}
	for {
		found, err := b.FindProviders(ctx, c, 5)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 && found[0].ID == a.ID() {
			break
		}
		if err := ctx.Err(); err != nil {
			t.Fatalf("found %v", found)
		}
		if err := a.Provide(ctx, c); err != nil { // the routing tables fill up slowly
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestQuietHostAnnouncesNothing to a DHT in which others are found, and is in nobody's routing table; it finds content.
func TestQuietHostAnnouncesNothing(t *testing.T) {
	boot := local(t, Config{Bootstrap: []string{}})
	first := local(t, Config{Bootstrap: []string{addr(t, boot, "/tcp/")}})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	named := []string{addr(t, first, "/tcp/")}
	quiet := local(t, Config{Bootstrap: named, Quiet: true, Roots: func(context.Context) (<-chan cid.Cid, error) {
		t.Error("a quiet host asks what there is to announce")
		return nil, errors.New("none")
	}})
	loud := local(t, Config{Bootstrap: named})
	for _, h := range []*Host{quiet, loud} {
		if err := h.Connect(ctx, named[0]); err != nil {
			t.Fatal(err)
		}
	}
	c := cid.NewCidV1(cid.Raw, mustSum(t))
	for ctx.Err() == nil {
		for _, h := range []*Host{quiet, loud} {
			if err := h.Provide(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		if found, err := quiet.FindProviders(ctx, c, 5); err == nil && len(found) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, h := range []*Host{first, loud} {
		found, err := h.FindProviders(ctx, c, 5)
		if err != nil || len(found) != 1 || found[0].ID != loud.ID() {
			t.Errorf("found %v, %v; want only %s", found, err, loud.ID())
		}
		if table := h.router.dht.(*dht.IpfsDHT).RoutingTable(); table.Find(quiet.ID()) != "" {
			t.Error("the quiet host is in a routing table")
		}
	}
	for _, p := range quiet.LibP2P().Mux().Protocols() {
		if strings.Contains(string(p), "kad") {
			t.Errorf("the quiet host answers %s", p)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libp2p.key")
	a := local(t, Config{KeyFile: path})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 68 {
		t.Fatalf("%v, %v", info, err)
	}
	if b := local(t, Config{KeyFile: path}); b.ID() != a.ID() {
		t.Errorf("%s after %s", b.ID(), a.ID())
	}
	key, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := peer.IDFromPrivateKey(key); err != nil || id != a.ID() {
		t.Errorf("%s, %v", id, err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secp, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := crypto.MarshalPrivateKey(secp)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
	}{
		"readable by the group": {whole, 0o640},
		"readable by others":    {whole, 0o604},
		"empty":                 {nil, 0o600},
		"cut":                   {whole[:60], 0o600},
		"of another type":       {other, 0o600},
		"too long":              {make([]byte, maxKeyFile+1), 0o600},
	} {
		p := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(p, c.content, c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreateKey(p)
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(p); string(after) != string(c.content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := LoadOrCreateKey(filepath.Join(t.TempDir(), "no", "such", "folder")); err == nil {
		t.Error("a folder that is not there: no error")
	}
}

func TestRefusedConfigurations(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"no multiaddr":            {Listen: []string{"127.0.0.1:4021"}},
		"websocket":               {Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"}},
		"one of two ports taken":  {Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/" + port}},
		"the only port taken":     {Listen: []string{"/ip4/127.0.0.1/tcp/" + port}},
		"bootstrap without an id": {Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Bootstrap: []string{"/ip4/127.0.0.1/tcp/1"}},
		"bootstrap not an addr":   {Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Bootstrap: []string{"example"}},
		"key in no folder":        {Listen: []string{"/ip4/127.0.0.1/tcp/0"}, KeyFile: filepath.Join(t.TempDir(), "no", "key")},
	} {
		cfg.Local = true
		h, err := New(context.Background(), cfg)
		if err == nil {
			t.Errorf("%s: no error", name)
			h.Close()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := New(ctx, Config{Local: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	h := local(t, Config{})
	if err := h.Connect(context.Background(), "/ip4/127.0.0.1/tcp/1"); err == nil {
		t.Error("connect without an id: no error")
	}
}

func TestDefaultAddresses(t *testing.T) {
	addrs, err := listenAddrs(Config{})
	if err != nil || len(addrs) != 4 {
		t.Fatalf("%v, %v", addrs, err)
	}
	public, err := bootstrapPeers(Config{})
	if err != nil || len(public) == 0 {
		t.Errorf("bootstrap peers of the public network: %v, %v", public, err)
	}
	none, err := bootstrapPeers(Config{Local: true})
	if err != nil || len(none) != 0 {
		t.Errorf("bootstrap peers of a local host: %v, %v", none, err)
	}
}

// TestLimits holds that one peer cannot open more than its share.
func TestLimits(t *testing.T) {
	a, b := local(t, Config{}), local(t, Config{})
	b.LibP2P().SetStreamHandler("/test/hold", func(s network.Stream) {
		buf := make([]byte, 1)
		s.Read(buf)
		s.Reset()
	})
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := a.Connect(ctx, addr(t, b, "/tcp/")); err != nil {
		t.Fatal(err)
	}
	var open []network.Stream
	refused := 0
	for range 2 * maxStreamsPeer {
		s, err := a.LibP2P().NewStream(ctx, b.ID(), "/test/hold")
		if err != nil {
			refused++
			if refused > 3 {
				break
			}
			continue
		}
		open = append(open, s)
	}
	if refused == 0 || len(open) > maxStreamsPeer {
		t.Errorf("%d streams open, %d refused", len(open), refused)
	}
	for _, s := range open {
		s.Reset()
	}
}

func TestCloseTwice(t *testing.T) {
	h := local(t, Config{})
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Error(err)
	}
}

// TestProvideWhileClosing announces until the host is closed, and after that: an error, and no race (which the detector
// sees).
func TestProvideWhileClosing(t *testing.T) {
	h := local(t, Config{Bootstrap: []string{addr(t, local(t, Config{Bootstrap: []string{}}), "/tcp/")}})
	c := cid.NewCidV1(cid.Raw, mustSum(t))
	started, done := make(chan struct{}), make(chan error)
	go func() {
		err := h.Provide(t.Context(), c)
		close(started)
		for err == nil {
			err = h.Provide(t.Context(), c)
		}
		done <- err
	}()
	<-started
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	t.Log(<-done)
}

// TestConns: both sides see the connection, what went over it, and no more of it once it is gone.
func TestConns(t *testing.T) {
	a, b := local(t, Config{}), local(t, Config{})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := a.Connect(ctx, addr(t, b, "/quic-v1")); err != nil {
		t.Fatal(err)
	}
	if r := <-ping.Ping(ctx, a.LibP2P(), b.ID()); r.Error != nil {
		t.Fatal(r.Error)
	}
	out, in := a.Conns(), b.Conns()
	if len(out) != 1 || len(in) != 1 {
		t.Fatalf("%+v, %+v", out, in)
	}
	c, d := out[0], in[0]
	if c.Peer != b.ID() || c.Transport != "quic-v1" || !c.Dialed || time.Since(c.Since) > time.Minute || c.RTT <= 0 || c.Sent < 32 || c.Received < 32 ||
		!strings.HasPrefix(c.Addr, "/ip4/127.0.0.1/udp/") {
		t.Errorf("dialed: %+v", c)
	}
	if d.Peer != a.ID() || d.Dialed || d.Sent < 32 || d.Received < 32 {
		t.Errorf("accepted: %+v", d)
	}
	if err := a.LibP2P().Network().ClosePeer(b.ID()); err != nil {
		t.Fatal(err)
	}
	for len(b.Conns()) > 0 || b.traffic.counts(a.ID()) != nil || a.traffic.counts(b.ID()) != nil {
		if ctx.Err() != nil {
			t.Fatal("the connection is still there")
		}
		time.Sleep(time.Millisecond)
	}
	if r := a.Reachability(); r != "public" { // a local host says so itself
		t.Error(r)
	}
}
