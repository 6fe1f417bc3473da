package unixfs

import (
	"context"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// An op is what an item of the walk's list stands for. An opLink becomes an opLeaf, or an opOpen with an opRest and an
// opEnd behind it; an opRest gives up its first link as an opLink before it.
type op uint8

const (
	opLink op = iota // a block that was not read yet
	opLeaf           // a block of a file, without links
	opOpen           // a node, read
	opRest           // links of a node that are not in the list yet
	opEnd            // of a node
)

// A role is what may stand at a place of the DAG.
type role uint8

const (
	roleEntry  role = iota // the root or an entry of a directory
	rolePart               // below a file's root
	roleShard              // a shard below a shard
	roleTarget             // the file that a Metadata node is about
)

type item struct {
	op   op
	next *item

	link  codec.Link
	role  role
	path  string
	depth int
	slots slotPath // of a roleShard

	// Once announced.
	announced    bool
	mayHaveLinks bool
	wanted       *wanted // nil for what cannot be fetched

	// Once read.
	block  []byte
	node   *codec.Node // nil for a raw block
	stored bool        // false: the block is inlined in the CID
	size   uint64
	cost   int // counted in walker.held until the item is removed

	// Of an opRest.
	parent *item
	links  []codec.Link
	plain  int // of links, the first ones that nextNode has seen and passed over
}

func (it *item) kind() codec.Type {
	if it.node == nil {
		return codec.Raw
	}
	return it.node.Type
}

// isFile tells whether the item is the root of a file.
func (it *item) isFile() bool {
	return (it.role == roleEntry || it.role == roleTarget) && (it.kind() == codec.File || it.kind() == codec.Raw)
}

// mayHaveLinks guesses from the link alone whether the block is worth reading in advance. What wraps the payload of a
// leaf is less than 32 bytes; a node with one link has more than that beside its file bytes. An entry of a directory
// may be anything.
func mayHaveLinks(l codec.Link, part bool) bool {
	return l.CID.Type() == cid.DagProtobuf && (!part || l.Tsize < l.Size || l.Tsize-l.Size >= 32)
}

// estimate guesses the length of the block of a link that was announced.
func (it *item) estimate() uint64 {
	const node = 64 << 10
	switch {
	case it.role == rolePart && !it.mayHaveLinks:
		return min(it.link.Size, aheadBytes)
	case it.role != roleEntry || it.link.Tsize > 2<<20:
		return node
	}
	return it.link.Tsize
}

// wanted is a block that was announced for refs items of the list. It is kept from the first to the last of them.
type wanted struct {
	refs  int
	batch int // the announcement that it was in
	block []byte
}

// lookAhead announces what comes next, and reads nodes that are likely to have arrived: those that were announced no
// later than a block that did. To wait for any other would hold up blocks that are there to be delivered.
//
// A few nodes are announced before their turn, since the links in a node can be followed only a round trip after it.
func (w *walker) lookAhead(ctx context.Context) error {
	w.due = aheadBatch
	blocks, size := 0, uint64(0)
	for it := w.front; it != nil; {
		switch it.op {
		case opRest:
			n := 0 // links to be left for later
			if blocks >= 2*aheadBlocks || blocks >= aheadNear && w.flying >= aheadBlocks || blocks > 0 && size >= aheadBytes {
				if blocks >= 3*aheadBlocks || w.flying >= aheadBlocks+aheadNodes {
					break
				}
				if n = it.nextNode(); n < 0 {
					break
				}
			}
			if n > 0 {
				it = it.split(n)
			}
			if err := w.nextLink(it); err != nil {
				return err
			}
			continue
		case opLink:
			w.announce(it)
			if it.mayHaveLinks && w.held < aheadHeld && w.arrived(it.wanted) {
				if err := w.resolve(ctx, it); err != nil {
					return err
				}
				continue
			}
			size += it.estimate()
			blocks++
		case opLeaf, opOpen:
			size += uint64(len(it.block))
			blocks++
		}
		it = it.next
	}
	w.flush()
	return nil
}

// arrived guesses whether the block of an announced link can be had without waiting.
func (w *walker) arrived(wt *wanted) bool {
	return wt == nil || wt.block != nil || wt.batch <= w.newest
}

// nextNode finds a link of an opRest that may have links of its own, not too far from the first; -1 if there is none.
func (it *item) nextNode() int {
	part := it.parent.kind() == codec.File || it.parent.kind() == codec.Raw
	for ; it.plain < min(len(it.links), 4*aheadBlocks); it.plain++ {
		if mayHaveLinks(it.links[it.plain], part) {
			return it.plain
		}
	}
	return -1
}

// split leaves an opRest its first n links, and returns the opRest of the others behind it.
func (it *item) split(n int) *item {
	it.next = &item{op: opRest, parent: it.parent, links: it.links[n:], plain: max(it.plain-n, 0), next: it.next}
	it.links = it.links[:n]
	return it.next
}

// nextLink turns an opRest into the first of its links, with the rest behind it.
func (w *walker) nextLink(it *item) error {
	if len(it.links) > 1 {
		it.split(1)
	}
	parent, l := it.parent, it.links[0]
	*it = item{op: opLink, link: l, next: it.next, depth: parent.depth + 1}
	switch parent.kind() {
	case codec.Metadata:
		it.role, it.path = roleTarget, parent.path
		return nil
	case codec.Shard:
		fanout := int(parent.node.Fanout)
		slot, name := splitLabel(l.Name, fanout)
		if name == "" {
			it.role, it.path, it.slots = roleShard, parent.path, parent.slots.below(fanout, slot)
			return nil
		}
		it.path = name
	case codec.Directory:
		it.path = l.Name
	default:
		it.role = rolePart
		return nil
	}
	if parent.path != "" {
		it.path = parent.path + "/" + it.path
	}
	if len(it.path) > maxPath {
		return &NodeError{parent.link.CID, limited("a path of %d bytes", len(it.path))}
	}
	return nil
}

// announce notes that a block is wanted.
func (w *walker) announce(it *item) {
	if it.announced {
		return
	}
	it.announced, it.mayHaveLinks = true, mayHaveLinks(it.link, it.role == rolePart)
	c := it.link.CID
	p := c.Prefix()
	if p.MhType == mh.IDENTITY || p.Codec != cid.Raw && p.Codec != cid.DagProtobuf {
		return
	}
	wt := w.want[c]
	if wt == nil {
		wt = &wanted{}
		w.want[c] = wt
		w.hint(wt, c)
	}
	wt.refs++
	it.wanted = wt
}

func (w *walker) hint(wt *wanted, c cid.Cid) {
	wt.batch = w.batch
	w.hints = append(w.hints, c)
	w.flying++
}

// flush hands the announcements on.
func (w *walker) flush() {
	if len(w.hints) > 0 {
		w.f.Prefetch(w.hints)
		w.hints = nil
		w.batch++
	}
}

// take returns the block of an announced link. A block that is wanted again soon is kept, or announced again.
func (w *walker) take(ctx context.Context, it *item) ([]byte, error) {
	c, wt := it.link.CID, it.wanted
	block := wt.block
	if block == nil {
		if wt.batch == w.batch {
			w.flush()
		}
		var err error
		if block, err = w.f.Block(ctx, c); err != nil {
			return nil, err
		}
		if w.flying--; wt.batch > w.newest {
			w.newest, w.due = wt.batch, 0
		}
	}
	wt.refs--
	switch {
	case wt.refs == 0:
		delete(w.want, c)
		w.kept -= len(wt.block)
	case wt.block != nil:
	case w.kept+len(block) <= aheadKept:
		wt.block = block
		w.kept += len(block)
	default:
		w.hint(wt, c)
	}
	return block, nil
}
