package exchange

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
)

// schedule starts the next wants of the queue as far as the limits allow. The
// caller holds the lock.
func (s *Session) schedule() {
	if s.closed || s.ctx.Err() != nil {
		return
	}
	var batch []*want
	next := 0
	for ; next < len(s.queue); next++ {
		w := s.queue[next]
		if w.started { // somebody asked for it in the meantime
			continue
		}
		n := s.flying + len(batch)
		if n >= maxWants || n+len(s.oldest) >= maxReady || (n > 0 && s.held+(n+1)*s.size > maxHeld) || (n == 0 && s.held >= maxHeld) {
			break
		}
		batch = append(batch, w)
	}
	if len(batch) == 0 || (len(batch) < minBatch && s.flying > 0 && next < len(s.queue)) {
		return // a larger batch soon
	}
	s.queue = slices.Delete(s.queue, 0, next)
	if len(s.queue) == 0 {
		s.queue = nil
	}
	for _, w := range batch {
		w.advance = true
	}
	s.flying += len(batch)
	s.start(batch)
}

// start fetches wants in goroutines. The caller holds the lock.
func (s *Session) start(batch []*want) {
	var first []*want
	for _, w := range batch {
		w.started = true
		if w.again {
			s.work.Go(func() { s.fetchAgain(w) })
		} else {
			first = append(first, w)
		}
	}
	if len(first) > 0 {
		s.work.Go(func() { s.fetchAll(first) })
	}
}

// fetchAgain fetches a block that was fetched not long ago, in a session of
// boxo's own (see recent). A peer that is just about to note that it has sent the
// block takes a new want for the old one, and forgets it; so a want that is not
// answered is taken back, and made anew.
func (s *Session) fetchAgain(w *want) {
	for patience := wantAgain; s.ctx.Err() == nil && !s.fetchOnce(w, patience); patience = min(2*patience, maxWantAgain) {
		select { // boxo takes the want back in the background
		case <-time.After(wantPause):
		case <-s.ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(w, s.ctx.Err())
	s.schedule()
}

// fetchOnce fetches a want for some time, and tells whether it arrived.
func (s *Session) fetchOnce(w *want, patience time.Duration) (arrived bool) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	arrivals, err := s.x.bs.GetBlocks(ctx, []cid.Cid{w.c})
	if err != nil {
		return false
	}
	for b := range arrivals {
		s.arrived(w, b.RawData())
		arrived = true
	}
	return arrived
}

// fetchAll fetches wants until all are there or the session ends.
func (s *Session) fetchAll(batch []*want) {
	byCID := make(map[string]*want, len(batch))
	cids := make([]cid.Cid, 0, len(batch))
	for _, w := range batch {
		byCID[w.c.KeyString()] = w
		cids = append(cids, w.c)
	}
	arrivals, err := s.fetch.GetBlocks(s.ctx, cids)
	if err == nil {
		for b := range arrivals {
			if w := byCID[b.Cid().KeyString()]; w != nil {
				delete(byCID, b.Cid().KeyString())
				s.arrived(w, b.RawData())
			}
		}
		err = s.ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range byCID {
		s.fail(w, err)
	}
	s.schedule()
}

// askOnceMore fetches a want beside the fetch that runs, until it is stopped.
func (s *Session) askOnceMore(w *want) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, stop := context.WithCancel(s.ctx)
	if s.closed || w.again { // fetchAgain does it by itself
		return stop
	}
	s.work.Go(func() {
		arrivals, err := s.x.bs.GetBlocks(ctx, []cid.Cid{w.c})
		if err != nil {
			return // the first fetch still runs
		}
		for b := range arrivals {
			s.arrived(w, b.RawData())
		}
	})
	return stop
}

// finish ends a want, with or without an error, once. The caller holds the lock.
func (s *Session) finish(w *want, err error) bool {
	if w.isDone {
		return false
	}
	w.isDone, w.err = true, err
	if w.advance {
		s.flying--
	}
	close(w.done)
	if err != nil {
		s.remove(w)
	}
	return true
}

// fail ends a want without a block. The caller holds the lock.
func (s *Session) fail(w *want, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		err = ErrClosed
	}
	s.finish(w, err)
}

// arrived takes a block that boxo has hashed: it is the one of w's CID.
func (s *Session) arrived(w *want, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
	if w.isDone {
		return
	}
	err := checkSize(w.c, len(data))
	if err == nil && (s.closed || (w.waiting == 0 && s.held+len(data) > maxHeld)) {
		err = ErrClosed // nobody waits to see it
	}
	s.size = max(len(data), s.size-s.size/maxWants, 1)
	if err == nil {
		w.data = data
	}
	s.recent.add(w.c, data, !errors.Is(err, ErrRefused))
	if s.finish(w, err) && err == nil {
		s.held += len(data)
		s.oldest = append(s.oldest, w)
	}
	s.schedule()
}

// remove forgets a want; who waits for it has it still. The caller holds the
// lock.
func (s *Session) remove(w *want) {
	if s.wants[w.c.KeyString()] != w {
		return
	}
	delete(s.wants, w.c.KeyString())
	if w.data == nil || w.err != nil || s.closed {
		return
	}
	s.held -= len(w.data)
	if i := slices.Index(s.oldest, w); i >= 0 {
		s.oldest = slices.Delete(s.oldest, i, i+1)
	}
}

// evict drops blocks that arrived first and that nobody waits for, until at most
// some bytes are held. The caller holds the lock.
func (s *Session) evict(held int) {
	for _, w := range slices.Clone(s.oldest) {
		if s.held <= held {
			return
		}
		if w.waiting == 0 {
			s.remove(w)
		}
	}
}
