package paths

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// firstPacket reports whether a packet is one with which somebody may begin a connection, see the package comment.
func firstPacket(p []byte, idLength int) bool {
	const initial = 0xc0 // long header, fixed bit, type 0
	return len(p) > 5 && p[0]&0xf0 == initial && binary.BigEndian.Uint32(p[1:]) == 1 && int(p[5]) != idLength
}

// holding keeps first packets for a moment. All timers are stopped or over when end returns.
type holding struct {
	mu     sync.Mutex
	over   bool
	timers map[*relay.Received]*time.Timer
	wait   sync.WaitGroup
}

// keep hands a to deliver after holdFirst. It reports false, and does nothing, if too many are kept already.
func (h *holding) keep(a arrival, deliver func(arrival)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || len(h.timers) >= maxHeld {
		return false
	}
	h.wait.Add(1)
	h.timers[a.received] = time.AfterFunc(holdFirst, func() {
		defer h.wait.Done()
		h.mu.Lock()
		delete(h.timers, a.received)
		h.mu.Unlock()
		deliver(a)
	})
	return true
}

// end drops what is kept.
func (h *holding) end() {
	h.mu.Lock()
	h.over = true
	for r, timer := range h.timers {
		if timer.Stop() {
			delete(h.timers, r)
			r.Release()
			h.wait.Done()
		}
	}
	h.mu.Unlock()
	h.wait.Wait()
}
