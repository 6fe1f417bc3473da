package unixfs

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

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

// List tells what c is, file, directory or symlink, and how many bytes a file has. For each entry of a directory, plain
// or sharded, it calls entry, in the order of the directory's blocks; an error of entry ends it and comes as it is. Only
// the block of c is fetched, and the shards of a directory.
func List(ctx context.Context, c cid.Cid, f Fetcher, l Limits, entry func(name string, c cid.Cid) error) (Entry, error) {
	if !c.Defined() {
		return Entry{}, fmt.Errorf("unixfs: %w: no CID", ErrNotUnixFS)
	}
	w := &walker{f: f, limits: l.withDefaults(), want: map[cid.Cid]*wanted{}, batch: 1}
	todo := []*item{{link: codec.Link{CID: c}, role: roleEntry, depth: 1}}
	found := Entry{CID: c, Kind: KindDirectory}
	for len(todo) > 0 {
		it := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		w.announce(it)
		if err := w.resolve(ctx, it); err != nil {
			return Entry{}, err
		}
		w.held = 0 // nothing of it is kept
		switch it.kind() {
		case codec.Directory, codec.Shard:
			below, err := it.list(entry)
			if err != nil {
				return Entry{}, err
			}
			todo = append(todo, below...)
		case codec.Symlink:
			found.Kind = KindSymlink
		case codec.Metadata:
			return Entry{}, &NodeError{c, fmt.Errorf("%w: metadata about a file", ErrNotUnixFS)}
		default:
			found.Kind, found.Size = KindFile, it.size
		}
	}
	return found, nil
}

// list calls entry for the entries in one node, and returns the shards below it, the last one first.
func (it *item) list(entry func(name string, c cid.Cid) error) (below []*item, err error) {
	fanout := int(it.node.Fanout)
	for _, l := range it.node.Links {
		slot, name := 0, l.Name
		if it.kind() == codec.Shard {
			if slot, name = splitLabel(l.Name, fanout); name == "" {
				below = append(below, &item{link: codec.Link{CID: l.CID}, role: roleShard, depth: it.depth + 1, slots: it.slots.below(fanout, slot)})
				continue
			}
		}
		if err := entry(name, l.CID); err != nil {
			return nil, err
		}
	}
	slices.Reverse(below)
	return below, nil
}

// Total tells what c is, and how many bytes its files have together, each as often as it occurs, without reading files:
// known tells the size of the file with a CID, or that it does not know it. Files that it does not know count as what
// their root block says. The limits' Depth and Blocks hold for each directory by itself; entries bounds all of them.
func Total(ctx context.Context, c cid.Cid, f Fetcher, l Limits, entries int, known func(cid.Cid) (uint64, bool, error)) (Entry, error) {
	left := entries
	var total func(c cid.Cid, depth int) (Entry, error)
	total = func(c cid.Cid, depth int) (Entry, error) {
		if depth > l.withDefaults().Depth {
			return Entry{}, &NodeError{c, limited("more than %d directories deep", l.withDefaults().Depth)}
		}
		sum := uint64(0)
		e, err := List(ctx, c, f, l, func(_ string, c cid.Cid) error {
			if left--; left < 0 {
				return &NodeError{c, limited("more than %d entries", entries)}
			}
			size, ok, err := known(c)
			if err == nil && !ok {
				var e Entry
				e, err = total(c, depth+1)
				size = e.Size
			}
			sum += size
			return err
		})
		if e.Kind == KindDirectory {
			e.Size = sum
		}
		return e, err
	}
	return total(c, 0)
}
