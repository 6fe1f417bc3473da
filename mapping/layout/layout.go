// Package layout is the format of the records that describe a DAG as byte
// ranges of blobs. From them the block rows of a link can be made again at any
// time. A layout is stored as a blob of its own; [mapping.Link.Layout] names it.
//
// # Format
//
//	"brlayout" 1       magic, version
//	records
//	end record
//
// A record starts with a byte: the kind in the low four bits, flags in the high
// four. Numbers are unsigned varints, of the shortest form. bytes are a length
// and as many bytes. A CID is bytes, in binary form, in the version it was given
// in; of length 0 it is no CID.
//
//	1  leaf   [CID, or digest if 0x10] [offset unless 0x20] [length unless 0x40]
//	          [prefix bytes, suffix bytes unless 0x80]
//	2  node   [CID, or digest if 0x10] block bytes
//	3  file   hash (32) · size · CID
//	4  end    CID · hash (32) · format bytes · size · blocks · profile bytes ·
//	          number of notes · notes, each bytes
//
// Flag 0x10 says that the CID is that of the record of the same kind before, but
// for the digest, which follows and is as long. 0x20: the leaf's range starts
// where that of the leaf before it ended, or at 0 for the first of a file. 0x40:
// it is as long as that of the leaf before. 0x80: prefix and suffix are those of
// the leaf before, or empty for the first. A flag that can be set must be, so
// that equal layouts are equal bytes. A leaf costs 33 bytes then.
//
// A file record names the blob that the leaves since the file record before it
// are ranges of: the hash of a blob is known only when its bytes have been seen.
// A reader therefore reads ahead to the file record before it hands out leaves.
// A file record without a CID is a blob that is no file: collection metadata, or
// a block of a DAG that is not UnixFS. The end record is the link itself, so
// that a layout can be found and used without any index. Offsets, lengths and
// sizes are bytes.
//
// CIDs with the identity multihash hold their own bytes: they have no leaf or
// node record, but may be the CID of a file or of the link.
//
// # Trust
//
// Writer and Reader check the form. That a block's bytes are what its CID says
// was checked by who wrote the record, and is checked again by who serves it.
package layout

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/mapping"
)

// ErrFormat says that a layout is not well formed. It is wrapped in [Error].
var ErrFormat = errors.New("malformed layout")

// Error says where in a layout reading ended.
type Error struct {
	// Offset is the position, in bytes, of the record that could not be read.
	Offset int64
	// Err is ErrFormat with a reason, io.ErrUnexpectedEOF, or what the
	// underlying reader said.
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("layout: byte %d: %v", e.Offset, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Kind is the kind of a record.
type Kind uint8

// The kinds of records.
const (
	// Leaf is a block that is a range of the blob of the file record after it.
	Leaf Kind = 1
	// Node is a block with its bytes.
	Node Kind = 2
	// File is a blob, and the CID of the file that it is.
	File Kind = 3
	// End is the link.
	End Kind = 4
)

// Record is one record of a layout.
type Record struct {
	// Kind says which of the other fields are set.
	Kind Kind
	// Block is a Leaf or Node, complete: a leaf has its Blob. Its slices are
	// valid until the next call of Next.
	Block mapping.Block
	// CID names the block, or the file of a File record, where it may be
	// undefined.
	CID cid.Cid
	// Hash and Size are those of the blob of a File record.
	Hash [32]byte
	Size uint64
	// Link is the link of an End record. Its Layout and Created are zero.
	Link mapping.Link
}

const (
	magic = "brlayout\x01"

	kindMask     = 0x0f
	flagPrefix   = 0x10
	flagNext     = 0x20
	flagLength   = 0x40
	flagWrapping = 0x80
)

// Replay puts the rows and references of a layout into a transaction and
// returns the link, for the caller to set Layout and Created and to commit.
func Replay(r *Reader, tx mapping.Tx) (mapping.Link, error) {
	for {
		rec, err := r.Next()
		if err != nil {
			return mapping.Link{}, err
		}
		switch rec.Kind {
		case Leaf, Node:
			err = tx.Block(rec.Block)
		case File:
			err = tx.Ref(rec.Hash, rec.CID)
		case End:
			return rec.Link, nil
		}
		if err != nil {
			return mapping.Link{}, err
		}
	}
}
