package pebble

import (
	"sync"
	"time"
)

// gate counts the calls that run, so that Close can wait for them. A call that
// comes while Close waits is refused at once: one that runs may be making it.
type gate struct {
	mu      sync.Mutex
	n       int
	closed  bool
	drained chan struct{} // closed when no call runs, and none can come
}

func (g *gate) init() { g.drained = make(chan struct{}) }

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.n++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 && g.closed {
		close(g.drained)
	}
}

// shut refuses further calls. It returns false when the gate is shut already.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.closed = true
	if g.n == 0 {
		close(g.drained)
	}
	return true
}

// wait waits until no call runs. When calls have been running for closeWait and
// stuck says that they cannot go on, it returns false.
func (g *gate) wait(stuck func() bool) bool {
	begun := time.Now()
	look := time.NewTicker(closeWait / 10)
	defer look.Stop()
	for {
		select {
		case <-g.drained:
			return true
		case <-look.C:
			if time.Since(begun) > closeWait && stuck() {
				return false
			}
		}
	}
}
