package exchange

import (
	"context"
	"fmt"
	"sync"
	"time"

	boxo "github.com/ipfs/boxo/exchange"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Session fetches related blocks. Its methods are safe for concurrent use. It
// must be closed.
type Session struct {
	x      *Exchange
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	fetch  boxo.Fetcher
	work   sync.WaitGroup
	peers  []peer.ID
	ended  sync.Once

	mu     sync.Mutex
	closed bool
	wants  map[string]*want // by CID bytes
	queue  []*want          // to be fetched in advance; some may be started already
	held   int              // bytes that nobody has taken
	oldest []*want          // arrived and perhaps not taken, in order of arrival
	flying int              // wants that are being fetched in advance
	size   int              // what the next block is expected to have
	last   time.Time        // when something arrived
	recent recent           // what has arrived
}

// want is a block that is to be fetched, is being fetched, or has arrived.
type want struct {
	c       cid.Cid
	started bool
	advance bool          // it was started before anybody asked for it
	waiting int           // how many ask for it
	done    chan struct{} // closed when data or err is set
	again   bool          // the block was fetched not long ago
	isDone  bool
	data    []byte
	err     error
}

func newSession(ctx context.Context, x *Exchange) *Session {
	ctx, cancel := context.WithCancel(ctx)
	return &Session{
		x: x, ctx: ctx, cancel: cancel, fetch: x.bs.NewSession(ctx),
		wants: make(map[string]*want), size: firstSize, last: time.Now(),
	}
}

// connect connects to peers in the background, and asks the connection manager
// to keep them.
func (s *Session) connect(peers []peer.ID) {
	h := s.x.cfg.Host.LibP2P()
	if len(peers) > maxPeers {
		peers = peers[:maxPeers]
	}
	dials := make(chan struct{}, maxDials)
	for _, p := range peers {
		if p == h.ID() {
			continue
		}
		s.peers = append(s.peers, p)
		h.ConnManager().Protect(p, s.name)
		if h.Network().Connectedness(p) == network.Connected {
			continue
		}
		s.work.Go(func() {
			select {
			case dials <- struct{}{}:
				defer func() { <-dials }()
			case <-s.ctx.Done():
				return
			}
			ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
			defer cancel()
			if err := h.Connect(ctx, h.Peerstore().PeerInfo(p)); err != nil && s.ctx.Err() == nil {
				s.x.cfg.Logger.Warn("peer not reached", "peer", p, "err", err)
			}
		})
	}
}

// Close ends the session and waits for its goroutines. What was fetched in
// advance is dropped; calls of Block return ErrClosed.
func (s *Session) Close() {
	s.ended.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.queue, s.oldest, s.held = nil, nil, 0
		s.mu.Unlock()
		s.cancel()
		s.work.Wait()
		for _, p := range s.peers {
			s.x.cfg.Host.LibP2P().ConnManager().Unprotect(p, s.name)
		}
		s.x.forget(s)
	})
}

// Block returns the bytes of a block, verified. It looks at the local blocks
// first. The error names the CID, and wraps ErrRefused for a CID that is not
// fetched, and ErrNotFound when nothing arrived for a while. The bytes must not
// be changed: two who ask for a block at the same time get the same.
func (s *Session) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	if err := CheckCID(c); err != nil {
		return nil, err
	}
	if data, ok := identity(c); ok {
		return data, nil
	}
	if isEmpty(c) {
		return []byte{}, nil
	}
	if data, ok := s.localBlock(ctx, c); ok {
		return data, nil
	}
	w, err := s.ask(c)
	if err != nil {
		return nil, err
	}
	err = s.wait(ctx, w)
	if e := s.leave(w); e != nil && err == nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("exchange: block %s: %w", c, err)
	}
	return w.data, nil
}

// localBlock returns a block that is here already.
func (s *Session) localBlock(ctx context.Context, c cid.Cid) ([]byte, bool) {
	data, err := s.x.cfg.Blocks.Block(ctx, c)
	if err != nil {
		return nil, false
	}
	if err := checkBlock(c, data); err != nil {
		s.x.cfg.Logger.Warn("local block not used", "cid", c, "err", err)
		return nil, false
	}
	return data, true
}

// ask joins the want for a CID, or starts one.
func (s *Session) ask(c cid.Cid) (*want, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ctx.Err() != nil {
		return nil, fmt.Errorf("exchange: block %s: session: %w", c, ErrClosed)
	}
	w := s.wants[c.KeyString()]
	if w == nil {
		w = s.newWant(c)
	}
	w.waiting++
	if w.isDone {
		return w, nil // remembered
	}
	if !w.started {
		if s.held >= maxHeld {
			s.evict(maxHeld / 2) // nobody asks for what was fetched in advance
		}
		s.start([]*want{w})
	}
	return w, nil
}

// newWant makes the want for a CID. It is done when the block is remembered. The
// caller holds the lock.
func (s *Session) newWant(c cid.Cid) *want {
	w := &want{c: c, done: make(chan struct{})}
	data, has, known := s.recent.get(c)
	if has {
		w.data, w.isDone, w.started = data, true, true
		close(w.done)
		return w
	}
	w.again = known
	s.wants[c.KeyString()] = w
	return w
}

// wait waits until the want is done, ctx ends, or nothing arrived for a while.
// Every now and then it asks once more, in a session of boxo's own: one that has
// heard too often that a peer does not have a block asks that peer no more.
func (s *Session) wait(ctx context.Context, w *want) error {
	stop := func() {}
	defer func() { stop() }()
	begun, asked := time.Now(), time.Now()
	tick := min(s.x.cfg.Stall, askAgain)
	t := time.NewTimer(tick)
	defer t.Stop()
	for {
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		since := s.lastArrival()
		if begun.After(since) {
			since = begun
		}
		quiet := time.Since(since)
		if quiet >= s.x.cfg.Stall {
			return fmt.Errorf("%w: no peer sent anything for %v", ErrNotFound, s.x.cfg.Stall)
		}
		if quiet >= tick && time.Since(asked) >= tick {
			asked = time.Now()
			stop()
			stop = s.askOnceMore(w)
		}
		t.Reset(min(tick, s.x.cfg.Stall-quiet))
	}
}

func (s *Session) lastArrival() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// leave ends the interest of one who asked. A want that is done is taken. It
// returns the want's error.
func (s *Session) leave(w *want) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.waiting--
	select {
	case <-w.done:
		s.remove(w)
		s.schedule()
		return w.err
	default:
	}
	// A want that nobody waits for any more goes on: boxo cannot tell a cancelled
	// want from one for the same CID that a session has begun since.
	return nil
}

// Prefetch starts fetching blocks that will be asked for, in the order given,
// as far as the limits allow. It does not wait. CIDs that Block would refuse are
// passed over.
func (s *Session) Prefetch(cids []cid.Cid) {
	var fresh []cid.Cid
	for _, c := range cids {
		if CheckCID(c) != nil {
			continue
		}
		if _, ok := identity(c); ok || isEmpty(c) {
			continue
		}
		if _, err := s.x.cfg.Blocks.BlockSize(s.ctx, c); err == nil {
			continue
		}
		fresh = append(fresh, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, c := range fresh {
		if len(s.queue) >= maxQueue {
			break
		}
		if s.wants[c.KeyString()] != nil {
			continue
		}
		if _, has, _ := s.recent.get(c); has {
			continue
		}
		s.queue = append(s.queue, s.newWant(c))
	}
	s.schedule()
}
