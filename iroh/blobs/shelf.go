package blobs

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/iroh-ipfs/bridge/iroh/store"
)

// shelf stores small blobs beside the receiving of the next ones. It must be closed.
type shelf struct {
	jobs   chan []byte
	done   chan struct{}
	err    error       // the first one; to be read after failed or done
	failed atomic.Bool // err is set
}

func newShelf(ctx context.Context, to *store.Store) *shelf {
	s := &shelf{jobs: make(chan []byte, shelfPlaces), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for data := range s.jobs {
			if s.err != nil {
				continue
			}
			if _, err := to.Put(ctx, data); err != nil {
				s.err = fmt.Errorf("blobs: %w", err)
				s.failed.Store(true)
			}
		}
	}()
	return s
}

// put takes data, or returns the error of an earlier one.
func (s *shelf) put(data []byte) error {
	if s.failed.Load() {
		return s.err
	}
	s.jobs <- data
	return nil
}

// close waits for everything to be stored.
func (s *shelf) close() error {
	close(s.jobs)
	<-s.done
	return s.err
}
