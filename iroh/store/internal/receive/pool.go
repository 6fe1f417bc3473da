package receive

import (
	"slices"
	"sync"
	"time"
)

const (
	// maxBuffers bounds the run buffers of all downloads together (16 MiB): a
	// peer that makes us start a hundred downloads must not make us hold a
	// hundred buffers. A download that gets none writes leaf by leaf.
	maxBuffers = 16

	// idle is how long a place must not have grown for its buffer to be taken
	// away when another one is wanted. Against a peer that begins at sixteen
	// places and then sends nothing.
	idle = 100 * time.Millisecond

	// waits is how long a receiver that was refused a buffer goes before those
	// that have more, unless it asks again.
	waits = time.Second
)

// Pool is the run buffers that all receivers of a store share. Whoever asks
// gets one while there are any, so that one transfer alone has as many as it
// can use. When they run out, those who wait and have fewer go first, in the
// order in which they began to wait; so the buffers, which go back and are
// asked for again with every mebibyte, become evenly spread.
type Pool struct {
	free sync.Pool // *[runSize]byte

	mu     sync.Mutex
	used   int
	shares map[*Receiver]*share // of those that have a buffer or wait for one
	turns  uint64               // given out so far
	looked time.Time            // when idle places were last looked for
}

// share is what one receiver has of a pool.
type share struct {
	held  int
	turn  uint64    // its place among those that wait; 0: it does not
	asked time.Time // when it was refused last
}

// NewPool makes a pool.
func NewPool() *Pool {
	p := &Pool{shares: make(map[*Receiver]*share)}
	p.free.New = func() any { return new([runSize]byte) }
	return p
}

// InUse returns how many buffers are in use.
func (p *Pool) InUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// take counts one more buffer as the receiver's, if it may have one.
func (p *Pool) take(r *Receiver, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shares[r]
	if s == nil {
		s = new(share)
		p.shares[r] = s
	}
	if !s.waiting(now) {
		s.turn = 0
	}
	if p.used+p.before(s, now) < maxBuffers {
		p.used++
		s.held, s.turn = s.held+1, 0
		return true
	}
	if s.turn == 0 {
		p.turns++
		s.turn = p.turns
	}
	s.asked = now
	return false
}

func (s *share) waiting(now time.Time) bool { return s.turn != 0 && now.Sub(s.asked) < waits }

// before counts those whose turn it is before s gets anything.
func (p *Pool) before(s *share, now time.Time) (n int) {
	for _, o := range p.shares {
		if o == s || !o.waiting(now) {
			continue
		}
		if o.held < s.held || o.held == s.held && (s.turn == 0 || o.turn < s.turn) {
			n++
		}
	}
	return n
}

// give takes a buffer back.
func (p *Pool) give(r *Receiver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	s := p.shares[r]
	if s.held--; s.held == 0 && s.turn == 0 {
		delete(p.shares, r)
	}
}

// leave forgets a receiver that has no buffer any more.
func (p *Pool) leave(r *Receiver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shares, r)
}

// holders lists the receivers that have buffers, now and then: nil when it was
// asked for a moment ago.
func (p *Pool) holders(now time.Time) (all []*Receiver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.looked) < idle/10 {
		return nil
	}
	p.looked = now
	for r, s := range p.shares {
		if s.held > 0 {
			all = append(all, r)
		}
	}
	return all
}

// reclaim has idle places written out, of r as well, which calls it and holds its
// own mu. Their buffers come back when that is done.
func (p *Pool) reclaim(r *Receiver, now time.Time) {
	for _, o := range p.holders(now) {
		switch {
		case o == r:
			r.flushIdle(now)
		case o.mu.TryLock(): // one that is at work is not idle
			o.flushIdle(now)
			o.mu.Unlock()
		}
	}
}

// flushIdle hands the disk what has not grown for a while, as far as that goes
// without waiting. The caller holds mu.
func (r *Receiver) flushIdle(now time.Time) {
	for len(r.open) > 0 && now.Sub(r.open[0].grown) >= idle && (r.jobs == nil || len(r.jobs) < cap(r.jobs)) {
		n := r.open[0]
		r.open = slices.Delete(r.open, 0, 1)
		r.hand(n, false)
	}
}
