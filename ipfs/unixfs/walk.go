package unixfs

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// A Fetcher supplies blocks by their CID, verified. It is used from one goroutine.
type Fetcher interface {
	// Block returns the bytes of a block, which neither side changes afterwards. It must not wait for other announced
	// blocks to be taken: a walk may ask for them in another order than it announced them.
	Block(ctx context.Context, c cid.Cid) ([]byte, error)

	// Prefetch announces blocks that the walk is going to ask for, in the order in which it expects to. It must not
	// block. Each block is announced once before Block is called for it. Announced and not yet asked for are about 64
	// blocks, 112 at most, and about 32 MiB by the sizes that links declare.
	Prefetch(cids []cid.Cid)
}

// A Visitor takes what a walk meets, in file order. Paths are names joined by slashes, relative to the root, which is
// "". An error ends the walk and is returned by it as it is. Byte slices are valid until the call returns.
//
//	BeginDirectory  Node  (children)  EndDirectory    the first Node is the directory's own; further ones are shards
//	BeginFile  (Node | Leaf)...  EndFile
//	Node  Symlink
//
// Every block is delivered as often as it is linked, except that blocks inlined in a CID are not delivered as blocks.
type Visitor interface {
	BeginDirectory(path string, meta Meta) error
	EndDirectory(path string) error

	// BeginFile opens a file of size bytes. What is delivered until EndFile has just this size.
	BeginFile(path string, size uint64, meta Meta, root cid.Cid) error

	// Leaf delivers the next bytes of the file. block is l.Prefix, payload and l.Suffix, in this order, and l.CID its
	// CID.
	//
	// Three kinds of payload have no such block: what is inlined in a CID, the data of an interior node, and that of a
	// leaf with more than 1,024 bytes around its payload. Then block is nil and l.CID undefined; in the latter two
	// cases the whole block was delivered to Node just before.
	Leaf(l Leaf, offset uint64, payload, block []byte) error

	// Node delivers a block that is not a Leaf's.
	Node(c cid.Cid, block []byte) error

	// EndFile closes the file. TreeSize is what its blocks really add up to.
	EndFile(path string, e Entry) error

	Symlink(path, target string, meta Meta) error
}

