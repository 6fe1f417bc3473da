package layout

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/mapping"
)

// decoder reads records one after the other.
type decoder struct {
	r     *bufio.Reader
	pos   int64 // bytes read
	start int64 // where the record began
	left  uint64
	begun bool

	leaf, node reference
	next       uint64
	length     uint64
	prefix     []byte
	suffix     []byte
	buf        []byte
	cidBuf     [maxCID]byte
}

func newDecoder(r io.ReaderAt, size int64, limits Limits) *decoder {
	return &decoder{
		r:    bufio.NewReaderSize(io.NewSectionReader(r, 0, max(size, 0)), bufferSize),
		left: limits.Records,
	}
}

// bad is an error of the form, in the record that is being read.
func (d *decoder) bad(format string, args ...any) error {
	return d.wrap(fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...)))
}

func (d *decoder) wrap(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Offset: d.start, Err: err}
}

// record reads the next record. It is not called after the End record.
func (d *decoder) record() (Record, error) {
	if !d.begun {
		if err := d.header(); err != nil {
			return Record{}, d.wrap(err)
		}
	}
	d.start = d.pos
	if d.left == 0 {
		return Record{}, d.bad("more records than the limit")
	}
	d.left--
	b, err := d.r.ReadByte()
	if err != nil {
		return Record{}, d.wrap(err)
	}
	d.pos++
	kind, flags := Kind(b&kindMask), b&^kindMask
	rec := Record{Kind: kind}
	switch {
	case kind == Leaf:
		err = d.readLeaf(&rec, flags)
	case kind == Node && flags&^flagPrefix == 0:
		err = d.readNode(&rec, flags)
	case kind == File && flags == 0:
		err = d.readFile(&rec)
	case kind == End && flags == 0:
		err = d.readEnd(&rec)
	default:
		return Record{}, d.bad("record of kind 0x%02x", b)
	}
	if err != nil {
		return Record{}, d.wrap(err)
	}
	return rec, nil
}

func (d *decoder) header() error {
	var m [len(magic)]byte
	if err := d.full(m[:]); err != nil {
		return err
	}
	if string(m[:len(m)-1]) != magic[:len(magic)-1] {
		return d.bad("not a layout")
	}
	if m[len(m)-1] != magic[len(magic)-1] {
		return d.bad("version %d, this program reads 1", m[len(m)-1])
	}
	d.begun = true
	return nil
}

func (d *decoder) readLeaf(rec *Record, flags byte) (err error) {
	if rec.CID, err = d.cid(&d.leaf, flags); err != nil {
		return err
	}
	if rec.Block.Offset, err = d.numberUnless(flags&flagNext != 0, d.next, "offset"); err != nil {
		return err
	}
	if rec.Block.Length, err = d.numberUnless(flags&flagLength != 0, d.length, "length"); err != nil {
		return err
	}
	if flags&flagWrapping == 0 {
		before := [2][]byte{d.prefix, d.suffix}
		if d.prefix, err = d.bytes(nil, mapping.MaxBlock, "prefix"); err != nil {
			return err
		}
		if d.suffix, err = d.bytes(nil, mapping.MaxBlock, "suffix"); err != nil {
			return err
		}
		if bytes.Equal(d.prefix, before[0]) && bytes.Equal(d.suffix, before[1]) {
			return d.bad("prefix and suffix are spelled out and those of the leaf before")
		}
	}
	b := &rec.Block
	b.Multihash, b.Prefix, b.Suffix, b.Blob = rec.CID.Hash(), d.prefix, d.suffix, [32]byte{1}
	if err := b.Check(); err != nil {
		return d.bad("%v", err)
	}
	b.Blob = [32]byte{}
	d.next, d.length = b.Offset+b.Length, b.Length
	return nil
}

func (d *decoder) readNode(rec *Record, flags byte) (err error) {
	if rec.CID, err = d.cid(&d.node, flags); err != nil {
		return err
	}
	rec.Block.Multihash = rec.CID.Hash()
	d.buf, err = d.bytes(d.buf, mapping.MaxBlock, "node")
	rec.Block.Node = d.buf
	return err
}

func (d *decoder) readFile(rec *Record) (err error) {
	if err := d.hash(&rec.Hash); err != nil {
		return err
	}
	if rec.Size, err = d.number(); err != nil {
		return err
	}
	d.next = 0
	b, err := d.bytes(d.cidBuf[:0], maxCID, "CID")
	if err != nil || len(b) == 0 {
		return err
	}
	rec.CID, err = d.parseCID(b)
	return err
}

