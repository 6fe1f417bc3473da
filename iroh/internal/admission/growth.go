package admission

import (
	"sync"

	"github.com/quic-go/quic-go"
)

// Growth is the budget by which the receive windows of all connections may grow beyond what they begin with.
type Growth struct {
	mu    sync.Mutex
	left  uint64
	taken map[*quic.Conn]uint64
}

// NewGrowth makes a budget of so many bytes.
func NewGrowth(budget uint64) *Growth {
	return &Growth{left: budget, taken: map[*quic.Conn]uint64{}}
}

// Open lets c take part.
func (g *Growth) Open(c *quic.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken[c] = 0
}

// Close gives back what c took.
func (g *Growth) Close(c *quic.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left += g.taken[c]
	delete(g.taken, c)
}

// Allow is asked by quic-go before the window of c grows by delta bytes.
func (g *Growth) Allow(c *quic.Conn, delta uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, open := g.taken[c]
	if !open || delta > g.left {
		return false
	}
	g.taken[c] = n + delta
	g.left -= delta
	return true
}
