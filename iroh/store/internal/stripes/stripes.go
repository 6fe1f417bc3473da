// Package stripes has locks for hashes: a fixed number of mutexes, each for its share of all hashes.
package stripes

import (
	"slices"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Locks are the mutexes. The zero value is ready.
type Locks [64]sync.Mutex

// Lock waits for the lock of a hash; it returns the unlocking.
func (l *Locks) Lock(h bao.Hash) (unlock func()) {
	m := &l[of(h)]
	m.Lock()
	return m.Unlock
}

// LockAll is Lock for several, in an order that is the same for all callers.
func (l *Locks) LockAll(hashes []bao.Hash) (unlock func()) {
	var held []int
	for _, h := range hashes {
		held = append(held, of(h))
	}
	slices.Sort(held)
	held = slices.Compact(held)
	for _, i := range held {
		l[i].Lock()
	}
	return func() {
		for _, i := range held {
			l[i].Unlock()
		}
	}
}

func of(h bao.Hash) int { return int(h[0]) % len(Locks{}) }
