package store

import (
	"iter"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

// State is how much of a blob is there.
type State uint8

const (
	Missing  State = iota // nothing is known of it
	Partial               // some groups may be there
	Complete              // all of it is there
)

// String returns "missing", "partial" or "complete".
func (s State) String() string {
	if s > Complete {
		return "unknown"
	}
	return [...]string{"missing", "partial", "complete"}[s]
}

// Status tells what the store has of a blob.
type Status struct {
	Hash   bao.Hash
	State  State
	Size   uint64     // bytes; of a partial blob, what was claimed, proven once its last group is there
	Ranges bao.Ranges // chunks that are there, whole groups; all of a complete blob
	Path   string     // the user's file, absolute, if the blob was added in place
}

// Status tells what the store has of a blob. Missing is not an error. A file
// added in place is not looked at: reading it tells whether it changed.
func (s *Store) Status(h bao.Hash) (Status, error) {
	if err := s.enter(); err != nil {
		return Status{}, err
	}
	defer s.leave()
	if h == bao.EmptyHash() {
		return Status{Hash: h, State: Complete, Ranges: bao.All()}, nil
	}
	defer s.lockHash(h)()
	e, err := s.lookup(h, false)
	if err != nil || !e.found {
		return Status{Hash: h}, err
	}
	return statusOf(h, &e.rec), nil
}

// Statuses tells what the store has of each of many blobs. That costs a third of
// what asking one by one does.
func (s *Store) Statuses(hashes []bao.Hash) ([]Status, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	all := make([]Status, len(hashes))
	// What is in memory first: from there it goes to the database.
	s.mu.Lock()
	for i, h := range hashes {
		all[i].Hash = h
		if st, live := s.pending[h], s.downloads[h]; st != nil {
			all[i] = statusOf(h, &st.rec)
		} else if live != nil {
			rec := live.in.Record(false)
			all[i] = statusOf(h, &rec)
		} else if h == bao.EmptyHash() {
			all[i].State, all[i].Ranges = Complete, bao.All()
		}
	}
	s.mu.Unlock()
	err := s.db.Records(hashes, func(i int, rec *meta.Record) {
		if all[i].State == Missing || rec.Complete() {
			all[i] = statusOf(hashes[i], rec)
		}
	})
	return all, err
}

func statusOf(h bao.Hash, r *meta.Record) Status {
	st := Status{Hash: h, State: Complete, Size: r.Size, Ranges: bao.All(), Path: r.Source.Path}
	if !r.Complete() {
		st.State, st.Ranges = Partial, r.Groups
	}
	return st
}

// All lists every blob, partial ones included, in no particular order; the
// empty blob, which is always there, is not listed. What changes meanwhile may
// or may not be seen. After an error there is nothing more. The store must not
// be closed from inside the loop.
func (s *Store) All() iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		if err := s.enter(); err != nil {
			yield(Status{}, err)
			return
		}
		defer s.leave()
		recent := s.recent()
		more := true
		err := s.db.Blobs(func(h bao.Hash, rec meta.Record, err error) bool {
			if err != nil {
				yield(Status{}, &DamageError{Hash: h, Part: "record", Err: err})
				more = false
				return false
			}
			if newer, ok := recent[h]; ok && (newer.Complete() || !rec.Complete()) {
				return true // comes below
			}
			delete(recent, h)
			more = yield(statusOf(h, &rec), nil)
			return more
		})
		if err != nil {
			yield(Status{}, err)
			return
		}
		for h, rec := range recent {
			if !more || !yield(statusOf(h, &rec), nil) {
				return
			}
		}
	}
}

// recent is the state of blobs that the database does not know yet.
func (s *Store) recent() map[bao.Hash]meta.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[bao.Hash]meta.Record, len(s.pending)+len(s.downloads))
	for h, d := range s.downloads {
		all[h] = d.in.Record(false)
	}
	for h, st := range s.pending {
		all[h] = st.rec
	}
	return all
}
