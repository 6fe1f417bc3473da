package exchange

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/ipfs/host"
)

func hostConfig() host.Config { return host.Config{} }

// watch samples a session's books until stop is called; it returns the highest
// values of bytes held and of wants on their way.
func watch(s *Session) (stop func() (held, flying int)) {
	end, done := make(chan struct{}), make(chan struct{})
	var maxH, maxF int
	go func() {
		defer close(done)
		for {
			s.mu.Lock()
			maxH, maxF = max(maxH, s.held), max(maxF, s.flying)
			s.mu.Unlock()
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() (int, int) { close(end); <-done; return maxH, maxF }
}

// empty fails unless the session has nothing left.
func empty(t *testing.T, s *Session) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != 0 || s.flying != 0 || len(s.wants) != 0 || len(s.queue) != 0 || len(s.oldest) != 0 {
		t.Errorf("left: %d bytes, %d flying, %d wants, %d queued, %d ready", s.held, s.flying, len(s.wants), len(s.queue), len(s.oldest))
	}
}

func TestPrefetchInOrder(t *testing.T) {
	for name, c := range map[string]struct{ n, size int }{
		"many small":    {5000, 200},
		"middle":        {400, 256 << 10},
		"large":         {100, 1 << 20},
		"the largest":   {40, maxBlock},
		"a single one":  {1, 1000},
		"empty and few": {2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, Config{}), start(t, Config{})
			connect(t, b.h, a.h, "/quic-v1")
			cids := a.blocks.addMany(t, c.n, c.size)
			s := session(t, b.Exchange, a.h.ID())
			stop := watch(s)
			s.Prefetch(cids)
			for i, c := range cids {
				if c.Defined() {
					want, err := a.blocks.get(c)
					if err != nil {
						t.Fatal(err)
					}
					wantBlock(t, s, c, want)
				}
				if i%100 == 0 {
					s.Prefetch(cids[i:]) // what walks do: they do not know what they said
				}
			}
			held, flying := stop()
			// Beyond what is fetched in advance there is the one block that is waited for, as in the tests below.
			if held > maxHeld+c.size || flying > maxWants+1 {
				t.Errorf("held %d bytes, %d wants on their way", held, flying)
			}
			s.mu.Lock()
			s.queue = nil
			s.mu.Unlock()
		})
	}
}

// TestPrefetchStops: what nobody takes stops at the limits, and does not stand
// in the way of what is asked for.
func TestPrefetchStops(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, b.h, a.h, "/tcp/")
	cids := a.blocks.addMany(t, 200, 1<<20)
	s := session(t, b.Exchange, a.h.ID())
	stop := watch(s)
	s.Prefetch(cids)
	eventually(t, time.Minute, "the session is full", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.flying == 0 && s.held > maxHeld-2<<20
	})
	n := a.blocks.reads.Load()
	for _, c := range cids[150:] { // others than were fetched
		want, _ := a.blocks.get(c)
		wantBlock(t, s, c, want)
	}
	held, _ := stop()
	if held > maxHeld+1<<20 {
		t.Errorf("held %d bytes", held)
	}
	if n > 40 {
		t.Errorf("%d blocks were fetched that nobody took", n)
	}
	many := a.blocks.addMany(t, 3000, 10)
	s2 := session(t, b.Exchange, a.h.ID())
	s2.Prefetch(many)
	eventually(t, time.Minute, "the session has enough blocks", func() bool {
		s2.mu.Lock()
		defer s2.mu.Unlock()
		return s2.flying == 0 && len(s2.oldest) >= maxReady-minBatch
	})
	s2.mu.Lock()
	ready := len(s2.oldest)
	s2.mu.Unlock()
	if ready > maxReady+maxWants {
		t.Errorf("%d blocks held", ready)
	}
	for i, c := range many {
		if want, _ := a.blocks.get(c); i%7 == 0 {
			wantBlock(t, s2, c, want)
		}
	}
}

