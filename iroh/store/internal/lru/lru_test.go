package lru

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

type thing struct{ closed atomic.Int32 }

func (x *thing) close() { x.closed.Add(1) }

func TestClosedWhenPushedOutAndLetGo(t *testing.T) {
	c := New[int](2, (*thing).close)
	things := make([]*thing, 4)
	items := make([]*Item[int, *thing], 4)
	for i := range things {
		things[i] = new(thing)
		items[i] = c.Put(i, things[i])
	}
	if c.Get(0) != nil || c.Get(1) != nil {
		t.Fatal("not pushed out")
	}
	for i, x := range things {
		if x.closed.Load() != 0 {
			t.Fatalf("%d was closed while it was held", i)
		}
		items[i].Release()
	}
	for i, want := range []int32{1, 1, 0, 0} {
		if got := things[i].closed.Load(); got != want {
			t.Fatalf("%d was closed %d times", i, got)
		}
	}
	held := c.Get(2)
	c.Put(4, new(thing)).Release() // pushes out 3, which was used before 2
	if things[3].closed.Load() != 1 || things[2].closed.Load() != 0 || c.Get(3) != nil {
		t.Fatal("another was pushed out")
	}
	c.Drop(2)
	c.Drop(2)
	if c.Get(2) != nil || things[2].closed.Load() != 0 {
		t.Fatal("dropped while held")
	}
	held.Release()
	if things[2].closed.Load() != 1 {
		t.Fatal("not closed")
	}
	c.DropAll()
	if c.Get(4) != nil {
		t.Fatal("not dropped")
	}
}

func TestReplaced(t *testing.T) {
	c := New[int](2, (*thing).close)
	a, b := new(thing), new(thing)
	first := c.Put(1, a)
	c.Put(1, b).Release()
	if got := c.Get(1); got.Value != b {
		t.Fatal("the old one")
	}
	first.Release()
	if a.closed.Load() != 1 || b.closed.Load() != 0 {
		t.Fatal("the wrong one was closed")
	}
}

func TestConcurrently(t *testing.T) {
	c := New[int](4, (*thing).close)
	var made sync.Map
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for range 5000 {
				k := rnd.IntN(10)
				it := c.Get(k)
				if it == nil {
					x := new(thing)
					made.Store(x, true)
					it = c.Put(k, x)
				}
				if it.Value.closed.Load() != 0 {
					t.Error("held and closed")
				}
				if rnd.IntN(20) == 0 {
					c.Drop(k)
				}
				it.Release()
			}
		})
	}
	wg.Wait()
	c.DropAll()
	made.Range(func(x, _ any) bool {
		if n := x.(*thing).closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}
		return true
	})
}
