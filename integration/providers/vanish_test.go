package providers

import (
	"fmt"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// trigger does something once, when so many bytes have come.
type trigger struct {
	left uint64
	then func()
}

func (*trigger) Blob(bao.Hash, uint64, uint64) {}

func (g *trigger) Bytes(_ bao.Hash, n uint64) {
	if g.left > 0 && n >= g.left {
		g.then()
	}
	g.left -= min(n, g.left)
}

// soon is less than the 30 s after which QUIC takes a peer for gone.
const soon = 28 * time.Second

// Of three Rust providers two are killed in the middle, one after the other, so that nothing says that they are gone: the last one
// takes over within seconds, and what the others have given stays.
func TestProvidersAreKilled(t *testing.T) {
	const n = 32 << 20
	path := randomFile(t, n)
	var nodes []*peer.RustNode
	var from []ticket.EndpointAddr
	var hash bao.Hash
	for range 3 {
		node, addr, of := rustNode(t, path, "--rate", fmt.Sprint(4<<20))
		nodes, from, hash = append(nodes, node), append(from, addr), of
	}
	s := openStore(t, t.TempDir())
	defer s.Close()
	d := downloader.New(downloader.Config{Store: s, Endpoint: listen(t, "127.0.0.1")})
	var killed time.Time
	second := &trigger{left: n / 4, then: func() { nodes[1].Kill(); killed = time.Now() }}
	first := &trigger{left: n / 4, then: func() { nodes[0].Kill() }}
	stats, err := d.Fetch(peertest.Context(t), from, hash, ticket.Raw, both{first, second})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(peertest.Context(t), hash); err != nil {
		t.Error(err)
	}
	took := time.Since(killed)
	t.Logf("%s after the second was killed: %+v", took, stats.Providers)
	if took > soon {
		t.Errorf("it took %s without them", took)
	}
	one, two, last := stats.Providers[0], stats.Providers[1], stats.Providers[2]
	if one.Bytes+two.Bytes == 0 || last.Bytes == 0 || one.Err == nil {
		t.Errorf("those that were killed gave %d and %d bytes, the other one %d; the first: %v", one.Bytes, two.Bytes, last.Bytes, one.Err)
	}
	if stats.Bytes != n { // what the others had given did not come again
		t.Errorf("%d bytes came, want %d", stats.Bytes, n)
	}
}

// both tells two, the second one when the first is done.
type both struct{ first, second *trigger }

func (both) Blob(bao.Hash, uint64, uint64) {}

func (b both) Bytes(hash bao.Hash, n uint64) {
	if b.first.left > 0 {
		b.first.Bytes(hash, n)
	} else {
		b.second.Bytes(hash, n)
	}
}
