package downloader

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/iroh-ipfs/bridge/iroh/store"
)

// shelf stores small blobs beside the receiving of the next ones. It must be closed. It is safe for concurrent use but for close.
type shelf struct {
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

func newShelf(to *store.Store) *shelf {
	s := &shelf{to: to, jobs: make(chan shelved, shelfPlaces), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *shelf) run() {
	defer close(s.done)
	for job := range s.jobs {
		if s.err == nil && len(job.blobs) > 0 {
			// What has come is stored whether or not the fetch goes on.
			if err := s.to.PutAll(context.Background(), job.blobs); err != nil {
				s.err = ownError{fmt.Errorf("blobs: %w", err)}
				s.failed.Store(true)
			}
		}
		if job.stored != nil {
			close(job.stored)
		}
	}
}

// close waits for everything to be stored.
func (s *shelf) close() error {
	close(s.jobs)
	<-s.done
	return s.err
}

// tray collects small blobs of one request on their way to the shelf.
type tray struct {
	shelf *shelf
	blobs []store.Whole
	size  int
}

// put takes a blob that was verified, or returns the error of an earlier one.
func (t *tray) put(blob store.Whole) error {
	if t.shelf.failed.Load() {
		return t.shelf.err
	}
	t.blobs = append(t.blobs, blob)
	if t.size += len(blob.Data); t.size >= trayBytes || len(t.blobs) >= trayBlobs {
		t.shelf.jobs <- shelved{blobs: t.blobs}
		t.blobs, t.size = nil, 0
	}
	return nil
}

// empty waits until everything that was put is stored.
func (t *tray) empty() error {
	stored := make(chan struct{})
	t.shelf.jobs <- shelved{blobs: t.blobs, stored: stored}
	t.blobs, t.size = nil, 0
	<-stored
	if t.shelf.failed.Load() {
		return t.shelf.err
	}
	return nil
}
