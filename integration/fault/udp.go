package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Link says what happens to the packets of a [Proxy], in each direction. Shares are between 0 and 1.
type Link struct {
	Drop      float64       // share of packets lost
	Duplicate float64       // share of packets sent twice
	Corrupt   float64       // share of packets with one bit flipped
	Reorder   float64       // share of packets held back for ReorderBy
	Delay     time.Duration // added to every packet
	ReorderBy time.Duration // 0: 20 ms
	Rate      int           // bytes per second, both directions together; 0 is no limit
	Seed      uint64
}

// Sockets opens UDP sockets, such as those of a host in a network namespace.
type Sockets interface {
	ListenUDP(netip.AddrPort) (*net.UDPConn, error)
	DialUDP(netip.AddrPort) (*net.UDPConn, error)
}

// here opens sockets of this process's own network.
type here struct{}

func (here) ListenUDP(addr netip.AddrPort) (*net.UDPConn, error) {
	return net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
}

func (here) DialUDP(addr netip.AddrPort) (*net.UDPConn, error) {
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
}

// Bounds of a proxy: what is held back in memory, and how many clients it knows. A test that needs more is wrong.
const (
	maxPacket  = 64 << 10
	maxHeld    = 16 << 10
	maxClients = 1024
	maxBacklog = 100 * time.Millisecond // what waits longer for its turn at a Rate is lost
)

// Counts are packets and bytes that a proxy has seen since it started.
type Counts struct {
	Packets, Dropped, Duplicated, Corrupted, Reordered int64
	ToTarget, ToClients                                int64 // bytes that were passed on
}

// Proxy is a UDP forwarder between any number of clients and one target. Each client gets a socket of its own towards
// the target, as behind a NAT.
type Proxy struct {
	link    Link
	sockets Sockets
	target  netip.AddrPort
	front   *net.UDPConn
	cut     atomic.Bool
	ctx     context.Context // ends the proxy; see Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	queue   chan delayed  // packets that are only delayed, in the order in which they came
	held    chan struct{} // one slot for each packet that is held back on its own
	mu      sync.Mutex    // guards what follows
	rng     *rand.Rand
	busy    time.Time // until when the link is, at its Rate
	clients map[netip.AddrPort]*net.UDPConn
	counts  Counts
}

// NewProxy starts a proxy on a free port of 127.0.0.1 in front of target.
func NewProxy(target netip.AddrPort, link Link) (*Proxy, error) {
	return NewProxyOn(here{}, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), target, link)
}

// NewProxyOn starts a proxy with other sockets, at an address that they have.
func NewProxyOn(sockets Sockets, at, target netip.AddrPort, link Link) (*Proxy, error) {
	front, err := sockets.ListenUDP(at)
	if err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	if link.ReorderBy == 0 {
		link.ReorderBy = 20 * time.Millisecond
	}
	p := &Proxy{
		link: link, sockets: sockets, target: target, front: front,
		queue:   make(chan delayed, maxHeld),
		held:    make(chan struct{}, maxHeld),
		rng:     rand.New(rand.NewPCG(link.Seed, 1)),
		clients: make(map[netip.AddrPort]*net.UDPConn),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Add(2)
	go p.fromClients()
	go p.inOrder()
	return p, nil
}

// Addr is where clients reach the target through the proxy.
func (p *Proxy) Addr() netip.AddrPort {
	addr := p.front.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// Cut loses every packet from now on; Restore ends that.
func (p *Proxy) Cut() { p.cut.Store(true) }

// Restore lets packets through again.
func (p *Proxy) Restore() { p.cut.Store(false) }

// Rebind gives every client a new socket towards the target, as a NAT that forgot its table does.
func (p *Proxy) Rebind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, back := range p.clients {
		back.Close()
		delete(p.clients, client)
	}
}

// Counts returns what the proxy has seen so far.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Close ends the proxy and waits for its goroutines.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.front.Close()
	p.Rebind()
	p.wg.Wait()
	return err
}

func (p *Proxy) fromClients() {
	defer p.wg.Done()
	buf := make([]byte, maxPacket)
	for {
		n, client, err := p.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		back, err := p.back(client)
		if err != nil {
			continue
		}
		p.pass(buf[:n], func(packet []byte) {
			if n, err := back.Write(packet); err == nil {
				p.count(func(c *Counts) { c.ToTarget += int64(n) })
			}
		})
	}
}

