package discovery_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/pkarr"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// The tests of this file run against a real iroh-dns-server 1.4.1 and a real endpoint of iroh 1.4.1.

const alpn = "discovery-test/0"

func newKey(t testing.TB) key.SecretKey {
	t.Helper()
	k, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newRelay(t testing.TB, cfg discovery.PkarrConfig) *discovery.PkarrRelay {
	t.Helper()
	p, err := discovery.NewPkarrRelay(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func newDNS(t testing.TB, origin string, servers ...netip.AddrPort) *discovery.DNS {
	t.Helper()
	d, err := discovery.NewDNS(discovery.DNSConfig{Origin: origin, Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// eventually asks a source until it says what is wanted: the server shows a packet within about a second.
func eventually(t *testing.T, source discovery.Source, id key.EndpointID, ok func(record.Record) bool) record.Record {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		r, err := source.Resolve(peertest.Context(t), id)
		if err == nil && ok(r) {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: last answer %+v, %v", source.Name(), r, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func sample(k key.SecretKey) record.Record {
	return record.Record{UserData: "hello world", Addr: ticket.EndpointAddr{
		ID: k.ID(), Relays: []string{"http://127.0.0.1:3340/"},
		Direct: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:4433"), netip.MustParseAddrPort("[2001:db8::1]:65535")},
		Custom: []ticket.CustomAddr{{Transport: 0x1f, Data: []byte{0, 255}}},
	}}
}

func TestPublishedByUsResolvedByUs(t *testing.T) {
	server := peertest.DNS(t)
	ctx, k := peertest.Context(t), newKey(t)
	pk := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k, Direct: true})
	sources := []discovery.Source{pk, newDNS(t, peer.DNSOrigin, server.Server), newDNS(t, ".", server.Server)}
	for _, source := range sources {
		if r, err := source.Resolve(ctx, k.ID()); !errors.Is(err, discovery.ErrNotFound) {
			t.Fatalf("%s knows an endpoint that never published: %+v, %v", source.Name(), r, err)
		}
	}
	want := sample(k)
	if err := pk.Publish(ctx, want); err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		got := eventually(t, source, k.ID(), want.Equal)
		if got.ID() != k.ID() {
			t.Errorf("%s: id %s", source.Name(), got.ID())
		}
	}
	// A change at once afterwards; and without addresses the endpoint is no longer known.
	want.Addr.Direct = want.Addr.Direct[:1]
	if err := pk.Publish(ctx, want); err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		eventually(t, source, k.ID(), want.Equal)
	}
	if err := pk.Publish(ctx, record.Record{Addr: ticket.EndpointAddr{ID: k.ID()}}); err != nil {
		t.Fatal(err)
	}
	if r, err := pk.Resolve(ctx, k.ID()); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("after an empty record: %+v, %v", r, err)
	}
}

func TestManyAddressesOverDNSNeedTCP(t *testing.T) {
	server := peertest.DNS(t)
	ctx, k := peertest.Context(t), newKey(t)
	want := record.Record{Addr: ticket.EndpointAddr{ID: k.ID()}}
	for i := range byte(22) {
		ip := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, i + 16})
		want.Addr.Direct = append(want.Addr.Direct, netip.AddrPortFrom(ip, 4433))
	}
	if err := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k, Direct: true}).Publish(ctx, want); err != nil {
		t.Fatal(err)
	}
	got := eventually(t, newDNS(t, peer.DNSOrigin, server.Server), k.ID(), func(r record.Record) bool { return len(r.Addr.Direct) > 10 })
	n := len(got.Addr.Direct)
	if want.Addr.Direct = want.Addr.Direct[:n]; !got.Equal(want) {
		t.Errorf("got %d addresses: %v", n, got.Addr.Direct)
	}
}

func TestOnlyRelaysArePublishedByDefault(t *testing.T) {
	server := peertest.DNS(t)
	ctx, k := peertest.Context(t), newKey(t)
	pk := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k})
	direct := record.Record{Addr: ticket.EndpointAddr{ID: k.ID(), Direct: sample(k).Addr.Direct}}
	if err := pk.Publish(ctx, direct); err != nil {
		t.Fatal(err)
	}
	if _, err := pk.Get(ctx, k.ID()); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("a record without relays was published: %v", err)
	}
	if err := pk.Publish(ctx, sample(k)); err != nil {
		t.Fatal(err)
	}
	packet, err := pk.Get(ctx, k.ID())
	if err != nil {
		t.Fatal(err)
	}
	if r := packet.Record(); len(r.Addr.Relays) != 1 || len(r.Addr.Direct)+len(r.Addr.Custom) != 0 || r.UserData != "hello world" {
		t.Errorf("published %+v", r)
	}
}

