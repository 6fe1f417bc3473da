package landing

import (
	"context"
	"sync/atomic"

	"github.com/iroh-ipfs/bridge/iroh/store"
)

// Shelf stores small blobs, many at a time, beside the receiving of the next ones. It must be closed. It is safe for concurrent use but
// for Close.
type Shelf struct {
	to     *store.Store
	jobs   chan shelved
	done   chan struct{}
	err    error       // the first one; to be read after failed or done
	failed atomic.Bool // err is set
}

// shelved is blobs to be stored, and somebody to be told that they are, with all before them.
type shelved struct {
	blobs  []store.Whole
	stored chan<- struct{} // may be nil
}

// NewShelf is a shelf into a store.
func NewShelf(to *store.Store) *Shelf {
	s := &Shelf{to: to, jobs: make(chan shelved, shelfPlaces), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *Shelf) run() {
	defer close(s.done)
	for job := range s.jobs {
		if s.err == nil && len(job.blobs) > 0 {
			// What has come is stored whether or not the fetch goes on.
			if err := s.to.PutAll(context.Background(), job.blobs); err != nil {
				s.err = err
				s.failed.Store(true)
			}
		}
		if job.stored != nil {
			close(job.stored)
		}
	}
}

// Close waits for everything to be stored. Errors are those of the store, as with Put and Empty.
func (s *Shelf) Close() error {
	close(s.jobs)
	<-s.done
	return s.err
}

// Tray collects small blobs of one request on their way to the shelf. It is not safe for concurrent use.
type Tray struct {
	Shelf *Shelf

	blobs []store.Whole
	size  int
}

// Put takes a blob that was verified, or returns the error of an earlier one.
func (t *Tray) Put(blob store.Whole) error {
	if t.Shelf.failed.Load() {
		return t.Shelf.err
	}
	t.blobs = append(t.blobs, blob)
	if t.size += len(blob.Data); t.size >= trayBytes || len(t.blobs) >= trayBlobs {
		t.Shelf.jobs <- shelved{blobs: t.blobs}
		t.blobs, t.size = nil, 0
	}
	return nil
}

// Empty waits until everything that was put is stored.
func (t *Tray) Empty() error {
	stored := make(chan struct{})
	t.Shelf.jobs <- shelved{blobs: t.blobs, stored: stored}
	t.blobs, t.size = nil, 0
	<-stored
	if t.Shelf.failed.Load() {
		return t.Shelf.err
	}
	return nil
}
