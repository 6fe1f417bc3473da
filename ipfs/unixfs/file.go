package unixfs

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// A Kind is what an entry of a directory is.
type Kind uint8

// The kinds of entries.
const (
	KindFile Kind = iota + 1
	KindDirectory
	KindSymlink
)

// An Entry is a finished file, directory or symlink: what its parent needs to know of it.
type Entry struct {
	CID      cid.Cid
	Size     uint64 // file bytes; of a directory, those of all files below
	TreeSize uint64 // bytes of all blocks, the Tsize of a link to it
	Kind     Kind
}

// A Sink takes the blocks of what is built, children before parents. Leaves come in file order.
//
// A block passed to Node is not used again by the builder. An error stops the builder and is returned by it.
type Sink interface {
	// Leaf takes a leaf whose payload begins at offset of its file; the bytes are the caller's already.
	Leaf(l Leaf, offset uint64) error
	// Node takes a node of a file, a directory, a shard or a symlink.
	Node(c cid.Cid, block []byte) error
}

// A FileBuilder puts leaves together as a balanced tree: every node but the last of its level has Width links.
//
// It holds at most Width links for each level. It is for one file and one goroutine.
type FileBuilder struct {
	p      Profile
	sink   Sink
	levels [][]codec.Link // links that wait for their parent; levels[0] are leaves
	root   Entry
	err    error // the first error, or errFinished
}

var errFinished = errors.New("unixfs: the builder is finished")

// NewFile begins a file. A profile that cannot be built with is an error of the first call.
func NewFile(p Profile, s Sink) *FileBuilder {
	return &FileBuilder{p: p, sink: s, err: p.Validate()}
}

// Add appends a leaf of the same profile. An empty leaf is right only for an empty file, where Finish adds it when the
// caller does not.
func (b *FileBuilder) Add(l Leaf) error {
	if b.err == nil {
		b.err = b.add(l)
	}
	return b.err
}

func (b *FileBuilder) add(l Leaf) error {
	if len(b.levels) > 0 && (l.Size == 0 || b.root.Size == 0) {
		return fmt.Errorf("unixfs: an empty leaf %s in a file that has others", l.CID)
	}
	if err := b.sink.Leaf(l, b.root.Size); err != nil {
		return err
	}
	b.root.Size += l.Size
	return b.push(0, codec.Link{CID: l.CID, Tsize: l.BlockSize, Size: l.Size})
}

// push adds a link to a level, whose links get a parent first when there are Width of them.
func (b *FileBuilder) push(level int, l codec.Link) error {
	if level == len(b.levels) {
		b.levels = append(b.levels, make([]codec.Link, 0, min(b.p.Width, 16)))
	}
	if len(b.levels[level]) == b.p.Width {
		if err := b.close(level); err != nil {
			return err
		}
	}
	b.levels[level] = append(b.levels[level], l)
	return nil
}

// close makes the node over all links of a level.
func (b *FileBuilder) close(level int) error {
	links := b.levels[level]
	var size, tree uint64
	for _, l := range links {
		size += l.Size
		tree += l.Tsize
	}
	c, n, err := putNode(b.p, b.sink, links, codec.FileMessage(size, links))
	if err != nil {
		return err
	}
	b.levels[level] = links[:0]
	return b.push(level+1, codec.Link{CID: c, Tsize: tree + n, Size: size})
}

// Finish makes the nodes that are still open and returns the file. A file of one leaf is that leaf.
func (b *FileBuilder) Finish() (Entry, error) {
	if b.err == nil {
		b.err = b.finish()
	}
	if b.err != nil {
		return Entry{}, b.err
	}
	b.err = errFinished
	return b.root, nil
}

func (b *FileBuilder) finish() error {
	if len(b.levels) == 0 {
		l, err := b.p.Leaf(nil)
		if err != nil {
			return err
		}
		if err := b.add(l); err != nil {
			return err
		}
	}
	for level := 0; ; level++ {
		if links := b.levels[level]; level == len(b.levels)-1 && len(links) == 1 {
			b.root.CID, b.root.TreeSize, b.root.Kind = links[0].CID, links[0].Tsize, KindFile
			return nil
		}
		if err := b.close(level); err != nil {
			return err
		}
	}
}

// putNode encodes a node, hands it to the sink and returns its CID and length.
func putNode(p Profile, s Sink, links []codec.Link, message []byte) (cid.Cid, uint64, error) {
	block := codec.Encode(links, message)
	c, err := p.sum(cid.DagProtobuf, block)
	if err != nil {
		return cid.Undef, 0, err
	}
	return c, uint64(len(block)), s.Node(c, block)
}

// Symlink makes the node of a symlink to target, which is kept as it is and never followed.
func Symlink(p Profile, s Sink, target string) (Entry, error) {
	if err := p.Validate(); err != nil {
		return Entry{}, err
	}
	if len(target) > maxTarget {
		return Entry{}, fmt.Errorf("unixfs: %w: a symlink's target of %d bytes", ErrLimit, len(target))
	}
	c, n, err := putNode(p, s, nil, codec.SymlinkMessage(target))
	if err != nil {
		return Entry{}, err
	}
	return Entry{CID: c, Size: 0, TreeSize: n, Kind: KindSymlink}, nil
}
