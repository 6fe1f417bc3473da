package keeping

import (
	"errors"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// Leave takes blobs for given up that are not kept, until they are deleted or stay after all. A link may still need them, or come to
// need them: whoever asks [Keeper.Left] has to look.
func (k *Keeper) Leave(hashes []bao.Hash) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	held, err := k.Held()
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	k.leave(hashes, held)
	return nil
}

func (k *Keeper) leave(hashes []bao.Hash, held ...Held) {
	for _, h := range hashes {
		if !slices.ContainsFunc(held, func(some Held) bool { return some.Has(h) }) {
			k.leaving.Store(h, nil)
		}
	}
}

// Left tells whether a blob was given up, and was neither deleted nor kept since.
func (k *Keeper) Left(hash bao.Hash) bool {
	_, left := k.leaving.Load(hash)
	return left
}

// Stay calls mark, which tags one blob as pushed, and not while [Sweep.Orphan] removes a blob.
func (k *Keeper) Stay(hash bao.Hash, mark func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := mark(); err != nil {
		return err
	}
	k.leaving.Delete(hash)
	return nil
}

// stay is told what is kept from now on. The caller holds mu and has set the tag.
func (k *Keeper) stay(i Item) error {
	k.changes++
	all, err := k.Blobs(i)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	for _, h := range all {
		k.leaving.Delete(h)
	}
	return nil
}

// Sweep is one look through what no link needs.
type Sweep struct {
	k    *Keeper
	held Held
	read bool
	at   uint64 // changes when held was read
}

// Sweep begins a look through what no link needs.
func (k *Keeper) Sweep() *Sweep { return &Sweep{k: k} }

// Orphan calls remove for a blob that no link needs, unless it is kept. Nothing comes to be kept while it does. The error is remove's, or
// ErrDamaged if nobody knows whether it is kept.
func (s *Sweep) Orphan(hash bao.Hash, remove func() error) error {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	if !s.read || s.at != s.k.changes {
		held, err := s.k.Held()
		if err != nil {
			return err
		}
		s.held, s.read, s.at = held, true, s.k.changes
	}
	// Marks of single blobs are too many to read all tags again after each.
	_, err := s.k.store.Tag(provider.PushTag + hash.String())
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case err == nil, s.held.Has(hash):
		s.k.leaving.Delete(hash)
		return nil
	}
	if err := remove(); err != nil {
		return err
	}
	s.k.leaving.Delete(hash)
	return nil
}
