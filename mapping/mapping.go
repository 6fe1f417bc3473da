// Package mapping says which IPFS block is which bytes of which blob.
//
// # Words
//
// A link is one row: a root CID and the blob (or collection, or hash
// sequence) that holds the same content. A block row is derived from a link's
// layout: it says that the block with some multihash is a byte range of a
// blob, between a short prefix and suffix, or, for an interior node, the
// block's own bytes. A reference says that a link needs a blob, and, where the
// blob's bytes are a file, which CID names that file.
//
// # Names and units
//
// A hash is the 32-byte BLAKE3 root that names a blob. Offsets and lengths are
// bytes of the blob. Blocks are found by multihash alone: a block's codec and
// the version of the CID do not matter, since they do not change its bytes.
// Links and files are found by codec and multihash, so that a CIDv0 and the
// CIDv1 that says the same (dag-pb) are one link. Text forms of CIDs are not
// unique and are never a key. CIDs with the identity multihash hold their own
// bytes and have no block row.
//
// # What a store promises
//
// A link and its rows become visible together, when [Tx.Commit] returns, and
// are durable then. They become invisible together when [Store.Delete] returns
// or when a link of the same CID is committed. What a crash cut short is never
// visible. Each link owns its rows: two links may hold the same block, and
// deleting one leaves the other whole.
//
// # Trust
//
// A store keeps what it is told. It checks shapes and limits, not content: who
// writes rows has verified the block against its CID, and who serves a block
// verifies the bytes it read against the multihash it was asked for.
package mapping

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// Errors that callers branch on. Stores return them wrapped.
var (
	// ErrNotFound says that no live link has the block, link or file.
	ErrNotFound = errors.New("mapping: not found")
	// ErrClosed says that the store or the transaction is closed.
	ErrClosed = errors.New("mapping: closed")
	// ErrInvalid says that a row has a shape that no store may keep. The text
	// names what is wrong.
	ErrInvalid = errors.New("mapping: invalid row")
)

// Format says what kind of content a link's hash names. The values are part of
// the HTTP API and of the layout format.
type Format string

// The formats of a link.
const (
	// FormatBlob is one blob: the bytes of a file.
	FormatBlob Format = "blob"
	// FormatCollection is a hash sequence whose first child names the others:
	// a folder.
	FormatCollection Format = "collection"
	// FormatHashSeq is a hash sequence without names: any other DAG.
	FormatHashSeq Format = "hashseq"
)

// Link is one row of the mapping: a root CID and the blob that holds the same
// content.
type Link struct {
	// CID is the root, in the version it came with.
	CID cid.Cid
	// Hash names the blob, or the hash sequence of a folder or DAG.
	Hash [32]byte
	// Format says which of these it is.
	Format Format
	// Size is the number of content bytes: of the file, or of all files.
	Size uint64
	// Blocks is the number of blocks of the DAG.
	Blocks uint64
	// Layout names the blob with the layout records of the link (see package
	// layout). It is zero for a link without rows.
	Layout [32]byte
	// Profile is the UnixFS profile that made the DAG, or empty when the shape
	// is not ours.
	Profile string
	// Created is when the link was committed first, in UTC, whole milliseconds.
	Created time.Time
	// Notes say, for people, what of the DAG a collection cannot hold: empty
	// folders, symlinks, modes, times. At most MaxNotes of MaxNote bytes.
	Notes []string
}

// Block is one block of a DAG. It is either an interior node, with the bytes
// in Node, or a leaf, with the bytes Prefix, then Length bytes of Blob from
// Offset, then Suffix. See [Block.IsNode].
type Block struct {
	// Multihash names the block, as bytes.
	Multihash mh.Multihash
	// Node is the block itself. It may be empty: the dag-pb node without links
	// and data has no bytes.
	Node []byte
	// Blob is the blob that has a leaf's bytes. It is zero for a node.
	Blob [32]byte
	// Offset and Length are the leaf's range of the blob, in bytes.
	Offset, Length uint64
	// Prefix and Suffix are the bytes around the range when the leaf is wrapped
	// in dag-pb.
	Prefix, Suffix []byte
}