func (d *decoder) readEnd(rec *Record) (err error) {
	l := &rec.Link
	b, err := d.bytes(d.cidBuf[:0], maxCID, "CID")
	if err != nil {
		return err
	}
	if l.CID, err = d.parseCID(b); err != nil {
		return err
	}
	if err := d.hash(&l.Hash); err != nil {
		return err
	}
	format, err := d.text(maxFormat, "format")
	if err != nil {
		return err
	}
	l.Format = mapping.Format(format)
	if l.Size, err = d.number(); err != nil {
		return err
	}
	if l.Blocks, err = d.number(); err != nil {
		return err
	}
	if l.Profile, err = d.text(mapping.MaxProfile, "profile"); err != nil {
		return err
	}
	n, err := d.number()
	if err != nil {
		return err
	}
	if n > mapping.MaxNotes {
		return d.bad("%d notes", n)
	}
	for range n {
		note, err := d.text(mapping.MaxNote, "note")
		if err != nil {
			return err
		}
		l.Notes = append(l.Notes, note)
	}
	if err := l.Check(); err != nil {
		return d.bad("%v", err)
	}
	if _, err := d.r.ReadByte(); err == nil {
		return &Error{Offset: d.pos, Err: fmt.Errorf("%w: bytes after the end record", ErrFormat)}
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// cid reads the CID of a block.
func (d *decoder) cid(ref *reference, flags byte) (cid.Cid, error) {
	if flags&flagPrefix != 0 {
		if ref.prefix == nil {
			return cid.Undef, d.bad("a digest without a CID before it")
		}
		b := append(d.cidBuf[:0], ref.prefix...)
		b = b[:len(b)+ref.digest]
		if err := d.full(b[len(ref.prefix):]); err != nil {
			return cid.Undef, err
		}
		return d.parseCID(b)
	}
	b, err := d.bytes(d.cidBuf[:0], maxCID, "CID")
	if err != nil {
		return cid.Undef, err
	}
	c, err := d.parseCID(b)
	if err != nil {
		return cid.Undef, err
	}
	if mapping.IsIdentity(c.Hash()) {
		return cid.Undef, d.bad("a block with the identity multihash")
	}
	n := digestSize(c)
	if bytes.Equal(ref.prefix, b[:len(b)-n]) && n == ref.digest {
		return cid.Undef, d.bad("a CID is spelled out and like the one before")
	}
	ref.prefix, ref.digest = append([]byte{}, b[:len(b)-n]...), n
	return c, nil
}

// parseCID parses a whole CID; it copies b.
func (d *decoder) parseCID(b []byte) (cid.Cid, error) {
	n, c, err := cid.CidFromBytes(b)
	if err != nil {
		return cid.Undef, d.bad("CID %x: %v", b, err)
	}
	if n != len(b) {
		return cid.Undef, d.bad("CID %x has %d bytes too many", b, len(b)-n)
	}
	if err := mapping.CheckCID(c); err != nil {
		return cid.Undef, d.bad("%v", err)
	}
	return c, nil
}

// numberUnless reads a number, or returns the implied one if its flag is set.
func (d *decoder) numberUnless(flag bool, implied uint64, what string) (uint64, error) {
	if flag {
		return implied, nil
	}
	v, err := d.number()
	if err == nil && v == implied {
		return 0, d.bad("%s %d is spelled out and implied", what, v)
	}
	return v, err
}

// number reads an unsigned varint of the shortest form.
func (d *decoder) number() (uint64, error) {
	var v uint64
	for shift := 0; ; shift += 7 {
		b, err := d.r.ReadByte()
		if err != nil {
			return 0, err
		}
		d.pos++
		if shift == 63 && b > 1 {
			return 0, d.bad("a number beyond 64 bits")
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if b == 0 && shift > 0 {
				return 0, d.bad("a number with a zero byte too many")
			}
			return v, nil
		}
	}
}

// bytes reads a length and as many bytes, into dst if they fit.
func (d *decoder) bytes(dst []byte, limit uint64, what string) ([]byte, error) {
	n, err := d.number()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, d.bad("%s of %d bytes, at most %d", what, n, limit)
	}
	if uint64(cap(dst)) < n {
		dst = make([]byte, n)
	}
	dst = dst[:n]
	return dst, d.full(dst)
}

func (d *decoder) text(limit uint64, what string) (string, error) {
	b, err := d.bytes(nil, limit, what)
	if err == nil && !utf8.Valid(b) {
		return "", d.bad("%s is not UTF-8", what)
	}
	return string(b), err
}

func (d *decoder) hash(h *[32]byte) error {
	if err := d.full(h[:]); err != nil {
		return err
	}
	if *h == [32]byte{} {
		return d.bad("a hash of zeros")
	}
	return nil
}

// full fills b.
func (d *decoder) full(b []byte) error {
	n, err := io.ReadFull(d.r, b)
	d.pos += int64(n)
	return err
}
