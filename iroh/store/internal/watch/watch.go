// Package watch tells those who wait for something by a key that it may have
// changed. A watcher that is slow misses nothing but repetitions: what it has
// not heard of yet is one pending call, however often the thing changed.
package watch

import "sync"

// Hub is the watchers of all keys. The zero value is ready; it is safe for
// concurrent use.
type Hub[K comparable] struct {
	mu    sync.Mutex
	byKey map[K]map[chan struct{}]struct{}
}

// Add begins to watch a key. The channel holds one value after any number of
// calls of Notify; stop ends it and may be called again.
func (h *Hub[K]) Add(key K) (changes <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byKey == nil {
		h.byKey = make(map[K]map[chan struct{}]struct{})
	}
	if h.byKey[key] == nil {
		h.byKey[key] = make(map[chan struct{}]struct{})
	}
	h.byKey[key][c] = struct{}{}
	return c, func() { h.remove(key, c) }
}

func (h *Hub[K]) remove(key K, c chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byKey[key], c)
	if len(h.byKey[key]) == 0 {
		delete(h.byKey, key)
	}
}

// Notify tells the watchers of a key, without waiting for any.
func (h *Hub[K]) Notify(key K) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.byKey[key] {
		select {
		case c <- struct{}{}:
		default: // told already, and has not looked yet
		}
	}
}

// Len returns how many watchers there are.
func (h *Hub[K]) Len() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range h.byKey {
		n += len(of)
	}
	return n
}
