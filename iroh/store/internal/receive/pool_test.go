package receive

import (
	"errors"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
)

var errEnd = errors.New("end of the test")

// receivers makes receivers of one pool for blobs of size bytes.
func receivers(t *testing.T, size uint64, n int) (*Pool, []*Receiver) {
	t.Helper()
	folder, err := disk.Open(t.TempDir(), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	pool, all := NewPool(), make([]*Receiver, n)
	for i := range all {
		if all[i], _, err = New(pool, folder, size, false); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { all[i].Stop(errEnd) })
	}
	return pool, all
}

// begin has a receiver get the first group of n places.
func begin(t *testing.T, r *Receiver, n int) {
	t.Helper()
	for i := range n {
		if err := r.Leaf(uint64(i)*2*runSize, make([]byte, bao.GroupSize)); err != nil {
			t.Fatal(err)
		}
	}
}

// held is how many buffers a receiver has.
func (p *Pool) held(r *Receiver) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.shares[r]; s != nil {
		return s.held
	}
	return 0
}

// What begins at sixteen places and then stalls keeps no buffer from others.
func TestIdlePlacesGiveBuffersUp(t *testing.T) {
	for name, size := range map[string]uint64{"one large blob": 64 * runSize, "sixteen small ones": 2 * runSize} {
		t.Run(name, func(t *testing.T) {
			n := int(64 * runSize / size / 2)
			pool, all := receivers(t, size, max(1, min(n, maxBuffers))+1)
			r, stalled := all[0], all[1:]
			for _, s := range stalled {
				begin(t, s, maxBuffers/len(stalled))
			}
			if n := pool.InUse(); n != maxBuffers {
				t.Fatalf("%d of %d buffers are in use", n, maxBuffers)
			}
			group := make([]byte, bao.GroupSize)
			for off, end := uint64(0), time.Now().Add(time.Minute); pool.held(r) == 0; off += bao.GroupSize {
				if time.Now().After(end) {
					t.Fatal("no buffer for the one that moves")
				}
				if err := r.Leaf(off%size, group); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range stalled { // what was written out is there, and they go on
				if got := s.Received(); len(got) != 2*maxBuffers/len(stalled) {
					t.Errorf("received %v", got)
				}
				if err := s.Leaf(bao.GroupSize, group); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Buffers that come back go to those that have fewer, in turn.
func TestThoseWhoWaitGoFirst(t *testing.T) {
	pool := NewPool()
	hog, a, b := new(Receiver), new(Receiver), new(Receiver)
	now := time.Now()
	take := func(r *Receiver, want bool) {
		t.Helper()
		if got := pool.take(r, now); got != want {
			t.Fatalf("a buffer: %v, want %v; %d in use", got, want, pool.InUse())
		}
	}
	for range maxBuffers {
		take(hog, true) // alone it has them all
	}
	take(a, false)
	take(b, false)
	pool.give(hog)
	take(hog, false)
	take(b, false) // a was first
	take(a, true)
	pool.give(hog)
	take(a, false)
	take(hog, false)
	take(b, true)

	now = now.Add(waits) // nobody waits any more
	pool.give(hog)
	take(hog, true)
	take(a, false)
	pool.leave(a)
	pool.give(hog)
	take(hog, true)
}

// However greedy one is, what all want becomes evenly spread.
func TestBuffersBecomeEvenlySpread(t *testing.T) {
	pool := NewPool()
	all := []*Receiver{new(Receiver), new(Receiver), new(Receiver)}
	now := time.Now()
	for range 1000 {
		now = now.Add(time.Millisecond)
		for range 10 {
			pool.take(all[0], now)
		}
		pool.take(all[1], now)
		pool.take(all[2], now)
		for _, r := range all {
			if pool.held(r) > 0 {
				pool.give(r)
				break // the greedy one's come back first
			}
		}
	}
	for i, r := range all {
		if n := pool.held(r); n < maxBuffers/3-1 || n > maxBuffers/3+1 {
			t.Errorf("receiver %d has %d of %d", i, n, maxBuffers)
		}
	}
}

// Receivers that come and go leave nothing in the pool.
func TestPoolForgets(t *testing.T) {
	pool, all := receivers(t, 64*runSize, maxBuffers+4)
	for _, r := range all {
		begin(t, r, 2)
	}
	for _, r := range all {
		r.Stop(errEnd)
	}
	if n := pool.InUse(); n != 0 || len(pool.shares) != 0 {
		t.Errorf("%d buffers in use, %d shares", n, len(pool.shares))
	}
}
