package paths

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// watches are functions that see datagrams from some addresses before quic-go does. There are few of them, and mostly none.
type watches struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*watch]
}

type watch struct {
	from    netip.AddrPort
	inspect func(datagram []byte) int
}

// Watch shows every UDP datagram that comes from an address to inspect, which may change it in its place, and which returns how
// many of its bytes are for quic-go, from the first on. It is called by the reader and must not wait. The caller calls stop in
// the end; a call of inspect may still be under way then.
func (c *Conn) Watch(from netip.AddrPort, inspect func(datagram []byte) int) (stop func()) {
	w := &watch{netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), inspect}
	c.watched.change(func(list []*watch) []*watch { return append(list, w) })
	return func() {
		c.watched.change(func(list []*watch) []*watch {
			return slices.DeleteFunc(list, func(other *watch) bool { return other == w })
		})
	}
}

func (w *watches) change(how func([]*watch) []*watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*watch
	if old := w.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = how(list); len(list) == 0 {
		w.list.Store(nil)
		return
	}
	w.list.Store(&list)
}

// inspect returns how many bytes of a datagram are for quic-go.
func (w *watches) inspect(from *net.UDPAddr, datagram []byte) int {
	list := w.list.Load()
	if list == nil {
		return len(datagram)
	}
	for _, one := range *list {
		if int(one.from.Port()) != from.Port { // the quick way out for nearly all packets
			continue
		}
		if ip, ok := netip.AddrFromSlice(from.IP); ok && ip.Unmap() == one.from.Addr() {
			datagram = datagram[:min(one.inspect(datagram), len(datagram))]
		}
	}
	return len(datagram)
}
