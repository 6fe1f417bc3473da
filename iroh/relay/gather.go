package relay

import "sync"

// gatherer hands on what comes. A relay sends most datagrams in frames of their own; those that one read of the connection
// brought, and that can be one Received, are handed on as one. Everything is handed on before the next read, so nothing waits.
type gatherer struct {
	receive func(*Received)
	mu      sync.Mutex
	kept    *Received // not handed on yet
}

// add takes what came. It reports whether r itself is kept; if not, its datagrams were copied.
func (g *gatherer) add(r *Received) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept != nil {
		if g.kept.join(r) {
			return false
		}
		g.receive(g.kept)
	}
	g.kept = r
	return true
}

// flush hands on what is kept.
func (g *gatherer) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept != nil {
		g.receive(g.kept)
		g.kept = nil
	}
}

// join appends the datagrams of n if they can be one with those of r. There is room in r.frame for as many as Takes allows,
// since their heads are gone.
func (r *Received) join(n *Received) bool {
	if !r.Takes(&n.Datagrams) {
		return false
	}
	if r.Segment == 0 {
		r.Segment = len(r.Data)
	}
	r.Data = append(r.Data, n.Data...)
	return true
}
