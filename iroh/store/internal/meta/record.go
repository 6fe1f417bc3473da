package meta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Kind is the first byte of a record.
type Kind byte

// The kinds of record.
const (
	Inline  Kind = 1 // the rest of the record is the blob
	Stored  Kind = 2 // data in our own file
	InPlace Kind = 3 // data in a file of the user
	Partial Kind = 4 // some groups of the data in our own file
)

// Record is what the database says about one blob. A record that was
// published is never changed.
type Record struct {
	Kind    Kind
	Size    uint64
	Source  Source     // in place
	Groups  bao.Ranges // partial: chunks that are there, whole groups
	Pairs   bao.Ranges // partial: hash pairs that are there, by index in the outboard
	Payload []byte     // inline: the blob; otherwise the inline outboard, if it is one
}

// Source is where the bytes of an in-place blob are and how the file looked
// when they were hashed.
type Source struct {
	Path  string // absolute
	Ident Ident
}

// Ident is what must not change about a file for its bytes to be trusted to be
// those that were hashed.
type Ident struct {
	Size  int64
	Mtime int64 // nanoseconds since 1970
	Ctime int64 // nanoseconds since 1970, 0 where the system has none
	Inode uint64
}

// Is reports whether the file is the one that was added, unchanged.
func (s *Source) Is(info os.FileInfo) bool {
	return info.Mode().IsRegular() && IdentOf(info) == s.Ident
}

// ErrChanged says that a file is no longer the one that was added.
var ErrChanged = errors.New("store: file was changed since it was added")

// Check judges what stat said about the file. The error is an [ErrChanged].
func (s *Source) Check(info os.FileInfo, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrChanged, err)
	case !s.Is(info):
		return fmt.Errorf("%w: %s", ErrChanged, s.Path)
	}
	return nil
}

// Bounds of records, which come from a disk that may be damaged.
const (
	// MaxSize is the largest blob. Up to here no arithmetic on sizes, offsets
	// and outboard offsets overflows an int64.
	MaxSize = 1 << 60

	// MaxInline is the largest blob that is kept in a record: one chunk group,
	// so an inline blob never has an outboard.
	MaxInline = bao.GroupSize

	// MaxInlineOutboard is the largest outboard that is kept in a record: a
	// blob of up to 257 groups (4 MiB) needs one file, not two. Both bounds
	// keep the values small that the database holds in memory and rewrites.
	MaxInlineOutboard = 16 << 10

	// MaxBoundaries bounds each range list of a partial blob (one record of a
	// megabyte or two). Ranges are chosen by this side; more would mean a blob
	// fetched in hundreds of thousands of separate places.
	MaxBoundaries = 1 << 18

	// MaxPath bounds the path of an in-place blob.
	MaxPath = 32 << 10
)

var errRecord = errors.New("store: unreadable record")

// Complete reports whether the whole blob is there.
func (r *Record) Complete() bool { return r.Kind != Partial }

// DataFile reports whether the data is in a file of ours.
func (r *Record) DataFile() bool { return r.Kind == Stored || r.Kind == Partial }

// OutboardFile reports whether the outboard is in a file.
func (r *Record) OutboardFile() bool {
	return r.Kind > Inline && bao.OutboardSize(r.Size) > MaxInlineOutboard
}

// Files reports whether anything is in a file of ours; the zero record has none.
func (r *Record) Files() bool { return r.DataFile() || r.OutboardFile() }

