package iroh

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// announced remembers what the endpoint last said where it is, so as to tell when that changes.
type announced struct {
	mu      sync.Mutex
	last    ticket.EndpointAddr
	changed chan struct{} // closed and replaced when last changes
}

// note compares addr, which make returns, with what was there before. Nothing older can overtake it.
func (a *announced) note(find func() ticket.EndpointAddr) ticket.EndpointAddr {
	a.mu.Lock()
	defer a.mu.Unlock()
	addr := find()
	if !slices.Equal(addr.Direct, a.last.Direct) || !slices.Equal(addr.Relays, a.last.Relays) {
		a.last = ticket.EndpointAddr{Direct: slices.Clone(addr.Direct), Relays: slices.Clone(addr.Relays)}
		close(a.changed)
		a.changed = make(chan struct{})
	}
	return addr
}

// direct returns the direct addresses as they were last told. They belong to the caller.
func (a *announced) direct() []netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.last.Direct)
}

// AddrChanged returns a channel that is closed when what Addr returns may have changed since this call: when the home relay,
// the addresses of the machine, those that relays see or the mapped port are others. Ask for it before you ask for Addr.
func (e *Endpoint) AddrChanged() <-chan struct{} {
	e.announced.mu.Lock()
	defer e.announced.mu.Unlock()
	return e.announced.changed
}

// watch looks whether the address has changed until the endpoint closes.
func (e *Endpoint) watch() {
	defer e.wg.Done()
	tick := time.NewTicker(addrCheck)
	defer tick.Stop()
	machine := e.socket.everywhere()
	for {
		var mapped, relays, observed <-chan struct{}
		if e.cfg.PortMapper != nil {
			mapped = e.cfg.PortMapper.Changed()
		}
		if e.relays != nil {
			relays, observed = e.relays.Changed(), e.observer.Changed()
		}
		e.Addr()
		select {
		case <-tick.C:
			if now := e.socket.everywhere(); !slices.Equal(now, machine) {
				machine = now
				e.log.Info("iroh endpoint: the addresses of this machine have changed")
				if e.observer != nil {
					e.observer.Again()
				}
			}
		case <-mapped:
		case <-relays:
		case <-observed:
		case <-e.done:
			return
		}
	}
}

// mapped is the address that the port mapper got, if there is one that others can dial.
func (e *Endpoint) mapped() []netip.AddrPort {
	if e.cfg.PortMapper == nil {
		return nil
	}
	if a := e.cfg.PortMapper.External(); dialable(a) {
		return []netip.AddrPort{netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
	}
	return nil
}
