package bao

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// Encode writes the encoding of the ranges of the blob with that root and size to
// w, without the size header. See [Encoder.Encode].
func Encode(w io.Writer, root Hash, size uint64, data, outboard io.ReaderAt, r Ranges) error {
	var e Encoder
	return e.Encode(w, root, size, data, outboard, r)
}

// Encoder writes encodings. It keeps its buffers, at most about 600 KiB, from one
// blob to the next. The zero value is ready; it is not safe for concurrent use.
type Encoder struct {
	w        io.Writer // nil: verify only
	found    *Ranges   // if not nil, groups that verify; what does not is passed over
	size     uint64
	data     runReader
	outboard runReader
	query    query
	stack    [maxDepth]pending
	depth    int
	out      []byte
	scratch  [GroupSize]byte
}

// pending is a subtree that the walk has yet to visit.
type pending struct {
	span  span
	cv    cv     // what it must hash to
	pairs uint64 // where its pairs begin in the outboard
	root  bool
}

// Encode writes the encoding of the ranges of the blob with that root and size to
// w, without the size header. data holds the blob, outboard its pairs (nil will
// do for blobs of one chunk group). Of the data only the groups that the ranges
// touch are read, in runs of up to 256 KiB where they are neighbours. Every pair
// and every chunk group is checked against the root before it is written; what
// does not match or cannot be read is a [*CorruptError], and all that comes before
// it in the encoding has then been written. Other errors: [ErrRanges], [ErrSize],
// and whatever w returns, wrapped.
func (e *Encoder) Encode(w io.Writer, root Hash, size uint64, data, outboard io.ReaderAt, r Ranges) error {
	e.w, e.found = w, nil
	return e.run(root, size, data, outboard, r)
}

func (e *Encoder) run(root Hash, size uint64, data, outboard io.ReaderAt, r Ranges) error {
	if err := r.Valid(); err != nil {
		return err
	}
	if size > math.MaxInt64 {
		return ErrSize
	}
	e.size = size
	e.data.reset(data)
	e.outboard.reset(outboard)
	e.query = query{bounds: r.Clamp(size)}
	e.out = e.out[:0]
	if e.w != nil {
		e.reserve(EncodedSize(size, r))
	}
	e.stack[0] = pending{span: span{0, chunkCount(size)}, cv: loadCV(root[:]), root: true}
	e.depth = 1
	err := e.walk()
	// What was verified before an error is still worth having.
	if werr := e.flush(); err == nil {
		err = werr
	}
	e.w, e.data.r, e.outboard.r, e.query.bounds = nil, nil, nil, nil
	return err
}

// reserve makes the output buffer as large as the encoding, up to writeSize.
func (e *Encoder) reserve(n uint64) {
	if n = min(n, writeSize); uint64(cap(e.out)) < n {
		e.out = make([]byte, 0, n)
	}
}

func (e *Encoder) walk() error {
	for e.depth > 0 {
		e.depth--
		p := &e.stack[e.depth]
		c := e.query.cover(p.span)
		var err error
		switch {
		case c == none:
		case p.span.chunks() <= groupChunks:
			err = e.group(p, c)
		default:
			err = e.parent(p, c)
		}
		if err != nil && (e.found == nil || !errors.Is(err, ErrCorrupt)) {
			return err
		}
	}
	return nil
}

// parent checks and writes one pair of the outboard and puts its children on the
// stack, in p's place.
func (e *Encoder) parent(p *pending, c coverage) error {
	ahead := uint64(pathReadSize)
	if c == whole {
		ahead = pairsReadSize
	}
	pair, err := e.outboard.read(p.pairs, pairSize, min(p.span.pairs(), ahead))
	if err != nil {
		return &CorruptError{Kind: Parent, Offset: p.pairs, Err: err}
	}
	got, left, right := pairCV(pair, p.root)
	if got != p.cv {
		return &CorruptError{Kind: Parent, Offset: p.pairs, Err: ErrHashMismatch}
	}
	if err := e.emit(pair); err != nil {
		return err
	}
	ls, rs := p.span.split()
	lp, rp := p.pairs+pairSize, p.pairs+rightPairs(ls)
	e.stack[e.depth] = pending{span: rs, cv: right, pairs: rp}
	e.stack[e.depth+1] = pending{span: ls, cv: left, pairs: lp}
	e.depth += 2
	return nil
}