// TestGrowingBlocks: a peer whose blocks suddenly are large does not get more
// bytes held than the limit.
func TestGrowingBlocks(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, b.h, a.h, "/tcp/")
	small := a.blocks.addMany(t, 800, 100)
	large := a.blocks.addMany(t, 64, maxBlock)
	s := session(t, b.Exchange, a.h.ID())
	s.Prefetch(small)
	for i, c := range small {
		wantBlock(t, s, c, random(uint64(i), 100))
	}
	stop := watch(s)
	s.Prefetch(large)
	eventually(t, time.Minute, "all is quiet", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.flying == 0
	})
	for i, c := range large { // those that were dropped come when asked for
		wantBlock(t, s, c, random(uint64(i), maxBlock))
	}
	if held, _ := stop(); held > maxHeld+maxBlock {
		t.Errorf("held %d bytes", held)
	}
	empty(t, s)
}

// TestConcurrentSession: many askers, in any order, with prefetches and
// cancelled calls between them.
func TestConcurrentSession(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, b.h, a.h, "/tcp/")
	cids := a.blocks.addMany(t, 600, 5000)
	s := session(t, b.Exchange, a.h.ID())
	var wg sync.WaitGroup
	var good atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			for i := range cids {
				i = (i*7 + w*75) % len(cids)
				if i%50 == 0 {
					s.Prefetch(cids[i:min(i+50, len(cids))])
				}
				d := 60 * time.Second
				if (i+w)%9 == 0 {
					d = time.Microsecond * time.Duration(i)
				}
				ctx, cancel := context.WithTimeout(context.Background(), d)
				got, err := s.Block(ctx, cids[i])
				cancel()
				if err == nil {
					good.Add(1)
					if !bytes.Equal(got, random(uint64(i), 5000)) {
						t.Errorf("block %d: wrong bytes", i)
					}
				} else if d > time.Second {
					t.Errorf("block %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if good.Load() < 8*600*8/9 {
		t.Errorf("%d blocks", good.Load())
	}
}

// TestMissingInAdvance: a block that nobody has does not hold up the others.
func TestMissingInAdvance(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{Stall: 6 * time.Second})
	connect(t, b.h, a.h, "/tcp/")
	cids := a.blocks.addMany(t, 300, 1000)
	elsewhere := newMemory().addMany(t, 30, 999)
	s := session(t, b.Exchange, a.h.ID())
	s.Prefetch(append(elsewhere, cids...))
	for i, c := range cids {
		wantBlock(t, s, c, random(uint64(i), 1000))
	}
	if _, err := s.Block(context.Background(), elsewhere[3]); err == nil {
		t.Error("a block from nowhere")
	}
}

// TestNoDuplicates: prefetching costs the peer one read for each block.
func TestNoDuplicates(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, b.h, a.h, "/tcp/")
	cids := a.blocks.addMany(t, 500, 10000)
	s := session(t, b.Exchange, a.h.ID())
	for i := range cids {
		s.Prefetch(cids[i:min(i+200, len(cids))])
		wantBlock(t, s, cids[i], random(uint64(i), 10000))
	}
	if n := a.blocks.reads.Load(); n > 520 {
		t.Errorf("500 blocks cost %d reads at the peer", n)
	}
	empty(t, s)
}

// TestRepeats: blocks that come again and again, as in a sparse file, and more of
// them than a session remembers.
func TestRepeats(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, b.h, a.h, "/tcp/")
	s := session(t, b.Exchange, a.h.ID())
	zeros := a.blocks.add(t, make([]byte, 256<<10))
	for range 500 {
		s.Prefetch([]cid.Cid{zeros})
		wantBlock(t, s, zeros, make([]byte, 256<<10))
	}
	if n := a.blocks.reads.Load(); n != 1 {
		t.Errorf("one block cost %d reads at the peer", n)
	}
	large := a.blocks.addMany(t, 6, maxBlock)
	for i := range 60 {
		n := i % len(large)
		s.Prefetch(large)
		wantBlock(t, s, large[n], random(uint64(n), maxBlock))
	}
	small := a.blocks.addMany(t, maxRecentCIDs+500, 3)
	for _, part := range [][]cid.Cid{small, small[:600]} {
		s.Prefetch(part)
		for i, c := range part {
			wantBlock(t, s, c, random(uint64(i), 3))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.recent.order) > maxRecentCIDs || len(s.recent.byCID) > maxRecentCIDs || s.recent.bytes > maxRecent {
		t.Errorf("remembered: %d blocks, %d CIDs, %d bytes", len(s.recent.order), len(s.recent.byCID), s.recent.bytes)
	}
}
