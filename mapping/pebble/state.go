package pebble

import (
	"fmt"
	"sync"
)

// state is what a transaction's rows are worth. A seq that is in no map is
// live, or has no rows.
type state uint8

const (
	live state = iota
	pending
	dead
)

// states holds the seqs that are not live.
type states struct {
	mu sync.RWMutex
	m  map[uint64]state
	// changes counts what makes rows appear or disappear; retired counts the
	// rounds in which seqs without rows were forgotten.
	changes, retired uint64
}

// epoch is a moment in the life of states.
type epoch struct{ changes, retired uint64 }

func (s *states) epoch() epoch {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return epoch{s.changes, s.retired}
}

func (s *states) of(seq uint64) state {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[seq]
}

// begin makes a new seq pending.
func (s *states) begin(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= maxStates {
		return fmt.Errorf("%d transactions and deleted links wait for a purge", len(s.m))
	}
	s.m[seq] = pending
	return nil
}

// commit makes a pending seq live and the seq it replaces, if any, dead.
func (s *states) commit(seq, replaced uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, seq)
	if replaced != 0 {
		s.m[replaced] = dead
	}
	s.changes++
}

// kill makes a seq dead.
func (s *states) kill(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[seq] = dead
	s.changes++
}

// drop forgets a pending seq that never had rows.
func (s *states) drop(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, seq)
}

// forget drops dead seqs that have no rows any more.
func (s *states) forget(seqs map[uint64]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq := range seqs {
		delete(s.m, seq)
	}
	s.changes++
	s.retired++
}

// dead returns the seqs whose rows can be removed.
func (s *states) dead() map[uint64]struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	seqs := make(map[uint64]struct{})
	for seq, st := range s.m {
		if st == dead {
			seqs[seq] = struct{}{}
		}
	}
	return seqs
}
