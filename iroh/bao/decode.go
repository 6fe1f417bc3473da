package bao

import (
	"fmt"
	"io"
)

// Kind tells the two items of an encoding apart.
type Kind uint8

// The kinds of an [Item].
const (
	Parent Kind = iota + 1 // a pair: left CV ‖ right CV
	Leaf                   // bytes of the blob
)

// String returns "parent" or "leaf".
func (k Kind) String() string {
	switch k {
	case Parent:
		return "parent"
	case Leaf:
		return "leaf"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Item is a verified part of an encoding.
type Item struct {
	Kind Kind
	// Offset is the first byte of the blob that the item covers; for a leaf, where
	// Data belongs in the blob.
	Offset uint64
	// OutboardOffset is where the pair belongs in the outboard, or -1 for a leaf
	// and for a parent inside a chunk group, which has no place there.
	OutboardOffset int64
	// Data is a 64-byte pair or the bytes of the blob, at most [GroupSize].
	Data []byte
}

// Decoder reads one encoding and yields its items as they verify. Its memory does
// not depend on the claimed size, and it never reads beyond the encoding. It is
// not safe for concurrent use.
type Decoder struct {
	r       io.Reader
	size    uint64
	query   query
	stack   [maxDepth]pending
	depth   int
	err     error
	unread  uint64 // bytes of the encoding that are not in buf yet
	encoded uint64 // bytes of the encoding that were consumed
	buf     []byte
	lo, hi  int // what of buf is filled and not consumed
	scratch [GroupSize]byte
}

// NewDecoder begins to decode the ranges of the blob with that root, whose sender
// claims that size, from r. Nothing is read before the first call of Next. The
// ranges must not change meanwhile. The empty blob has one leaf, of no bytes.
func NewDecoder(r io.Reader, root Hash, size uint64, ranges Ranges) *Decoder {
	d := new(Decoder)
	d.Reset(r, root, size, ranges)
	return d
}

// Reset begins another encoding and keeps the buffer.
func (d *Decoder) Reset(r io.Reader, root Hash, size uint64, ranges Ranges) {
	d.r, d.size, d.encoded, d.lo, d.hi = r, size, 0, 0, 0
	d.err = ranges.Valid()
	if d.err != nil {
		return
	}
	d.query = query{bounds: ranges.Clamp(size)}
	d.unread = EncodedSize(size, ranges)
	d.stack[0] = pending{span: span{0, chunkCount(size)}, cv: loadCV(root[:]), root: true}
	d.depth = 1
}

// Next returns the next item, or io.EOF after the last one; d has then read the
// whole encoding and nothing after it. The item is valid until the next call.
// Errors stay: a [*MismatchError] when an item is not what the root demands, an
// error that wraps io.ErrUnexpectedEOF when the encoding ends early, [ErrRanges],
// or the reader's own error, wrapped.
func (d *Decoder) Next() (Item, error) { return d.next(nil) }

// NextInto is Next, but puts the bytes of a leaf at the beginning of dst, with no
// copy in between as long as only NextInto is used. dst has room for [GroupSize]
// bytes, and it is what the item's Data then points into. What a call that fails
// leaves in dst is not verified.
func (d *Decoder) NextInto(dst []byte) (Item, error) {
	if len(dst) < GroupSize {
		return Item{}, io.ErrShortBuffer
	}
	return d.next(dst)
}

func (d *Decoder) next(dst []byte) (Item, error) {
	for d.err == nil {
		if d.depth == 0 {
			d.err = io.EOF
			break
		}
		d.depth--
		p := &d.stack[d.depth]
		c := d.query.cover(p.span)
		if c == none {
			continue
		}
		var item Item
		if p.span.isLeaf(c) {
			item, d.err = d.leaf(p, dst)
		} else {
			item, d.err = d.parent(p, dst != nil)
		}
		if d.err == nil {
			d.encoded += uint64(len(item.Data))
			return item, nil
		}
	}
	return Item{}, d.err
}

func (d *Decoder) leaf(p *pending, dst []byte) (Item, error) {
	item := Item{Kind: Leaf, Offset: p.span.start * ChunkSize, OutboardOffset: -1}
	n := int(p.span.bytes(d.size))
	var err error
	if dst == nil {
		item.Data, err = d.take(n, decodeSize)
	} else {
		item.Data, err = dst[:n:n], d.takeInto(dst[:n])
	}
	if err != nil {
		return Item{}, d.cut(Leaf, item.Offset, err)
	}
	if groupCV(item.Data, p.span.start, p.root, &d.scratch) != p.cv {
		return Item{}, &MismatchError{Kind: Leaf, Offset: item.Offset, Encoded: d.encoded}
	}
	return item, nil
}

func (d *Decoder) parent(p *pending, exact bool) (Item, error) {
	item := Item{Kind: Parent, Offset: p.span.start * ChunkSize, OutboardOffset: -1}
	ahead := decodeSize
	if exact {
		ahead = pairSize
	}
	var err error
	if item.Data, err = d.take(pairSize, ahead); err != nil {
		return Item{}, d.cut(Parent, item.Offset, err)
	}
	got, left, right := pairCV(item.Data, p.root)
	if got != p.cv {
		return Item{}, &MismatchError{Kind: Parent, Offset: item.Offset, Encoded: d.encoded}
	}
	ls, rs := p.span.split()
	lp, rp := p.pairs+pairSize, p.pairs+rightPairs(ls)
	if p.span.chunks() > groupChunks {
		item.OutboardOffset = int64(p.pairs)
	}
	d.stack[d.depth] = pending{span: rs, cv: right, pairs: rp}
	d.stack[d.depth+1] = pending{span: ls, cv: left, pairs: lp}
	d.depth += 2
	return item, nil
}

func (d *Decoder) cut(k Kind, offset uint64, err error) error {
	return fmt.Errorf("bao: reading %s at byte %d of the blob (byte %d of the encoding): %w", k, offset, d.encoded, err)
}

// take consumes n bytes in place, at most GroupSize. It reads ahead as far as the
// reader gives more at once, up to ahead bytes.
func (d *Decoder) take(n, ahead int) ([]byte, error) {
	if d.hi-d.lo < n {
		if err := d.fill(n, ahead); err != nil {
			return nil, err
		}
	}
	p := d.buf[d.lo : d.lo+n : d.lo+n]
	d.lo += n
	return p, nil
}

// fill reads until n bytes are in the buffer.
func (d *Decoder) fill(n, ahead int) error {
	have := d.hi - d.lo
	want := int(min(uint64(max(n, ahead)), uint64(have)+d.unread))
	if want > len(d.buf) {
		old := d.buf[d.lo:d.hi]
		d.buf = make([]byte, max(want, pairSize))
		copy(d.buf, old)
		d.lo, d.hi = 0, have
	} else if d.lo+want > len(d.buf) {
		copy(d.buf, d.buf[d.lo:d.hi])
		d.lo, d.hi = 0, have
	}
	got, err := io.ReadAtLeast(d.r, d.buf[d.hi:d.lo+want], n-have)
	d.hi += got
	d.unread -= uint64(got)
	return noEOF(err)
}

// takeInto consumes len(dst) bytes, past the buffer where it can.
func (d *Decoder) takeInto(dst []byte) error {
	n := copy(dst, d.buf[d.lo:d.hi])
	d.lo += n
	got, err := io.ReadFull(d.r, dst[n:])
	d.unread -= uint64(got)
	return noEOF(err)
}

// noEOF turns an end of the input into the error that it is inside an encoding.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
