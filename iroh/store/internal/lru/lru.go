// Package lru keeps the things that were used last open, and those that are in
// use, until the last user lets go of them.
package lru

import (
	"container/list"
	"sync"
)

// Cache is a bounded set of things by key. It is safe for concurrent use. Who
// gets an item holds it and must release it; items that are dropped, or pushed
// out by newer ones, are closed when nobody holds them any more.
type Cache[K comparable, V any] struct {
	max   int
	close func(V)

	// Dropped, if it is set before first use, is called after every Drop, for
	// keys without an item too.
	Dropped func(K)

	mu    sync.Mutex
	byKey map[K]*Item[K, V]
	used  *list.List // of *Item, the last used first
}

// Item is a thing in a cache, or one that was.
type Item[K comparable, V any] struct {
	Value V

	cache *Cache[K, V]
	key   K
	refs  int
	elem  *list.Element // nil once dropped
}

// New makes a cache of at most max things that nobody holds.
func New[K comparable, V any](max int, close func(V)) *Cache[K, V] {
	return &Cache[K, V]{max: max, close: close, byKey: make(map[K]*Item[K, V]), used: list.New()}
}

// Get returns the item of a key, held once more, or nil.
func (c *Cache[K, V]) Get(k K) *Item[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.byKey[k]
	if it != nil {
		it.refs++
		c.used.MoveToFront(it.elem)
	}
	return it
}

// Put adds a new thing, held once, in place of what the key had, and drops the
// ones used least.
func (c *Cache[K, V]) Put(k K, v V) *Item[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.byKey[k])
	it := &Item[K, V]{Value: v, cache: c, key: k, refs: 1}
	c.byKey[k], it.elem = it, c.used.PushFront(it)
	for c.used.Len() > c.max {
		c.drop(c.used.Back().Value.(*Item[K, V]))
	}
	return it
}

// Release gives back a hold.
func (it *Item[K, V]) Release() {
	c := it.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	it.refs--
	if it.refs == 0 && it.elem == nil {
		c.close(it.Value)
	}
}

// Drop forgets the item of a key; who holds it keeps it.
func (c *Cache[K, V]) Drop(k K) {
	c.mu.Lock()
	c.drop(c.byKey[k])
	c.mu.Unlock()
	if c.Dropped != nil {
		c.Dropped(k)
	}
}

// DropAll forgets all items.
func (c *Cache[K, V]) DropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.used.Len() > 0 {
		c.drop(c.used.Back().Value.(*Item[K, V]))
	}
}

func (c *Cache[K, V]) drop(it *Item[K, V]) {
	if it == nil {
		return
	}
	c.used.Remove(it.elem)
	it.elem = nil
	delete(c.byKey, it.key)
	if it.refs == 0 {
		c.close(it.Value)
	}
}
