package blobs

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

// shelved is a blob to be stored, or with stored somebody to be told that all before it are.
type shelved struct {
	data   []byte
	stored chan<- struct{}
}

func newShelf(to *store.Store) *shelf {
	s := &shelf{to: to, jobs: make(chan shelved, shelfPlaces), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *shelf) run() {
	defer close(s.done)
	for job := range s.jobs {
		if job.stored != nil {
			close(job.stored)
			continue
		}
		if s.err != nil {
			continue
		}
		// What has come is stored whether or not the fetch goes on.
		if _, err := s.to.Put(context.Background(), job.data); err != nil {
			s.err = ownError{fmt.Errorf("blobs: %w", err)}
			s.failed.Store(true)
		}
	}
}

// put takes data, or returns the error of an earlier one.
func (s *shelf) put(data []byte) error {
	if s.failed.Load() {
		return s.err
	}
	s.jobs <- shelved{data: data}
	return nil
}

// wait waits for everything before it to be stored.
func (s *shelf) wait() error {
	stored := make(chan struct{})
	s.jobs <- shelved{stored: stored}
	<-stored
	if s.failed.Load() {
		return s.err
	}
	return nil
}

// close waits for everything to be stored.
func (s *shelf) close() error {
	close(s.jobs)
	<-s.done
	return s.err
}