// A packet of an earlier run, made while the clock stood in the future, must not keep a new one away.
func TestTimestampInTheFuture(t *testing.T) {
	server := peertest.DNS(t)
	ctx, k := peertest.Context(t), newKey(t)
	future := uint64(time.Now().Add(1000 * time.Hour).UnixMicro())
	old, err := pkarr.Sign(k, sample(k), future, 30)
	if err != nil {
		t.Fatal(err)
	}
	pk := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k, Direct: true})
	if err := pk.Put(ctx, old); err != nil {
		t.Fatal(err)
	}
	want := sample(k)
	want.UserData = "new"
	for range 2 {
		if err := pk.Publish(ctx, want); err != nil {
			t.Fatal(err)
		}
	}
	got := eventually(t, pk, k.ID(), want.Equal)
	packet, err := pk.Get(ctx, k.ID())
	if err != nil || packet.Micros() != future+2 {
		t.Errorf("%+v at %d µs after the old packet, %v", got, int64(packet.Micros()-future), err)
	}
}

func TestServerRefusesWhatIsNotSigned(t *testing.T) {
	server := peertest.DNS(t)
	k := newKey(t)
	p, err := pkarr.Sign(k, sample(k), 1, 30)
	if err != nil {
		t.Fatal(err)
	}
	raw := p.Payload()
	raw[len(raw)-1] ^= 1
	req, err := http.NewRequestWithContext(peertest.Context(t), http.MethodPut, server.URL+"/"+k.ID().Z32(), bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a damaged packet: %s", resp.Status)
	}
}

func TestRustResolvesAndDialsUs(t *testing.T) {
	server, rust := peertest.DNS(t), peertest.Rust(t)
	ctx, k := peertest.Context(t), newKey(t)
	us := listen(t, k)
	pk := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k, Direct: true})
	publisher := discovery.NewPublisher(discovery.PublisherConfig{Sinks: []discovery.Sink{pk}})
	defer publisher.Close()
	publisher.Update(us.Addr())
	eventually(t, newDNS(t, peer.DNSOrigin, server.Server), k.ID(), func(record.Record) bool { return true })
	for name, flags := range map[string][]string{
		"pkarr": {"--pkarr", server.URL},
		"DNS":   {"--dns-origin", peer.DNSOrigin, "--dns-server", server.Server.String()},
	} {
		rust.Flags = flags
		dial, err := rust.Dial(ctx, k.ID().String(), "--alpn", alpn)
		if err != nil || dial.RemoteID != k.ID().String() {
			t.Errorf("%s: iroh dials us by id alone: %+v, %v", name, dial, err)
		}
	}
	if _, err := rust.Dial(ctx, newKey(t).ID().String(), "--alpn", alpn); err == nil {
		t.Error("iroh has reached an endpoint that does not exist")
	}
}