// Walk visits the UnixFS DAG below root. It returns nil only if all of it was delivered and no block contradicts
// another. Errors about a block are [NodeError]s; those of the Visitor and of a context that ended come as they are.
//
// A DAG that is not UnixFS, or not all of it, is [ErrNotUnixFS].
func Walk(ctx context.Context, root cid.Cid, f Fetcher, v Visitor, l Limits) error {
	if !root.Defined() {
		return fmt.Errorf("unixfs: %w: no CID", ErrNotUnixFS)
	}
	w := &walker{f: f, v: v, limits: l.withDefaults(), want: map[cid.Cid]*wanted{}, batch: 1}
	w.front = &item{link: codec.Link{CID: root}, role: roleEntry, depth: 1}
	for w.front != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A walker keeps what is still to be delivered as a list in file order. Its front is delivered and removed; behind the
// front, links are taken out of their nodes, announced and, if they may have links of their own, read in advance and
// replaced by what they hold. So the walk has one order of delivery and one goroutine, and yet many blocks under way.
type walker struct {
	f      Fetcher
	v      Visitor
	limits Limits

	front *item
	due   int // deliveries until the walk looks ahead again

	want   map[cid.Cid]*wanted // announced and not taken
	flying int                 // of these, those that were not asked for
	hints  []cid.Cid           // to be announced, as batch
	batch  int
	newest int // batch of which a block has arrived

	visits  uint64 // blocks read
	repeats repeats
	bytes   uint64 // of files begun
	held    int    // bytes of nodes and blocks in the list
	kept    int    // bytes of blocks in want

	// Of the file being delivered.
	offset uint64
	tree   uint64 // bytes of its blocks
}

// step brings the front of the list one operation further.
func (w *walker) step(ctx context.Context) error {
	it := w.front
	if w.due <= 0 || it.op == opRest || it.op == opLink && !it.announced {
		if err := w.lookAhead(ctx); err != nil {
			return err
		}
	}
	if it.op == opLink {
		return w.resolve(ctx, it)
	}
	w.front, it.next = it.next, nil // an item outlives its removal as a parent, and must not hold on to what follows
	w.held -= it.cost
	switch it.op {
	case opOpen:
		w.due--
		return w.open(it)
	case opLeaf:
		w.due--
		return w.leaf(it)
	default:
		return w.end(it)
	}
}

// open delivers the beginning of what has links or is no file. Only the links are kept after it.
func (w *walker) open(it *item) error {
	defer func() { it.block, it.node.Payload = nil, nil }()
	switch {
	case it.kind() == codec.Directory, it.kind() == codec.Shard && it.role != roleShard:
		if err := w.v.BeginDirectory(it.path, it.node.Meta); err != nil {
			return err
		}
	case it.kind() == codec.Symlink:
		if err := w.node(it); err != nil {
			return err
		}
		return w.v.Symlink(it.path, string(it.node.Payload), it.node.Meta)
	case it.isFile():
		if err := w.beginFile(it); err != nil {
			return err
		}
	}
	if err := w.node(it); err != nil {
		return err
	}
	if it.isFile() || it.role == rolePart {
		return w.payload(Leaf{}, it.node.Payload, nil)
	}
	return nil
}

// leaf delivers a block without links, of a file or as a file.
func (w *walker) leaf(it *item) error {
	if it.isFile() {
		if err := w.beginFile(it); err != nil {
			return err
		}
	}
	l := Leaf{CID: it.link.CID, BlockSize: uint64(len(it.block))}
	payload := it.block
	if n := it.node; n != nil {
		payload = n.Payload
		l.Prefix, l.Suffix = it.block[:n.PayloadAt], it.block[n.PayloadAt+len(payload):]
	}
	switch {
	case !it.stored:
		w.tree += l.BlockSize
		l = Leaf{}
	case len(l.Prefix)+len(l.Suffix) > maxWrapping:
		if err := w.node(it); err != nil {
			return err
		}
		l = Leaf{}
	default:
		w.tree += l.BlockSize
	}
	if err := w.payload(l, payload, it.block); err != nil {
		return err
	}
	return w.end(it)
}

// payload delivers file bytes. Only an empty leaf is delivered without any.
func (w *walker) payload(l Leaf, payload, block []byte) error {
	if !l.CID.Defined() {
		if len(payload) == 0 {
			return nil
		}
		block = nil
	}
	l.Size = uint64(len(payload))
	offset := w.offset
	w.offset += l.Size
	return w.v.Leaf(l, offset, payload, block)
}

// node delivers a block as it is.
func (w *walker) node(it *item) error {
	w.tree += uint64(len(it.block))
	if !it.stored {
		return nil
	}
	return w.v.Node(it.link.CID, it.block)
}

func (w *walker) beginFile(it *item) error {
	if it.size > w.limits.Bytes-w.bytes {
		return &NodeError{it.link.CID, limited("a file of %d bytes, with %d of %d left", it.size, w.limits.Bytes-w.bytes, w.limits.Bytes)}
	}
	w.bytes += it.size
	w.offset, w.tree = 0, 0
	meta := Meta{}
	if it.node != nil {
		meta = it.node.Meta
	}
	return w.v.BeginFile(it.path, it.size, meta, it.link.CID)
}

// end delivers the end of a file or directory.
func (w *walker) end(it *item) error {
	switch {
	case it.isFile():
		return w.v.EndFile(it.path, Entry{CID: it.link.CID, Size: w.offset, TreeSize: w.tree, Kind: KindFile})
	case it.role == roleEntry && (it.kind() == codec.Directory || it.kind() == codec.Shard):
		return w.v.EndDirectory(it.path)
	}
	return nil
}
