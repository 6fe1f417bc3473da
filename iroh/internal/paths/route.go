package paths

import (
	"encoding/binary"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// addrPort is the port of all relayed paths.
const addrPort = 1

// A Sender carries datagrams to an endpoint through one relay. It never blocks for long, and loses what it cannot send.
type Sender interface {
	Send(relay.Datagrams) bool
	URL() relay.URL
}

// Route is a path to an endpoint through a relay.
type Route struct {
	book   *book
	via    Sender
	peer   key.EndpointID
	addr   net.UDPAddr
	direct atomic.Pointer[net.UDPAddr]
}

// Addr is the address of the route for quic-go. It must not be changed.
func (r *Route) Addr() *net.UDPAddr { return &r.addr }

// Relay is the relay of the route.
func (r *Route) Relay() relay.URL { return r.via.URL() }

// SetDirect says where a Detour sends what is for the route.
func (r *Route) SetDirect(to *net.UDPAddr) { r.direct.Store(to) }

// Close forgets a route that was dialed.
func (r *Route) Close() {
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	delete(r.book.dialed, r.key())
}

func (r *Route) key() [16]byte { return [16]byte(r.addr.IP) }

func relayed(number uint32, low uint64) net.UDPAddr {
	ip := make(net.IP, 16)
	binary.BigEndian.PutUint32(ip, 0xfd150a51)
	binary.BigEndian.PutUint32(ip[4:], number)
	binary.BigEndian.PutUint64(ip[8:], low)
	return net.UDPAddr{IP: ip, Port: addrPort}
}

// Relayed reports whether ip is in the range of relayed paths, which nobody can have on a network.
func Relayed(ip netip.Addr) bool {
	b := ip.As16()
	return ip.Is6() && binary.BigEndian.Uint32(b[:]) == 0xfd150a51
}

func relayedUDP(a *net.UDPAddr) bool {
	return len(a.IP) == net.IPv6len && binary.BigEndian.Uint32(a.IP) == 0xfd150a51
}

// book knows all routes.
type book struct {
	seed maphash.Seed

	mu          sync.Mutex
	numbers     map[relay.URL]uint32
	relays      map[uint32]relay.URL
	dialed      map[[16]byte]*Route
	nextDialed  uint64
	nextRelay   uint32
	young, old  map[peerKey]*Route // who sent to us, lately and before
	youngByAddr map[[16]byte]*Route
	oldByAddr   map[[16]byte]*Route
}

type peerKey struct {
	relay relay.URL
	peer  key.EndpointID
}

func newBook() *book {
	return &book{
		seed: maphash.MakeSeed(), numbers: map[relay.URL]uint32{}, relays: map[uint32]relay.URL{}, dialed: map[[16]byte]*Route{},
		young: map[peerKey]*Route{}, youngByAddr: map[[16]byte]*Route{},
	}
}

// number gives a relay its number, under mu. Relays that were never dialed by us or configured have none, so there are few.
func (b *book) number(u relay.URL) uint32 {
	n, ok := b.numbers[u]
	if !ok {
		b.nextRelay++
		n = b.nextRelay
		b.numbers[u], b.relays[n] = n, u
	}
	return n
}

// dial makes a route for a connection that we are about to make.
func (b *book) dial(via Sender, peer key.EndpointID) *Route {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextDialed++
	r := &Route{book: b, via: via, peer: peer, addr: relayed(b.number(via.URL()), b.nextDialed)}
	b.dialed[r.key()] = r
	return r
}

// heard returns the route back to who sent through a relay.
func (b *book) heard(via Sender, peer key.EndpointID) *Route {
	k := peerKey{via.URL(), peer}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.young[k]; r != nil && r.via == via {
		return r
	}
	r := b.old[k]
	if r == nil || r.via != via { // the relay's client may be another one since
		// Numbers of dialed routes are small, so that a hash is never one of them.
		low := maphash.Comparable(b.seed, k) | 1<<63
		r = &Route{book: b, via: via, peer: peer, addr: relayed(b.number(k.relay), low)}
	}
	if len(b.young) >= generation {
		b.old, b.oldByAddr = b.young, b.youngByAddr
		b.young, b.youngByAddr = map[peerKey]*Route{}, map[[16]byte]*Route{}
	}
	b.young[k], b.youngByAddr[r.key()] = r, r
	return r
}

// at finds the route that has an address.
func (b *book) at(a *net.UDPAddr) *Route {
	k := [16]byte(a.IP)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range []map[[16]byte]*Route{b.dialed, b.youngByAddr, b.oldByAddr} {
		if r := m[k]; r != nil {
			return r
		}
	}
	return nil
}

// relay finds the relay of an address, zero for what is none of ours.
func (b *book) relay(a *net.UDPAddr) relay.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.relays[binary.BigEndian.Uint32(a.IP[4:])]
}
