package unixfs

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// A DirectoryBuilder makes one directory, plain or sharded, whichever Kubo would make of the same entries.
//
// It holds the entries until Finish. It is for one directory and one goroutine.
type DirectoryBuilder struct {
	p       Profile
	sink    Sink
	entries []codec.Link
	root    Entry
	err     error // the first error, or errFinished
}

// NewDirectory begins a directory. A profile that cannot be built with is an error of the first call.
func NewDirectory(p Profile, s Sink) *DirectoryBuilder {
	return &DirectoryBuilder{p: p, sink: s, err: p.Validate()}
}

// Add adds an entry; the order of the calls is of no account. A name that cannot be a file's is [ErrName]; one that was
// added before is an error of Finish.
func (b *DirectoryBuilder) Add(name string, e Entry) error {
	if b.err == nil {
		b.err = b.add(name, e)
	}
	return b.err
}

func (b *DirectoryBuilder) add(name string, e Entry) error {
	if err := validName(name); err != nil {
		return fmt.Errorf("unixfs: %w", err)
	}
	if !e.CID.Defined() {
		return fmt.Errorf("unixfs: entry %q has no CID", name)
	}
	if len(b.entries) == maxEntries {
		return fmt.Errorf("unixfs: %w: more than %d entries in a directory", ErrLimit, maxEntries)
	}
	b.entries = append(b.entries, codec.Link{CID: e.CID, Name: name, Tsize: e.TreeSize})
	b.root.Size += e.Size
	return nil
}

// Finish makes the directory's nodes, shards from the bottom up, and returns the directory.
func (b *DirectoryBuilder) Finish() (Entry, error) {
	if b.err == nil {
		b.err = b.finish()
	}
	if b.err != nil {
		return Entry{}, b.err
	}
	b.err = errFinished
	return b.root, nil
}

func (b *DirectoryBuilder) finish() error {
	slices.SortFunc(b.entries, func(x, y codec.Link) int { return cmp.Compare(x.Name, y.Name) })
	for i := 1; i < len(b.entries); i++ {
		if b.entries[i].Name == b.entries[i-1].Name {
			return fmt.Errorf("unixfs: %w: %q twice in a directory", ErrName, b.entries[i].Name)
		}
	}
	var root codec.Link
	var err error
	if b.sharded() {
		root, err = b.hamt()
	} else {
		root, err = b.node(b.entries, codec.DirectoryMessage())
	}
	b.root.CID, b.root.TreeSize, b.root.Kind = root.CID, root.Tsize, KindDirectory
	return err
}

// node makes one node and returns the link to it, without a name.
func (b *DirectoryBuilder) node(links []codec.Link, message []byte) (codec.Link, error) {
	c, n, err := putNode(b.p, b.sink, links, message)
	l := codec.Link{CID: c, Tsize: n}
	for _, child := range links {
		l.Tsize += child.Tsize
	}
	return l, err
}

// sharded tells whether the plain directory would be over the threshold; one that is just as large stays plain.
//
// Kubo decides at every entry that it adds, and a directory among them has its final Tsize only later; but sizes only
// grow on the way, so that the final size decides.
func (b *DirectoryBuilder) sharded() bool {
	if b.p.ShardThreshold <= 0 || len(b.entries) == 0 {
		return false
	}
	size := 0
	if b.p.ShardEstimate == EstimateBlock {
		size = codec.EncodedSize(b.entries, codec.DirectoryMessage())
	} else {
		for _, l := range b.entries {
			size += len(l.Name) + l.CID.ByteLen()
		}
	}
	return size > b.p.ShardThreshold
}

type hashed struct {
	hash  uint64
	entry int32
}

func (b *DirectoryBuilder) hamt() (codec.Link, error) {
	order := make([]hashed, len(b.entries))
	for i, l := range b.entries {
		order[i] = hashed{nameHash(l.Name), int32(i)}
	}
	slices.SortFunc(order, func(x, y hashed) int { return cmp.Compare(x.hash, y.hash) })
	return b.shard(order, 0)
}

// shard makes the shard of entries that have the same first consumed bits, in order of their hashes.
func (b *DirectoryBuilder) shard(order []hashed, consumed int) (codec.Link, error) {
	width := bits.TrailingZeros(uint(b.p.ShardFanout))
	if consumed+width > 64 {
		return codec.Link{}, fmt.Errorf("unixfs: %w: names %q and %q have the same hash", ErrLimit,
			b.entries[order[0].entry].Name, b.entries[order[1].entry].Name)
	}
	bitfield := make([]byte, b.p.ShardFanout/8)
	links := make([]codec.Link, 0, min(len(order), b.p.ShardFanout))
	for len(order) > 0 {
		slot := slotOf(order[0].hash, consumed, width)
		n := 1
		for n < len(order) && slotOf(order[n].hash, consumed, width) == slot {
			n++
		}
		l := b.entries[order[0].entry]
		if n > 1 {
			var err error
			if l, err = b.shard(order[:n], consumed+width); err != nil {
				return codec.Link{}, err
			}
		}
		l.Name = slotName(slot, b.p.ShardFanout) + l.Name
		links = append(links, l)
		bitfield[len(bitfield)-1-slot/8] |= 1 << (slot % 8)
		order = order[n:]
	}
	return b.node(links, codec.ShardMessage(bitfield, b.p.ShardFanout))
}
