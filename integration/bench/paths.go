package main

import (
	"context"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// longPath is the path of the figures that are about distance: a round trip of 50 ms, of which a hundredth of the packets in
// each direction does not arrive.
var longPath = fault.Link{Drop: 0.01, Delay: 25 * time.Millisecond, Seed: 1}

// pathFigures compare the bridge with the Rust peer over other paths than the shortest.
func (b *bench) pathFigures() []figure {
	return []figure{
		{
			name: "relay: serve a file to Rust", what: wall, limit: 1.1, bytes: b.o.size,
			bridge: bridgeToRustByRelay, reference: rustToRustByRelay,
			commands: "`irohpeer --relay-only fetch` from the bridge : from `irohpeer --relay-only serve`, both through one `iroh-relay`",
		},
		{
			name: "relay: fetch a file from Rust", what: wall, limit: 1.1, bytes: b.o.size,
			bridge: rustToBridgeByRelay, reference: rustToRustByRelay,
			commands: "`bridge fetch` : `irohpeer --relay-only fetch`, both from `irohpeer --relay-only serve` through one `iroh-relay`",
		},
		{
			name: "50 ms, 1 % loss: serve to Rust", what: wall, limit: 1.1, together: true,
			bridge: bridgeToRustFarAway, reference: rustToRustFarAway,
			commands: "`irohpeer fetch` from the bridge : from `irohpeer serve`, both through the proxy of integration/fault",
		},
		{
			name: "50 ms, 1 % loss: fetch from Rust", what: wall, limit: 1.1, together: true,
			bridge: rustToBridgeFarAway, reference: rustToRustFarAway,
			commands: "`bridge fetch` : `irohpeer fetch`, both from `irohpeer serve` through the proxy of integration/fault",
		},
	}
}

// relay starts a relay for one turn, and returns a Rust peer that knows no other way.
func (t *turn) relay(ctx context.Context) (*peer.RelayServer, peer.RustPeer, error) {
	r, err := t.cache.StartRelay(ctx, peer.RelayConfig{Dir: t.dir})
	if err != nil {
		return nil, peer.RustPeer{}, err
	}
	t.procs = append(t.procs, r.Process)
	rust := t.rust
	rust.Relay, rust.RelayOnly = r.URL, true
	return r, rust, nil
}

func bridgeToRustByRelay(ctx context.Context, t *turn) (sample, error) {
	r, rust, err := t.relay(ctx)
	if err != nil {
		return sample{}, err
	}
	d, err := t.daemon(ctx, "--relay", r.URL)
	if err != nil {
		return sample{}, err
	}
	c, err := d.Do(ctx, "add", t.big)
	if err != nil {
		return sample{}, err
	}
	var made struct{ Ticket string }
	if err := d.JSON(ctx, &made, "ticket", c.Hash, "--relay"); err != nil {
		return sample{}, err
	}
	s, err := t.fetchBy(ctx, rust, made.Ticket)
	if err != nil {
		return s, err
	}
	return ended(d, s, t.o.size)
}

func rustToRustByRelay(ctx context.Context, t *turn) (sample, error) {
	_, rust, err := t.relay(ctx)
	if err != nil {
		return sample{}, err
	}
	n, err := t.serveBy(ctx, rust, t.big)
	if err != nil {
		return sample{}, err
	}
	return t.fetchBy(ctx, rust, n.Items[0].Ticket)
}

func rustToBridgeByRelay(ctx context.Context, t *turn) (sample, error) {
	r, rust, err := t.relay(ctx)
	if err != nil {
		return sample{}, err
	}
	n, err := t.serveBy(ctx, rust, t.big)
	if err != nil {
		return sample{}, err
	}
	d, err := t.daemon(ctx, "--relay", r.URL)
	if err != nil {
		return sample{}, err
	}
	return bringIn(ctx, d, t.o.size, "fetch", n.Items[0].Ticket)
}

// distance is a small network for one turn: two hosts that have no way to each other but through a third one between them. On one
// machine's loopback two Rust peers would tell each other their addresses, and go around the proxy.
type distance struct {
	server, client peer.Place
	between        *netns.Host
	front          netip.Addr // of the host between, on the client's side
}

// farAway makes the hosts.
func (t *turn) farAway(ctx context.Context) (*distance, error) {
	lab, err := netns.New(ctx)
	if err != nil {
		return nil, err
	}
	t.closing = append(t.closing, lab)
	hosts := make([]*netns.Host, 3)
	for i, name := range []string{"server", "between", "client"} {
		if hosts[i], err = lab.Host(ctx, name); err != nil {
			return nil, err
		}
	}
	d := &distance{between: hosts[1]}
	for i, name := range []string{"near", "far"} {
		third := byte(i + 1)
		segment, err := lab.Segment(ctx, name, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, third, 0}), 24))
		if err != nil {
			return nil, err
		}
		for k, h := range hosts[i : i+2] {
			if _, err := h.Join(ctx, segment, netip.AddrFrom4([4]byte{10, 77, third, byte(10 + k)}), netip.Addr{}); err != nil {
				return nil, err
			}
		}
	}
	d.server, d.client, d.front = peer.At(hosts[0]), peer.At(hosts[2]), hosts[1].Addrs[1]
	return d, nil
}