// group checks one chunk group and writes the selected part of it.
func (e *Encoder) group(p *pending, c coverage) error {
	offset := p.span.start * ChunkSize
	need := p.span.bytes(e.size)
	end := min(e.query.runEnd(p.span), chunkCount(e.size))
	run := span{p.span.start, min((end+groupChunks-1)/groupChunks*groupChunks, chunkCount(e.size))}
	data, err := e.data.read(offset, need, min(run.bytes(e.size), readSize))
	if err != nil {
		return &CorruptError{Kind: Leaf, Offset: offset, Err: err}
	}
	if c == whole {
		if groupCV(data, p.span.start, p.root, &e.scratch) != p.cv {
			return &CorruptError{Kind: Leaf, Offset: offset, Err: ErrHashMismatch}
		}
		e.verified(p.span)
		return e.emit(data)
	}
	var in inner
	in.hash(data, p.span.start)
	if in.cv(p.span, p.root) != p.cv {
		return &CorruptError{Kind: Leaf, Offset: offset, Err: ErrHashMismatch}
	}
	e.verified(p.span)
	return e.part(&in, p.span, data)
}

// verified notes a group for [Verified].
func (e *Encoder) verified(s span) {
	if e.found == nil {
		return
	}
	f := *e.found
	if n := len(f); n > 0 && f[n-1] == s.start {
		f[n-1] = s.end
	} else {
		f = append(f, s.start, s.end)
	}
	*e.found = f
}

// part writes the selected part of a verified subtree inside a group.
func (e *Encoder) part(in *inner, s span, data []byte) error {
	c := e.query.cover(s)
	switch {
	case c == none:
		return nil
	case s.isLeaf(c):
		return e.emit(data)
	}
	left, right := s.split()
	var pair [pairSize]byte
	storeCV(pair[:], in.cv(left, false))
	storeCV(pair[32:], in.cv(right, false))
	if err := e.emit(pair[:]); err != nil {
		return err
	}
	mid := left.chunks() * ChunkSize
	if err := e.part(in, left, data[:mid]); err != nil {
		return err
	}
	return e.part(in, right, data[mid:])
}

func (e *Encoder) emit(p []byte) error {
	if e.w == nil {
		return nil
	}
	if len(p) > cap(e.out)-len(e.out) {
		if err := e.flush(); err != nil {
			return err
		}
	}
	e.out = append(e.out, p...)
	return nil
}

func (e *Encoder) flush() error {
	if len(e.out) == 0 {
		return nil
	}
	_, err := e.w.Write(e.out)
	e.out = e.out[:0]
	if err != nil {
		return fmt.Errorf("bao: writing encoding: %w", err)
	}
	return nil
}

// inner holds the chunk hashes of one chunk group, of which there is no outboard.
type inner struct {
	start uint64
	cvs   [groupChunks]cv
}

func (in *inner) hash(data []byte, chunk uint64) {
	in.start = chunk
	for i := 0; i == 0 || len(data) > 0; i++ {
		n := min(len(data), ChunkSize)
		in.cvs[i] = groupCV(data[:n], chunk+uint64(i), false, nil)
		data = data[n:]
	}
}

// cv returns the hash of a subtree of more than one chunk, or of one chunk that
// is not the whole blob.
func (in *inner) cv(s span, root bool) cv {
	if s.chunks() == 1 {
		return in.cvs[s.start-in.start]
	}
	left, right := s.split()
	return parentCV(in.cv(left, false), in.cv(right, false), root)
}

// runReader reads ahead in a ReaderAt whose wanted parts ascend.
type runReader struct {
	r     io.ReaderAt
	buf   []byte // what was read; buf[0] is at offset begin
	begin uint64
}

func (b *runReader) reset(r io.ReaderAt) {
	b.r, b.buf, b.begin = r, b.buf[:0], 0
}

// read returns need bytes at offset. If they are not in the buffer it reads up to
// ahead bytes, need or more, in one call. Failing to read ahead is no error.
func (b *runReader) read(offset, need, ahead uint64) ([]byte, error) {
	if offset >= b.begin && offset+need <= b.begin+uint64(len(b.buf)) {
		at := offset - b.begin
		return b.buf[at : at+need], nil
	}
	if need == 0 {
		return nil, nil
	}
	if b.r == nil {
		return nil, io.ErrUnexpectedEOF
	}
	if uint64(cap(b.buf)) < ahead {
		b.buf = make([]byte, ahead)
	}
	b.begin, b.buf = offset, b.buf[:ahead]
	n, err := b.r.ReadAt(b.buf, int64(offset))
	if uint64(n) < need && ahead > need {
		n, err = b.r.ReadAt(b.buf[:need], int64(offset))
	}
	b.buf = b.buf[:n]
	switch {
	case uint64(n) >= need:
		return b.buf[:need], nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}