func TestWeResolveAndDialRust(t *testing.T) {
	server, rust := peertest.DNS(t), peertest.Rust(t)
	rust.Flags = []string{"--pkarr", server.URL}
	ctx := peertest.Context(t)
	node, err := rust.Echo(ctx, alpn)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	id, err := key.ParseEndpointID(node.ID)
	if err != nil {
		t.Fatal(err)
	}
	us := listen(t, newKey(t))
	for _, source := range []discovery.Source{newRelay(t, discovery.PkarrConfig{URL: server.URL}), newDNS(t, peer.DNSOrigin, server.Server)} {
		eventually(t, source, id, func(record.Record) bool { return true })
		r := discovery.NewResolver(discovery.ResolverConfig{Sources: []discovery.Source{source}})
		defer r.Close()
		addr, err := r.Resolve(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if len(addr.Direct) == 0 || addr.Direct[0].String() != node.Addrs[0] {
			t.Errorf("%s: addresses %v, want %v", source.Name(), addr.Direct, node.Addrs)
		}
		conn, err := us.Dial(ctx, addr, alpn)
		if err != nil {
			t.Fatalf("%s: %v", source.Name(), err)
		}
		echo(t, conn)
	}
}

// An endpoint of iroh's that only a relay reaches publishes the relay's URL, and two of them meet by id alone: what we
// resolve is what iroh itself dials.
func TestRustBehindARelay(t *testing.T) {
	server, relay, rust := peertest.DNS(t), peertest.Relay(t, peer.RelayConfig{}), peertest.Rust(t)
	ctx := peertest.Context(t)
	rust.Relay, rust.RelayOnly, rust.Flags = relay.URL, true, []string{"--pkarr", server.URL}
	node, err := rust.Echo(ctx, alpn)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	id, err := key.ParseEndpointID(node.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := eventually(t, newDNS(t, peer.DNSOrigin, server.Server), id, func(r record.Record) bool { return len(r.Addr.Relays) > 0 })
	if len(got.Addr.Direct) != 0 || !slices.Equal(got.Addr.Relays, []string{relay.URL}) {
		t.Errorf("resolved %+v, want the relay %s alone", got.Addr, relay.URL)
	}
	// And the other way round: iroh finds an endpoint of iroh's through a record that we have signed.
	k := key.SecretKeyFromSeed([32]byte(bytes.Repeat([]byte{7}, 32)))
	rust.Flags = []string{"--secret", strings.Repeat("07", 32)}
	silent, err := rust.Echo(ctx, alpn)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, silent.Process)
	ours := record.New(ticket.EndpointAddr{ID: k.ID(), Relays: []string{relay.URL}})
	if err := newRelay(t, discovery.PkarrConfig{URL: server.URL, SecretKey: k}).Publish(ctx, ours); err != nil {
		t.Fatal(err)
	}
	eventually(t, newDNS(t, peer.DNSOrigin, server.Server), k.ID(), ours.Equal)
	rust.Flags = []string{"--dns-origin", peer.DNSOrigin, "--dns-server", server.Server.String()}
	if dial, err := rust.Dial(ctx, k.ID().String(), "--alpn", alpn); err != nil || dial.RemoteID != k.ID().String() {
		t.Errorf("dialed by id through the relay: %+v, %v", dial, err)
	}
}

// An endpoint of iroh's comes back on another port: a caller that could not reach it at the old one forgets that, and
// finds the new one.
func TestRustMovesAndIsFoundAgain(t *testing.T) {
	server, rust := peertest.DNS(t), peertest.Rust(t)
	rust.Flags = []string{"--pkarr", server.URL, "--secret", strings.Repeat("07", 32)}
	ctx := peertest.Context(t)
	us := listen(t, newKey(t))
	r := discovery.NewResolver(discovery.ResolverConfig{Sources: []discovery.Source{
		newRelay(t, discovery.PkarrConfig{URL: server.URL}), newDNS(t, peer.DNSOrigin, server.Server),
	}})
	defer r.Close()
	var id key.EndpointID
	var before []netip.AddrPort
	for round := range 2 {
		node, err := rust.Echo(ctx, alpn)
		if err != nil {
			t.Fatal(err)
		}
		peertest.Keep(t, node.Process)
		if id, err = key.ParseEndpointID(node.ID); err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			addr, err := r.Resolve(ctx, id)
			if err != nil || !slices.Equal(addr.Direct, before) {
				t.Errorf("what is remembered has changed: %v, %v; want %v", addr.Direct, err, before)
			}
		}
		for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			addr, err := r.Resolve(ctx, id)
			if err == nil && slices.Contains(texts(addr.Direct), node.Addrs[0]) {
				before = addr.Direct
				break
			}
			r.Forget(id)
			if time.Since(start) > time.Minute {
				t.Fatalf("found %v, %v; want %v", addr.Direct, err, node.Addrs)
			}
		}
		addr, err := r.Resolve(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := us.Dial(ctx, addr, alpn)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, conn)
		node.Stop()
	}
	for _, a := range r.Ask(ctx, id) {
		if a.Err != nil || len(a.Record.Addr.Direct) == 0 {
			t.Errorf("%s: %+v, %v", a.Source, a.Record, a.Err)
		}
	}
}

func texts(list []netip.AddrPort) (out []string) {
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}

// listen starts an endpoint of ours on 127.0.0.1 that accepts connections and holds them.
func listen(t *testing.T, k key.SecretKey) *iroh.Endpoint {
	t.Helper()
	us, err := iroh.Listen(iroh.Config{SecretKey: k, Listen: "127.0.0.1:0", ALPNs: []string{alpn}})
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			if _, err := us.Accept(context.Background()); errors.Is(err, iroh.ErrClosed) {
				return
			}
		}
	}()
	t.Cleanup(func() { us.Close(); <-accepted })
	return us
}

// echo proves that a connection carries bytes to the other side and back.
func echo(t *testing.T, conn *iroh.Conn) {
	t.Helper()
	defer conn.CloseWithError(0, "done")
	stream, err := conn.OpenStream(peertest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write([]byte("found by id")); err != nil {
		t.Fatal(err)
	}
	stream.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(stream); err != nil || got.String() != "found by id" {
		t.Errorf("echo: %q, %v", got.String(), err)
	}
}
