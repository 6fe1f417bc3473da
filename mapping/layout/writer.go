package layout

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/mapping"
)

// Writer writes a layout. After an error it only repeats it. It is not safe for
// concurrent use.
type Writer struct {
	w   *bufio.Writer
	buf []byte
	err error
	// leaf and node hold what flags refer to.
	leaf, node reference
	next       uint64 // end of the last leaf of the open file
	length     uint64
	prefix     []byte
	suffix     []byte
	end        uint64 // highest end of a leaf of the open file
	open       bool   // leaves wait for their file record
}

// reference is the CID of the last record of a kind, without its digest.
type reference struct {
	prefix []byte
	digest int
}

// split returns the CID's bytes without the digest, and the digest.
func split(c cid.Cid) (prefix, digest []byte, err error) {
	if err := mapping.CheckCID(c); err != nil {
		return nil, nil, err
	}
	b := c.Bytes()
	n := digestSize(c)
	return b[:len(b)-n], b[len(b)-n:], nil
}

// digestSize is the length of the digest of a CID that was checked.
func digestSize(c cid.Cid) int { return c.Prefix().MhLength }

// NewWriter returns a writer of a layout to w.
func NewWriter(w io.Writer) *Writer {
	out := &Writer{w: bufio.NewWriterSize(w, bufferSize)}
	_, out.err = out.w.WriteString(magic)
	return out
}

// fail keeps the first error.
func (w *Writer) fail(err error) error {
	if w.err == nil && err != nil {
		w.err = fmt.Errorf("layout: %w", err)
	}
	return w.err
}

// emit writes the record in buf.
func (w *Writer) emit() error {
	if w.err != nil {
		return w.err
	}
	_, err := w.w.Write(w.buf)
	return w.fail(err)
}

func (w *Writer) number(v uint64)  { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *Writer) bytes(b []byte)   { w.number(uint64(len(b))); w.buf = append(w.buf, b...) }
func (w *Writer) start(b byte)     { w.buf = append(w.buf[:0], b) }
func (w *Writer) flag(f byte)      { w.buf[0] |= f }
func (w *Writer) hash(h *[32]byte) { w.buf = append(w.buf, h[:]...) }
func identity(c cid.Cid) bool      { return c.Defined() && mapping.IsIdentity(c.Hash()) }

// cid appends a block's CID, or its digest alone.
func (w *Writer) cid(ref *reference, c cid.Cid) error {
	prefix, digest, err := split(c)
	if err != nil {
		return w.fail(err)
	}
	if bytes.Equal(prefix, ref.prefix) && len(digest) == ref.digest {
		w.flag(flagPrefix)
		w.buf = append(w.buf, digest...)
		return nil
	}
	ref.prefix, ref.digest = append(ref.prefix[:0], prefix...), len(digest)
	w.bytes(c.Bytes())
	return nil
}

// Leaf writes a leaf block: the CID, its range of the blob that the next File
// names, and the bytes around it. A CID with the identity multihash is passed
// over.
func (w *Writer) Leaf(c cid.Cid, offset, length uint64, prefix, suffix []byte) error {
	if w.err != nil || identity(c) {
		return w.err
	}
	b := mapping.Block{
		Multihash: c.Hash(), Blob: [32]byte{1}, Offset: offset, Length: length, Prefix: prefix, Suffix: suffix,
	}
	if err := b.Check(); err != nil {
		return w.fail(err)
	}
	w.start(byte(Leaf))
	if err := w.cid(&w.leaf, c); err != nil {
		return err
	}
	if offset == w.next {
		w.flag(flagNext)
	} else {
		w.number(offset)
	}
	if length == w.length {
		w.flag(flagLength)
	} else {
		w.number(length)
	}
	if bytes.Equal(prefix, w.prefix) && bytes.Equal(suffix, w.suffix) {
		w.flag(flagWrapping)
	} else {
		w.bytes(prefix)
		w.bytes(suffix)
		w.prefix, w.suffix = append(w.prefix[:0], prefix...), append(w.suffix[:0], suffix...)
	}
	w.next, w.length, w.open = offset+length, length, true
	w.end = max(w.end, w.next)
	return w.emit()
}

// Node writes a block with its bytes. A CID with the identity multihash is
// passed over.
func (w *Writer) Node(c cid.Cid, block []byte) error {
	if w.err != nil || identity(c) {
		return w.err
	}
	if len(block) > mapping.MaxBlock {
		return w.fail(fmt.Errorf("%w: block %s of %d bytes", mapping.ErrInvalid, c, len(block)))
	}
	w.start(byte(Node))
	if err := w.cid(&w.node, c); err != nil {
		return err
	}
	w.bytes(block)
	return w.emit()
}

// File writes the blob that the leaves since the last File are ranges of, its
// size, and the CID of the file that its bytes are; cid.Undef when they are no
// file.
func (w *Writer) File(hash [32]byte, size uint64, c cid.Cid) error {
	if w.err != nil {
		return w.err
	}
	if c.Defined() {
		if err := mapping.CheckCID(c); err != nil {
			return w.fail(err)
		}
	}
	if hash == [32]byte{} {
		return w.fail(fmt.Errorf("%w: file %s has no hash", mapping.ErrInvalid, c))
	}
	if w.end > size {
		return w.fail(fmt.Errorf("%w: a leaf ends at byte %d of a file of %d", mapping.ErrInvalid, w.end, size))
	}
	w.start(byte(File))
	w.hash(&hash)
	w.number(size)
	w.bytes(c.Bytes())
	w.next, w.end, w.open = 0, 0, false
	return w.emit()
}

// Close writes the link and ends the layout. It does not close the underlying
// writer. Layout and Created of the link are not written.
func (w *Writer) Close(l mapping.Link) error {
	if w.err != nil {
		return w.err
	}
	if w.open {
		return w.fail(fmt.Errorf("%w: leaves without a file", mapping.ErrInvalid))
	}
	if err := l.Check(); err != nil {
		return w.fail(err)
	}
	w.start(byte(End))
	w.bytes(l.CID.Bytes())
	w.hash(&l.Hash)
	w.bytes([]byte(l.Format))
	w.number(l.Size)
	w.number(l.Blocks)
	w.bytes([]byte(l.Profile))
	w.number(uint64(len(l.Notes)))
	for _, n := range l.Notes {
		w.bytes([]byte(n))
	}
	if err := w.emit(); err != nil {
		return err
	}
	if err := w.w.Flush(); err != nil {
		return w.fail(err)
	}
	w.err = errors.New("layout: written to after Close")
	return nil
}
