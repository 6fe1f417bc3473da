package store

import (
	"context"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// TestWatch follows a blob through its life: every state is heard of, with what Status says then.
func TestWatch(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	ctx := context.Background()
	data := pattern(1, 3<<20)
	h := bao.Sum(data)
	changes, stop := s.Watch(h)
	defer stop()
	quiet(t, changes)

	d := download(t, s, h, len(data))
	heard(t, changes)
	half := bao.Span(0, 1<<10)
	feed(t, d, data, half)
	heard(t, changes)
	if st := status(t, s, h); st.State != Partial || !st.Ranges.Equal(half) {
		t.Fatalf("%v %v", st.State, st.Ranges)
	}
	feed(t, d, data, bao.From(1<<10))
	if err := d.Complete(ctx); err != nil {
		t.Fatal(err)
	}
	heard(t, changes)
	if st := status(t, s, h); st.State != Complete {
		t.Fatal(st.State)
	}
	if err := s.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	drain(changes)
	if err := s.Delete(h); err != nil {
		t.Fatal(err)
	}
	heard(t, changes)
	if st := status(t, s, h); st.State != Missing {
		t.Fatal(st.State)
	}
	if _, err := s.Put(ctx, data); err != nil {
		t.Fatal(err)
	}
	heard(t, changes)
	drain(changes)

	other := pattern(2, 3<<20)
	if _, err := s.Put(ctx, other); err != nil {
		t.Fatal(err)
	}
	quiet(t, changes)
	stop()
	if n := s.watches.Len(); n != 0 {
		t.Errorf("%d watchers are left", n)
	}
}

// TestWatchInline is the same for a blob that goes into the database.
func TestWatchInline(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	data := pattern(3, 5000)
	changes, stop := s.Watch(bao.Sum(data))
	defer stop()
	d := download(t, s, bao.Sum(data), len(data))
	feed(t, d, data, bao.All())
	if err := d.Complete(context.Background()); err != nil {
		t.Fatal(err)
	}
	heard(t, changes)
	if st := status(t, s, bao.Sum(data)); st.State != Complete {
		t.Fatal(st.State)
	}
}

// TestWatchMissesNothing reads the status after each value while a download goes on: the last thing seen is the whole.
func TestWatchMissesNothing(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	data := pattern(4, 20<<20+5)
	h := bao.Sum(data)
	changes, stop := s.Watch(h)
	defer stop()
	seen := make(chan int)
	go func() {
		n := 0
		for range changes {
			n++
			if st, err := s.Status(h); err != nil || st.State == Complete {
				seen <- n
				return
			}
		}
	}()
	d := download(t, s, h, len(data))
	feed(t, d, data, bao.All())
	if err := d.Complete(context.Background()); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-seen:
		t.Logf("complete after %d values", n)
	case <-time.After(time.Minute):
		t.Fatal("the end was not heard of")
	}
}

func status(t *testing.T, s *Store, h bao.Hash) Status {
	t.Helper()
	st, err := s.Status(h)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func heard(t *testing.T, changes <-chan struct{}) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(time.Minute):
		t.Fatal("nothing heard")
	}
}

func quiet(t *testing.T, changes <-chan struct{}) {
	t.Helper()
	select {
	case <-changes:
		t.Fatal("heard of something that was not")
	case <-time.After(20 * time.Millisecond):
	}
}

func drain(changes <-chan struct{}) {
	for len(changes) > 0 {
		<-changes
	}
}
