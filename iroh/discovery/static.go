package discovery

import (
	"context"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Static is a source of addresses that somebody told us: a ticket, the command line, a configuration. The zero value is
// empty and ready to use; it is safe for concurrent use.
type Static struct {
	mu    sync.Mutex
	known map[key.EndpointID]record.Record
}

// Name implements [Source].
func (s *Static) Name() string { return "static" }

// Add adds an address to what is known of its endpoint; the newest addresses come first, and the oldest make room. An
// address without an id is ignored. Beyond 16,384 endpoints an arbitrary other one is forgotten.
func (s *Static) Add(addr ticket.EndpointAddr) {
	if addr.ID.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[key.EndpointID]record.Record)
	}
	s.known[addr.ID] = record.New(addr).Usable().Merge(s.known[addr.ID])
	for id := range s.known {
		if len(s.known) <= maxStatic {
			break
		}
		if id != addr.ID {
			delete(s.known, id)
		}
	}
}

// Remove forgets an endpoint.
func (s *Static) Remove(id key.EndpointID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, id)
}

// Resolve implements [Source]; it answers at once.
func (s *Static) Resolve(_ context.Context, id key.EndpointID) (record.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.known[id]
	if !ok || r.Empty() {
		return record.Record{}, ErrNotFound
	}
	return r.Clone(), nil
}