// append encodes the record:
//
//	inline    01 data...
//	stored    02 uvarint size, outboard...
//	in place  03 uvarint size, uvarint n, n bytes of path, varint mtime ns,
//	             varint ctime ns, uvarint inode, outboard...
//	partial   04 uvarint size, boundaries of groups, boundaries of pairs, outboard...
//
// Boundaries are a uvarint count and the differences from one to the next as
// uvarints. The outboard is empty when it is in a file.
func (r *Record) append(b []byte) []byte {
	b = append(b, byte(r.Kind))
	if r.Kind != Inline {
		b = binary.AppendUvarint(b, r.Size)
	}
	switch r.Kind {
	case InPlace:
		b = binary.AppendUvarint(b, uint64(len(r.Source.Path)))
		b = append(b, r.Source.Path...)
		b = binary.AppendVarint(b, r.Source.Ident.Mtime)
		b = binary.AppendVarint(b, r.Source.Ident.Ctime)
		b = binary.AppendUvarint(b, r.Source.Ident.Inode)
	case Partial:
		b = appendBoundaries(b, r.Groups)
		b = appendBoundaries(b, r.Pairs)
	}
	return append(b, r.Payload...)
}

// length is the length of what append adds.
func (r *Record) length() int {
	if r.Kind == Inline {
		return 1 + len(r.Payload)
	}
	return len(r.append(nil))
}

// ParseRecord decodes a record. The payload is a part of b.
func ParseRecord(b []byte) (Record, error) {
	if len(b) == 0 {
		return Record{}, errRecord
	}
	p := parser{b: b[1:]}
	r := Record{Kind: Kind(b[0])}
	if r.Kind == Inline {
		r.Size, r.Payload = uint64(len(p.b)), p.b
		if r.Size > MaxInline {
			return Record{}, fmt.Errorf("%w: inline blob of %d bytes", errRecord, r.Size)
		}
		return r, nil
	}
	r.Size = p.uvarint()
	if r.Size > MaxSize {
		return Record{}, fmt.Errorf("%w: size %d", errRecord, r.Size)
	}
	switch r.Kind {
	case Stored:
	case InPlace:
		r.Source.Path = string(p.bytes(MaxPath))
		r.Source.Ident.Size = int64(r.Size)
		r.Source.Ident.Mtime = p.varint()
		r.Source.Ident.Ctime = p.varint()
		r.Source.Ident.Inode = p.uvarint()
	case Partial:
		r.Groups = p.boundaries()
		r.Pairs = p.boundaries()
	default:
		return Record{}, fmt.Errorf("%w: kind %d", errRecord, r.Kind)
	}
	r.Payload = p.b
	want := bao.OutboardSize(r.Size)
	if want > MaxInlineOutboard {
		want = 0
	}
	if p.bad || uint64(len(r.Payload)) != want {
		return Record{}, fmt.Errorf("%w: %d bytes", errRecord, len(b))
	}
	return r, nil
}

func appendBoundaries(b []byte, r bao.Ranges) []byte {
	b = binary.AppendUvarint(b, uint64(len(r)))
	last := uint64(0)
	for _, x := range r {
		b = binary.AppendUvarint(b, x-last)
		last = x
	}
	return b
}

// parser takes fields off the front of b; after the first bad one every field
// is zero.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) skip(n int) {
	if n <= 0 || p.bad {
		p.bad, p.b = true, nil
		return
	}
	p.b = p.b[n:]
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	if p.skip(n); p.bad {
		return 0
	}
	return v
}

func (p *parser) varint() int64 {
	v, n := binary.Varint(p.b)
	if p.skip(n); p.bad {
		return 0
	}
	return v
}

func (p *parser) bytes(limit uint64) []byte {
	n := p.uvarint()
	if n > limit || n > uint64(len(p.b)) {
		p.bad = true
		return nil
	}
	v := p.b[:n]
	p.b = p.b[n:]
	return v
}

// boundaries decodes a range list: strictly rising, an even count.
func (p *parser) boundaries() bao.Ranges {
	n := p.uvarint()
	if n > MaxBoundaries || n > uint64(len(p.b)) || n%2 != 0 {
		p.bad = true
		return nil
	}
	r := make(bao.Ranges, 0, n)
	last := uint64(0)
	for i := range n {
		d := p.uvarint()
		if p.bad || (d == 0 && i > 0) || d > MaxSize || last+d > MaxSize {
			p.bad = true
			return nil
		}
		last += d
		r = append(r, last)
	}
	return r
}
