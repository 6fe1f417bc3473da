package store

import "github.com/iroh-ipfs/bridge/iroh/bao"

// Watch tells when [Store.Status] of a hash may say something new: a download
// of it begins, grows on disk or ends, the blob is complete, or deleted. The
// channel holds one value for any number of changes since the last was taken,
// and is never closed; stop gives it back. Ask for the status after Watch
// returned, and after each value.
func (s *Store) Watch(h bao.Hash) (changes <-chan struct{}, stop func()) { return s.watches.Add(h) }

// changed tells the watchers of a hash. It is called after every change of the
// hash's state, since each drops what was open under it.
func (s *Store) changed(h bao.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.downloads[h]; d != nil {
		d.in.OnGrowth(func() { s.watches.Notify(h) })
	}
	s.watches.Notify(h)
}
