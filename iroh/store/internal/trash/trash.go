// Package trash remembers of which hashes files are to be removed when that is durable, and when they have become too many to wait.
package trash

import (
	"maps"
	"slices"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// MaxHashes and maxBytes bound what waits, so that a full disk is relieved by deleting alone.
const (
	MaxHashes = 256
	maxBytes  = 64 << 20
)

// List is the hashes whose files wait. The zero value is empty; it is safe for concurrent use.
type List struct {
	mu    sync.Mutex
	sizes map[bao.Hash]uint64
	bytes uint64 // sum of sizes
}

// Add puts a hash on the list, with the bytes that its files have.
func (l *List) Add(h bao.Hash, size uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sizes == nil {
		l.sizes = make(map[bao.Hash]uint64)
	}
	size = min(size, maxBytes) // a claimed size may be anything
	l.bytes += size - l.sizes[h]
	l.sizes[h] = size
}

// Hashes returns those on the list.
func (l *List) Hashes() []bao.Hash {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.sizes))
}

// Drop takes hashes off the list.
func (l *List) Drop(hashes []bao.Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range hashes {
		l.bytes -= l.sizes[h]
		delete(l.sizes, h)
	}
}

// Full reports whether too much waits.
func (l *List) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sizes) >= MaxHashes || l.bytes >= maxBytes
}