// back returns the socket that stands for a client towards the target.
func (p *Proxy) back(client netip.AddrPort) (*net.UDPConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if back, ok := p.clients[client]; ok {
		return back, nil
	}
	if len(p.clients) >= maxClients || p.ctx.Err() != nil {
		return nil, errors.New("fault: too many clients")
	}
	back, err := p.sockets.DialUDP(p.target)
	if err != nil {
		return nil, err
	}
	p.clients[client] = back
	p.wg.Add(1)
	go p.fromTarget(client, back)
	return back, nil
}

func (p *Proxy) fromTarget(client netip.AddrPort, back *net.UDPConn) {
	defer p.wg.Done()
	buf := make([]byte, maxPacket)
	for {
		n, err := back.Read(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // a refused port: the target may come back
		}
		p.pass(buf[:n], func(packet []byte) {
			if n, err := p.front.WriteToUDPAddrPort(packet, client); err == nil {
				p.count(func(c *Counts) { c.ToClients += int64(n) })
			}
		})
	}
}

func (p *Proxy) count(f func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.counts)
}

// fate is what is to be done with one packet.
type fate struct {
	copies int
	bit    int // to be flipped, or -1
	wait   time.Duration
	late   bool // held back longer than those that come after it
}

func (p *Proxy) decide(size int) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Packets++
	f := fate{copies: 1, bit: -1, wait: p.link.Delay}
	turn, full := p.turn(size)
	f.wait += turn
	if p.cut.Load() || full || p.rng.Float64() < p.link.Drop {
		p.counts.Dropped++
		return fate{bit: -1}
	}
	if p.rng.Float64() < p.link.Duplicate {
		p.counts.Duplicated++
		f.copies = 2
	}
	if size > 0 && p.rng.Float64() < p.link.Corrupt {
		p.counts.Corrupted++
		f.bit = p.rng.IntN(8 * size)
	}
	if p.rng.Float64() < p.link.Reorder {
		p.counts.Reordered++
		f.wait += p.link.ReorderBy
		f.late = true
	}
	return f
}

// turn tells how long a packet has to wait until the link has sent those before it and itself, or that too many wait.
func (p *Proxy) turn(size int) (wait time.Duration, full bool) {
	if p.link.Rate <= 0 {
		return 0, false
	}
	now := time.Now()
	if p.busy.Before(now) {
		p.busy = now
	}
	if p.busy.Sub(now) > maxBacklog {
		return 0, true
	}
	p.busy = p.busy.Add(time.Duration(size) * time.Second / time.Duration(p.link.Rate))
	return p.busy.Sub(now), false
}

// pass sends a packet on as the link decides. The packet is copied when it has to wait.
func (p *Proxy) pass(packet []byte, send func([]byte)) {
	f := p.decide(len(packet))
	if f.copies == 0 {
		return
	}
	if f.bit >= 0 {
		packet[f.bit/8] ^= 1 << (f.bit % 8)
	}
	if f.wait == 0 {
		for range f.copies {
			send(packet)
		}
		return
	}
	d := delayed{due: time.Now().Add(f.wait), packet: append([]byte(nil), packet...), copies: f.copies, send: send}
	if !f.late {
		select {
		case p.queue <- d:
		default:
			p.count(func(c *Counts) { c.Dropped++ })
		}
		return
	}
	select {
	case p.held <- struct{}{}:
	default:
		p.count(func(c *Counts) { c.Dropped++ })
		return
	}
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		defer func() { <-p.held }()
		p.later(d)
	}()
}

// delayed is a packet on its way.
type delayed struct {
	due    time.Time
	packet []byte
	copies int
	send   func([]byte)
}

// inOrder sends what is only delayed. None of it is due before what came earlier, so that order is kept: a link with a delay and
// nothing else must not look like one that reorders.
func (p *Proxy) inOrder() {
	defer p.wg.Done()
	for {
		select {
		case d := <-p.queue:
			p.later(d)
		case <-p.ctx.Done():
			return
		}
	}
}

// later waits until a packet is due and sends it.
func (p *Proxy) later(d delayed) {
	if wait := time.Until(d.due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			return
		}
	}
	if p.cut.Load() {
		p.count(func(c *Counts) { c.Dropped++ })
		return
	}
	for range d.copies {
		d.send(d.packet)
	}
}
