package unixfs

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// resolve reads the block of an opLink and makes the item what the block is.
func (w *walker) resolve(ctx context.Context, it *item) error {
	if err := w.read(ctx, it); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return ctx.Err()
		}
		return &NodeError{it.link.CID, err}
	}
	return nil
}

func (w *walker) read(ctx context.Context, it *item) error {
	if it.depth > w.limits.Depth {
		return limited("more than %d blocks deep", w.limits.Depth)
	}
	if w.visits++; w.visits > w.limits.Blocks {
		return limited("more than %d blocks", w.limits.Blocks)
	}
	c := it.link.CID
	if codec := c.Type(); codec != cid.Raw && codec != cid.DagProtobuf {
		return fmt.Errorf("%w: codec 0x%x", ErrNotUnixFS, codec)
	}
	block, inlined, err := identity(c)
	if err == nil && !inlined {
		block, err = w.take(ctx, it)
	}
	if err != nil {
		return err
	}
	if err := w.repeats.count(c, len(block), w.limits); err != nil {
		return err
	}
	it.block, it.stored = block, !inlined
	if c.Type() == cid.DagProtobuf {
		if it.node, err = codec.Decode(block); err != nil {
			return err
		}
	}
	if err := it.check(); err != nil {
		return err
	}
	return w.place(it)
}

// place puts what was read into the list, and counts what it holds.
func (w *walker) place(it *item) error {
	it.op, it.cost = opLeaf, len(it.block)
	if n := it.node; n != nil && (len(n.Links) > 0 || n.Type != codec.File && n.Type != codec.Raw) {
		end := *it
		end.op, end.cost = opEnd, linkCost*len(n.Links)
		end.block, end.node = nil, &codec.Node{Type: n.Type} // the block is needed no longer than it takes to deliver it
		it.op, it.next = opOpen, &end
		if len(n.Links) > 0 {
			it.next = &item{op: opRest, parent: it, links: n.Links, next: &end}
		}
		w.held += end.cost
	}
	if w.held += it.cost; w.held > maxHeld {
		return limited("nodes that are open at one time hold more than %d bytes", maxHeld)
	}
	return nil
}

// check compares what was read with its place in the DAG and with itself, and sets the item's size.
func (it *item) check() error {
	n := it.node
	if n == nil {
		if it.role == roleShard {
			return codec.Malformed("raw bytes for a shard")
		}
		it.size = uint64(len(it.block))
		return it.checkSize()
	}
	isFile := n.Type == codec.File || n.Type == codec.Raw
	switch {
	case it.role == rolePart && !isFile:
		return codec.Malformed("a %s inside a file", n.Type)
	case it.role == roleTarget && !isFile && n.Type != codec.Metadata:
		return codec.Malformed("metadata about a %s", n.Type)
	case it.role == roleShard && n.Type != codec.Shard:
		return codec.Malformed("a %s for a shard", n.Type)
	case isFile:
		return it.checkFile()
	}
	switch n.Type {
	case codec.Directory:
		return checkNames(n.Links)
	case codec.Shard:
		return checkShard(n, it.slots)
	case codec.Metadata:
		if len(n.Links) != 1 {
			return codec.Malformed("metadata about %d files", len(n.Links))
		}
	case codec.Symlink:
		if len(n.Links) > 0 || len(n.Payload) > maxTarget {
			return codec.Malformed("a symlink with %d links and a target of %d bytes", len(n.Links), len(n.Payload))
		}
	}
	return nil
}

// checkFile adds up the sizes in a file's node and gives each link its own.
func (it *item) checkFile() error {
	n := it.node
	if len(n.Blocksizes) != len(n.Links) {
		return codec.Malformed("%d block sizes for %d links", len(n.Blocksizes), len(n.Links))
	}
	it.size = uint64(len(n.Payload))
	for i, size := range n.Blocksizes {
		if it.size+size < size {
			return codec.Malformed("block sizes that add up to more than 2^64")
		}
		it.size += size
		n.Links[i].Size = size
	}
	if n.HasFilesize && n.Filesize != it.size {
		return codec.Malformed("filesize %d for %d bytes", n.Filesize, it.size)
	}
	return it.checkSize()
}

// checkSize compares the size with what the parent says.
func (it *item) checkSize() error {
	if it.role == rolePart && it.size != it.link.Size {
		return codec.Malformed("%d bytes where its parent has %d", it.size, it.link.Size)
	}
	return nil
}

// checkNames checks the names in a plain directory. They are sorted, unless an old or odd builder made it.
func checkNames(links []codec.Link) error {
	sorted := true
	for i, l := range links {
		if err := validName(l.Name); err != nil {
			return err
		}
		sorted = sorted && (i == 0 || links[i-1].Name < l.Name)
	}
	if sorted {
		return nil
	}
	seen := make(map[string]struct{}, len(links))
	for _, l := range links {
		if _, twice := seen[l.Name]; twice {
			return fmt.Errorf("%w: %q twice in a directory", ErrName, l.Name)
		}
		seen[l.Name] = struct{}{}
	}
	return nil
}

// identity returns the bytes inlined in a CID with the identity multihash.
func identity(c cid.Cid) (block []byte, inlined bool, err error) {
	if c.Prefix().MhType != mh.IDENTITY {
		return nil, false, nil
	}
	d, err := mh.Decode(c.Hash())
	if err != nil {
		return nil, true, codec.Malformed("%w", err)
	}
	if len(d.Digest) > maxIdentity {
		return nil, true, limited("%d bytes inlined in a CID", len(d.Digest))
	}
	return d.Digest, true, nil
}