// ticket puts the long path in front of the server, and returns the ticket that leads over it.
func (d *distance) ticket(t *turn, text string) (string, error) {
	blob, err := ticket.ParseBlob(text)
	if err != nil {
		return "", err
	}
	proxy, err := fault.NewProxyOn(d.between, netip.AddrPortFrom(d.front, 0), blob.Addr.Direct[0], longPath)
	if err != nil {
		return "", err
	}
	t.closing = append(t.closing, proxy)
	blob.Addr.Direct = []netip.AddrPort{proxy.Addr()}
	return blob.String(), nil
}

// daemonAt starts a bridge at a place.
func (t *turn) daemonAt(ctx context.Context, place peer.Place) (*peer.Daemon, error) {
	b := t.bridge
	b.Netns = place.Netns
	d, err := b.Daemon(ctx, filepath.Join(t.dir, "bridge"), "--iroh-listen", netip.AddrPortFrom(place.Addr, 0).String())
	if err == nil {
		t.procs = append(t.procs, d.Process)
	}
	return d, err
}

func (t *turn) rustAt(place peer.Place) peer.RustPeer {
	rust := t.rust
	rust.Place = place
	return rust
}

func bridgeToRustFarAway(ctx context.Context, t *turn) (sample, error) {
	far, err := t.farAway(ctx)
	if err != nil {
		return sample{}, err
	}
	d, err := t.daemonAt(ctx, far.server)
	if err != nil {
		return sample{}, err
	}
	c, err := d.Do(ctx, "add", t.part)
	if err != nil {
		return sample{}, err
	}
	text, err := far.ticket(t, c.Ticket)
	if err != nil {
		return sample{}, err
	}
	s, err := t.fetchBy(ctx, t.rustAt(far.client), text)
	if err != nil {
		return s, err
	}
	return ended(d, s, t.o.far)
}

func rustToRustFarAway(ctx context.Context, t *turn) (sample, error) {
	far, text, err := rustFarAway(ctx, t)
	if err != nil {
		return sample{}, err
	}
	return t.fetchBy(ctx, t.rustAt(far.client), text)
}

func rustToBridgeFarAway(ctx context.Context, t *turn) (sample, error) {
	far, text, err := rustFarAway(ctx, t)
	if err != nil {
		return sample{}, err
	}
	d, err := t.daemonAt(ctx, far.client)
	if err != nil {
		return sample{}, err
	}
	return bringIn(ctx, d, t.o.far, "fetch", text)
}

// rustFarAway starts a Rust node that serves over the long path.
func rustFarAway(ctx context.Context, t *turn) (*distance, string, error) {
	far, err := t.farAway(ctx)
	if err != nil {
		return nil, "", err
	}
	n, err := t.serveBy(ctx, t.rustAt(far.server), t.part)
	if err != nil {
		return nil, "", err
	}
	text, err := far.ticket(t, n.Items[0].Ticket)
	return far, text, err
}

// serveBy starts a Rust node that serves a path from a store in the turn's folder, referenced in place.
func (t *turn) serveBy(ctx context.Context, rust peer.RustPeer, path string) (*peer.RustNode, error) {
	n, err := rust.Serve(ctx, filepath.Join(t.dir, "served"), "--reference", path)
	if err == nil {
		t.procs = append(t.procs, n.Process)
	}
	return n, err
}

// fetchBy is a Rust peer's fetch into a store on disk.
func (t *turn) fetchBy(ctx context.Context, rust peer.RustPeer, text string) (sample, error) {
	var s sample
	var err error
	s.wall, err = timed(ctx, func() error {
		_, err := rust.Fetch(ctx, filepath.Join(t.dir, "fetched"), text, "none")
		return err
	})
	return s, err
}