// IsNode tells whether the block's bytes are in Node. A block without a blob
// is a node, possibly an empty one.
func (b Block) IsNode() bool { return b.Blob == [32]byte{} }

// Size is the length of the block in bytes.
func (b Block) Size() uint64 {
	if b.IsNode() {
		return uint64(len(b.Node))
	}
	return uint64(len(b.Prefix)) + b.Length + uint64(len(b.Suffix))
}

// Ref says that the bytes of a blob are the file that CID names, in a link.
type Ref struct {
	// Hash names the blob.
	Hash [32]byte
	// CID names the file. It is the link's own CID for what Link.Hash names.
	CID cid.Cid
	// Link is the root CID of the link that the file is in.
	Link cid.Cid
}

// Store is the mapping. All methods are safe for concurrent use. Errors wrap
// [ErrNotFound], [ErrClosed] or [ErrInvalid] where that is the case.
type Store interface {
	// Begin starts a transaction. Any number may run at once.
	Begin(ctx context.Context) (Tx, error)
	// Block finds a block of any live link by its multihash. It is one point
	// read. The result is the caller's.
	Block(ctx context.Context, m mh.Multihash) (Block, error)
	// Link finds a link by its root CID.
	Link(ctx context.Context, c cid.Cid) (Link, error)
	// Links goes over all links, in no particular order. A link that is
	// committed or deleted meanwhile may or may not be among them. After an
	// error it stops.
	Links(ctx context.Context) iter.Seq2[Link, error]
	// File finds the blob that has the bytes of the file with this root CID,
	// be the file a link or inside one.
	File(ctx context.Context, c cid.Cid) (Ref, error)
	// Refs lists every CID known for a blob hash, once for each link, at most
	// MaxRefs. It is empty, without an error, when there are none.
	Refs(ctx context.Context, hash [32]byte) ([]Ref, error)
	// Delete makes a link and its rows invisible, durably.
	Delete(ctx context.Context, c cid.Cid) error
	// Purge removes what deleted links, aborted transactions and crashes left
	// behind. It calls orphan for each blob hash that one of these referred to
	// and no live link or running transaction refers to; a [Tx.Ref] of that
	// hash waits meanwhile, so the blob may be removed in orphan. After a crash
	// or an error orphan may be called again for the same hash. orphan must not
	// call Ref, Commit or Purge. An error of orphan ends Purge, and is returned
	// wrapped.
	Purge(ctx context.Context, orphan func(hash [32]byte) error) error
	// Orphans calls yield for each blob hash for which Purge would call orphan
	// now. It locks nothing and changes nothing: an orphan may be referred to
	// again at any time. An error of yield ends it, and is returned wrapped.
	Orphans(ctx context.Context, yield func(hash [32]byte) error) error
	// Referenced tells whether a live link or a running transaction refers to
	// a blob.
	Referenced(ctx context.Context, hash [32]byte) (bool, error)
	// Close closes the store. Running transactions are lost, as in a crash.
	Close() error
}

// Tx writes the rows of one link. Its methods are safe for concurrent use.
// Every transaction ends in Commit or Abort.
type Tx interface {
	// Block adds a block row. Rows are buffered and flushed in bounded batches,
	// and invisible until Commit. A row with the same multihash as an earlier
	// one of the transaction replaces it. A block with the identity multihash
	// has no row and is passed over. The caller may change b's slices
	// afterwards.
	Block(b Block) error
	// Ref says that the link needs the blob, and that the blob's bytes are the
	// file that the CID names; cid.Undef when they are no file (layout,
	// collection metadata, hash sequence). From the moment Ref returns
	// [Store.Referenced] is true for the hash. Call it before relying on the
	// blob being there: a Purge may be about to remove it.
	Ref(hash [32]byte, file cid.Cid) error
	// Commit makes the link and the rows visible, in place of an older link of
	// the same CID, and returns when they are durable. It refers to the link's
	// Hash and Layout as well. The transaction is over, also after an error;
	// after an error it is unknown whether the link is there.
	Commit(ctx context.Context, l Link) error
	// Abort ends the transaction without a link. After Commit or Abort it does
	// nothing, so that it can be deferred.
	Abort() error
}
