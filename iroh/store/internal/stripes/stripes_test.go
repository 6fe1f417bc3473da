package stripes

import (
	"sync"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Many who lock many at once, in any order and with doubles, do not wait in a circle, and nobody is where another one is.
func TestLockAll(t *testing.T) {
	var l Locks
	var inside [256]int
	var running sync.WaitGroup
	for worker := range 16 {
		running.Go(func() {
			for round := range 200 {
				var hashes []bao.Hash
				for k := range 5 {
					hashes = append(hashes, bao.Hash{byte(worker*31 + round*17 + k*k*7)})
				}
				hashes = append(hashes, hashes[0])
				unlock := l.LockAll(hashes)
				for _, h := range hashes[:5] {
					inside[of(h)]++
				}
				unlock()
				unlock = l.Lock(hashes[1])
				inside[of(hashes[1])]++
				unlock()
			}
		})
	}
	running.Wait()
	sum := 0
	for _, n := range inside {
		sum += n
	}
	if want := 16 * 200 * 6; sum != want {
		t.Errorf("%d times inside, want %d", sum, want)
	}
}
