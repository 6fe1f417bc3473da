// Package recording gathers one link while content comes in: the layout's records, and the files that make up the
// collection. What adds, exposes and imports has this in common.
//
// A [Recording] is the sink of the UnixFS builders. Its commit stores the layout as a blob, fills the index by replaying
// it, just as a rebuild does, makes the store durable, and with one small write lets the link be seen. Before that nothing
// is visible; what a crash leaves is swept by the mapping's purge, since every blob is referred to before it is relied on.
package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/layout"
)

// ErrContent says that content cannot be linked as it is: names, nesting, or a root that is neither file nor folder.
var ErrContent = errors.New("content refused")

// A Recording is one link in the making. Leaves between [Recording.BeginFile] and [Recording.EndFile] are ranges of that
// file's blob. It is for one goroutine.
type Recording struct {
	store    *store.Store
	register *Register
	profile  *unixfs.Profile // nil for an import, whose shape is not ours
	tx       mapping.Tx
	spool    *store.Spool
	layout   *layout.Writer
	done     bool

	files []namedBlob

	size, blocks uint64
	entries      int
	notes        []string
	unsaid       int // notes beyond the limit
}

// A namedBlob is one file of the tree.
type namedBlob struct {
	path string
	hash bao.Hash
}

// Begin begins a link. profile is how its files are laid out; nil for an import, whose blocks are given.
func Begin(ctx context.Context, g *Register, profile *unixfs.Profile) (*Recording, error) {
	tx, err := g.mapping.Begin(ctx)
	if err != nil {
		return nil, err
	}
	spool, err := g.store.NewSpool()
	if err != nil {
		return nil, errors.Join(err, tx.Abort())
	}
	return &Recording{store: g.store, register: g, profile: profile, tx: tx, spool: spool, layout: layout.NewWriter(spool)}, nil
}

// End lets go of everything that was not committed, and tells whether it was. It is deferred.
func (r *Recording) End() (committed bool, err error) {
	if r.done {
		return true, nil
	}
	r.spool.Abort()
	return false, r.tx.Abort()
}

// Profile is how files are laid out, nil for an import.
func (r *Recording) Profile() *unixfs.Profile { return r.profile }

// Count adds to the files, folders and symlinks of the tree, and fails when there are too many.
func (r *Recording) Count(n int) error {
	if r.entries += n; r.entries > MaxEntries {
		return fmt.Errorf("%w: more than %d files and folders in one tree", ErrContent, MaxEntries)
	}
	return nil
}

// Note remembers, for people, what a collection cannot say.
func (r *Recording) Note(text string) {
	if len(r.notes) < mapping.MaxNotes-1 {
		r.notes = append(r.notes, text)
		return
	}
	r.unsaid++
}

// Hold keeps a blob from being purged while the recording runs, and afterwards as long as the link lives.
func (r *Recording) Hold(hash bao.Hash) error { return r.tx.Ref(hash, cid.Undef) }

// A File is one whose blocks come in. For an import, whose blocks are given, Root is set before the end.
type File struct {
	Root    cid.Cid
	size    uint64
	builder *unixfs.FileBuilder // nil for an import
}

// BeginFile begins a file of size bytes.
func (r *Recording) BeginFile(size uint64) *File {
	f := &File{size: size}
	if r.profile != nil {
		f.builder = unixfs.NewFile(*r.profile, r)
	}
	return f
}

// Add lays out the next leaves.
func (f *File) Add(leaves []unixfs.Leaf) error {
	for _, l := range leaves {
		if err := f.builder.Add(l); err != nil {
			return err
		}
	}
	return nil
}

// A Blob is one whose bytes are all there: what the store's writer is by then.
type Blob interface {
	Root() (bao.Hash, error)
	Commit(ctx context.Context) (bao.Hash, error)
}

// EndFile records a file whose bytes are all there. The link takes its reference before the blob becomes part of the
// store, so that no purge comes in between.
func (r *Recording) EndFile(ctx context.Context, name string, f *File, blob Blob) (unixfs.Entry, error) {
	entry := unixfs.Entry{CID: f.Root, Size: f.size, Kind: unixfs.KindFile}
	var err error
	if f.builder != nil {
		if entry, err = f.builder.Finish(); err != nil {
			return entry, err
		}
	}
	hash, err := blob.Root()
	if err != nil {
		return entry, err
	}
	if err := r.tx.Ref(hash, entry.CID); err != nil {
		return entry, err
	}
	if _, err := blob.Commit(ctx); err != nil {
		return entry, err
	}
	if err := r.layout.File(hash, f.size, entry.CID); err != nil {
		return entry, err
	}
	r.size += f.size
	r.files = append(r.files, namedBlob{name, hash})
	return entry, ctx.Err()
}

// Leaf implements unixfs.Sink. Bytes that stand in a CID or in a node are no block of their own.
func (r *Recording) Leaf(l unixfs.Leaf, offset uint64) error {
	if !l.CID.Defined() || mapping.IsIdentity(l.CID.Hash()) {
		return nil
	}
	r.blocks++
	return r.layout.Leaf(l.CID, offset, l.Size, l.Prefix, l.Suffix)
}

// Node implements unixfs.Sink.
func (r *Recording) Node(c cid.Cid, block []byte) error {
	if !mapping.IsIdentity(c.Hash()) {
		r.blocks++
	}
	return r.layout.Node(c, block)
}

