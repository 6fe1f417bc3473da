package main

import (
	"context"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// longPath is the path of the figures that are about distance: a round trip of 50 ms, of which a hundredth of the packets in
// each direction does not arrive.
var longPath = fault.Link{Drop: 0.01, Delay: 25 * time.Millisecond, Seed: 1}

// longShare is the part of the big file that goes over the long path, which is slow for everybody.
const longShare = 32

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
			name: "50 ms, 1 % loss: serve to Rust", what: wall, limit: 1.1, bytes: b.o.size / longShare,
			bridge: bridgeToRustFarAway, reference: rustToRustFarAway,
			commands: "`irohpeer fetch` from the bridge : from `irohpeer serve`, both through the proxy of integration/fault",
		},
		{
			name: "50 ms, 1 % loss: fetch from Rust", what: wall, limit: 1.1, bytes: b.o.size / longShare,
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

// farAway puts the long path in front of a direct address, and returns the ticket that leads over it.
func (t *turn) farAway(text string) (string, error) {
	blob, err := ticket.ParseBlob(text)
	if err != nil {
		return "", err
	}
	proxy, err := fault.NewProxy(blob.Addr.Direct[0], longPath)
	if err != nil {
		return "", err
	}
	t.closing = append(t.closing, proxy)
	blob.Addr.Direct = []netip.AddrPort{proxy.Addr()}
	return blob.String(), nil
}

func bridgeToRustFarAway(ctx context.Context, t *turn) (sample, error) {
	d, err := t.daemon(ctx)
	if err != nil {
		return sample{}, err
	}
	c, err := d.Do(ctx, "add", t.part)
	if err != nil {
		return sample{}, err
	}
	far, err := t.farAway(c.Ticket)
	if err != nil {
		return sample{}, err
	}
	s, err := t.fetchBy(ctx, t.rust, far)
	if err != nil {
		return s, err
	}
	return ended(d, s, t.o.size/longShare)
}

func rustToRustFarAway(ctx context.Context, t *turn) (sample, error) {
	n, err := t.serveBy(ctx, t.rust, t.part)
	if err != nil {
		return sample{}, err
	}
	far, err := t.farAway(n.Items[0].Ticket)
	if err != nil {
		return sample{}, err
	}
	return t.fetchBy(ctx, t.rust, far)
}

func rustToBridgeFarAway(ctx context.Context, t *turn) (sample, error) {
	n, err := t.serveBy(ctx, t.rust, t.part)
	if err != nil {
		return sample{}, err
	}
	far, err := t.farAway(n.Items[0].Ticket)
	if err != nil {
		return sample{}, err
	}
	d, err := t.daemon(ctx)
	if err != nil {
		return sample{}, err
	}
	return bringIn(ctx, d, t.o.size/longShare, "fetch", far)
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
