package provider

import (
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Leaving knows the blobs that were given up and are still in the store, until whoever owns it gets to delete them. For peers they
// are not there; who pushes one again has it stay. It may be used from many goroutines.
type Leaving interface {
	// Left tells whether a blob was given up.
	Left(hash bao.Hash) bool
	// Stay calls mark, which tags a blob, and takes the blob for given up no more. It does so before or after a deletion of that blob,
	// never during one; and none comes after it while the blob has the tag.
	Stay(hash bao.Hash, mark func() error) error
}

// errDeleted says that a blob was deleted while it was pushed again. It will be missing then, and can be pushed.
var errDeleted = errors.New("blobs: pushed blob was deleted meanwhile")

// left tells whether a blob is to be taken for missing.
func (p *Provider) left(hash bao.Hash) bool { return p.cfg.Leaving != nil && p.cfg.Leaving.Left(hash) }

// status is what peers are told of a blob.
func (p *Provider) status(hash bao.Hash) (store.Status, error) {
	if p.left(hash) {
		return store.Status{Hash: hash}, nil
	}
	return p.cfg.Store.Status(hash)
}

// open opens a blob for a peer.
func (p *Provider) open(hash bao.Hash) (*store.Blob, error) {
	if p.left(hash) {
		return nil, store.ErrNotFound
	}
	return p.cfg.Store.Open(hash)
}

// mark tags a blob as pushed.
func (p *Provider) mark(hash bao.Hash) error {
	tag := func() error { return p.cfg.Store.SetTag(PushTag+hash.String(), hash, ticket.Raw) }
	if p.cfg.Leaving != nil {
		set := tag
		tag = func() error { return p.cfg.Leaving.Stay(hash, set) }
	}
	if err := tag(); err != nil {
		return fmt.Errorf("blobs: quota: %w", err)
	}
	return nil
}

// restore has a blob stay that was given up and is whole. It is marked before what is pushed of it is verified, since a deletion does
// not wait for that; our own bytes were verified when they came.
func (in *intake) restore(hash bao.Hash) error {
	if err := in.provider.mark(hash); err != nil {
		return err
	}
	now, err := in.provider.cfg.Store.Status(hash)
	switch {
	case err != nil:
		return err
	case now.State != store.Complete:
		return errDeleted
	}
	return in.drop()
}