// Commit makes the link: a blob if the content is one file, else the collection of its files.
func (r *Recording) Commit(ctx context.Context, root cid.Cid, folder bool) (mapping.Link, error) {
	if !folder {
		if len(r.files) != 1 {
			return mapping.Link{}, fmt.Errorf("%w: %s is a symlink by itself; import the folder it is in", ErrContent, root)
		}
		return r.CommitAs(ctx, root, r.files[0].hash, mapping.FormatBlob)
	}
	hash, err := r.collection(ctx)
	if err != nil {
		return mapping.Link{}, err
	}
	return r.CommitAs(ctx, root, hash, mapping.FormatCollection)
}

// collection stores the names and the hash sequence of the files, in path order.
func (r *Recording) collection(ctx context.Context) (bao.Hash, error) {
	var c blobs.Collection
	for i, f := range r.files {
		name, changed := collectionName(f.path)
		if changed {
			r.Note(fmt.Sprintf("name %s (%s in the collection)", Quote(f.path), Quote(name)))
		}
		r.files[i].path = name
	}
	slices.SortFunc(r.files, func(a, b namedBlob) int { return blobs.ComparePaths(a.path, b.path) })
	for _, f := range r.files {
		c.Names, c.Hashes = append(c.Names, f.path), append(c.Hashes, f.hash)
	}
	if err := c.Valid(); err != nil {
		return bao.Hash{}, fmt.Errorf("%w: %w", ErrContent, err)
	}
	meta, err := r.put(ctx, c.Meta())
	if err != nil {
		return bao.Hash{}, err
	}
	return r.put(ctx, c.HashSeq(meta))
}

// put stores a small blob that the link needs.
func (r *Recording) put(ctx context.Context, data []byte) (bao.Hash, error) {
	if err := r.Hold(bao.Sum(data)); err != nil {
		return bao.Hash{}, err
	}
	return r.store.Put(ctx, data)
}

// collectionName is how a path stands in a collection: as it is, if a collection may hold it, else with the offending
// bytes as %XX. Names are rarely changed, and never under the CID.
func collectionName(path string) (name string, changed bool) {
	if blobs.ValidName(path) == nil {
		return path, false
	}
	var out strings.Builder
	for i, r := range path {
		// A byte that is no UTF-8 comes as a replacement character of width one.
		bad := r == '\uFFFD' && !strings.HasPrefix(path[i:], "\uFFFD")
		switch {
		case bad, r == '\\', r == 0, r == ':' && i == 1:
			fmt.Fprintf(&out, "%%%02X", path[i])
		default:
			out.WriteRune(r)
		}
	}
	return out.String(), true
}

// CommitAs finishes the layout, fills the index from it, makes everything durable and lets the link be seen.
func (r *Recording) CommitAs(ctx context.Context, root cid.Cid, hash bao.Hash, format mapping.Format) (mapping.Link, error) {
	if r.unsaid > 0 {
		r.notes = append(r.notes, fmt.Sprintf("and %d more", r.unsaid))
	}
	l := mapping.Link{
		CID: root, Hash: hash, Format: format, Size: r.size, Blocks: r.blocks,
		Created: time.Now().UTC().Truncate(time.Millisecond), Notes: r.notes,
	}
	if r.profile != nil {
		l.Profile = r.profile.Name
	}
	if err := r.layout.Close(l); err != nil {
		return mapping.Link{}, err
	}
	layoutHash, _, err := r.spool.Commit(ctx)
	if err != nil {
		return mapping.Link{}, err
	}
	l.Layout = layoutHash
	if err := r.Hold(l.Layout); err != nil {
		return mapping.Link{}, err
	}
	if err := Index(ctx, r.store, r.tx, l); err != nil {
		return mapping.Link{}, err
	}
	if err := r.register.commit(ctx, r.tx, l); err != nil {
		return mapping.Link{}, err
	}
	r.done = true
	return l, nil
}

// Index writes the rows of a link from its layout.
func Index(ctx context.Context, s *store.Store, tx mapping.Tx, l mapping.Link) error {
	return Replay(s, l, func(rec layout.Record) error {
		switch rec.Kind {
		case layout.Leaf, layout.Node:
			return tx.Block(rec.Block)
		case layout.File:
			return ctx.Err()
		}
		return nil
	})
}

// Replay reads a link's layout, record by record. Errors of the store and of visit come as they are.
func Replay(s *store.Store, l mapping.Link, visit func(layout.Record) error) error {
	blob, err := s.Open(l.Layout)
	if err != nil {
		return err
	}
	defer blob.Close()
	r := layout.NewReader(blob, int64(blob.Size()), layout.Limits{})
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("layout of %s: %w", l.CID, err)
		}
		if err := visit(rec); err != nil {
			return err
		}
	}
}

// Blocks lists the CIDs of a link's blocks, some at a time. The slice is the caller's until yield returns.
func Blocks(s *store.Store, l mapping.Link, yield func([]cid.Cid) error) error {
	batch := make([]cid.Cid, 0, blocksAtATime)
	err := Replay(s, l, func(rec layout.Record) error {
		if rec.Kind != layout.Leaf && rec.Kind != layout.Node {
			return nil
		}
		if batch = append(batch, rec.CID); len(batch) < blocksAtATime {
			return nil
		}
		err := yield(batch)
		batch = batch[:0]
		return err
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return yield(batch)
}
