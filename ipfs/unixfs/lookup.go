package unixfs

import (
	"context"
	"fmt"
	"math/bits"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// Lookup returns the CID of the entry called name in the directory dir, plain or sharded; [ErrNoSuchName] when there
// is none, or when dir is a file or symlink. Only the blocks on the way are fetched.
func Lookup(ctx context.Context, dir cid.Cid, name string, f Fetcher) (cid.Cid, error) {
	if !dir.Defined() {
		return cid.Undef, fmt.Errorf("unixfs: %w: no CID", ErrNotUnixFS)
	}
	w := &walker{f: f, limits: Limits{}.withDefaults(), want: map[cid.Cid]*wanted{}, batch: 1}
	it := &item{link: codec.Link{CID: dir}, role: roleEntry, depth: 1}
	hash := nameHash(name)
	for {
		w.announce(it)
		if err := w.resolve(ctx, it); err != nil {
			return cid.Undef, err
		}
		c, below := it.find(name, hash)
		switch {
		case below:
			fanout := int(it.node.Fanout)
			slot := slotOf(hash, it.slots.consumed, bits.TrailingZeros(uint(fanout)))
			it = &item{link: codec.Link{CID: c}, role: roleShard, depth: it.depth + 1, slots: it.slots.below(fanout, slot)}
		case c.Defined():
			return c, nil
		default:
			return cid.Undef, &NodeError{dir, fmt.Errorf("%w: %q", ErrNoSuchName, name)}
		}
	}
}

// find looks a name up in one node: the CID of its entry, or of the shard that has it if it is anywhere.
func (it *item) find(name string, hash uint64) (c cid.Cid, below bool) {
	label := name
	switch it.kind() {
	case codec.Directory:
	case codec.Shard:
		fanout := int(it.node.Fanout)
		label = slotName(slotOf(hash, it.slots.consumed, bits.TrailingZeros(uint(fanout))), fanout) + name
	default:
		return cid.Undef, false
	}
	prefix := label[:len(label)-len(name)]
	for _, l := range it.node.Links {
		if l.Name == label && name != "" {
			return l.CID, false
		}
		if prefix != "" && l.Name == prefix {
			return l.CID, true
		}
	}
	return cid.Undef, false
}
