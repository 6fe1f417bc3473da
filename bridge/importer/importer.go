// Package importer records a UnixFS DAG of any shape while it is walked in file order: each file's bytes go into the store as a blob,
// each block into the layout, and what an iroh collection cannot say into notes. Sizes are bytes.
//
// # Trust
//
// Blocks are verified against their CIDs by whoever walks; blobs are hashed here.
package importer

import (
	"context"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/pieces"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// Progress hears what is worked on, and how many bytes of it are done.
type Progress interface {
	Item(name string, size int64)
	Bytes(n uint64)
}

// New returns a visitor that stores what it meets.
func New(ctx context.Context, s *store.Store, r *recording.Recording, p Progress) *Visitor {
	return &Visitor{ctx: ctx, store: s, r: r, progress: p}
}

// Visitor turns what the walk meets into a recording. Its owner defers Abandon. It is for one goroutine.
type Visitor struct {
	ctx      context.Context // of the walk
	store    *store.Store
	r        *recording.Recording
	progress Progress
	folders  int
	empty    map[string]bool // folders open now that have shown no child yet

	// The file being read.
	file   *recording.File
	writer *store.Writer
	hasher *pieces.Hasher
}

// BeginDirectory implements unixfs.Visitor.
func (v *Visitor) BeginDirectory(path string, meta unixfs.Meta) error {
	v.folders++
	v.child(path)
	if v.empty == nil {
		v.empty = map[string]bool{}
	}
	v.empty[path] = true
	v.noteMeta(path, meta)
	return v.r.Count(1)
}

// EndDirectory implements unixfs.Visitor.
func (v *Visitor) EndDirectory(path string) error {
	if v.empty[path] && path != "" {
		v.r.Note("empty folder " + recording.Quote(path))
	}
	delete(v.empty, path)
	return nil
}

// Folder tells whether what was walked is one.
func (v *Visitor) Folder() bool { return v.folders > 0 }

// child marks path's folder as not empty.
func (v *Visitor) child(path string) {
	dir := ""
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir = path[:i]
	}
	if path != "" {
		delete(v.empty, dir)
	}
}

func (v *Visitor) noteMeta(path string, meta unixfs.Meta) {
	if meta.Mode != 0 {
		v.r.Note("mode of " + recording.Quote(path))
	}
	if !meta.ModTime.IsZero() {
		v.r.Note("modification time of " + recording.Quote(path))
	}
}

// BeginFile implements unixfs.Visitor.
func (v *Visitor) BeginFile(path string, size uint64, meta unixfs.Meta, root cid.Cid) (err error) {
	v.child(path)
	v.noteMeta(path, meta)
	if err := v.r.Count(1); err != nil {
		return err
	}
	if v.writer, err = v.store.NewWriter(size); err != nil {
		return err
	}
	v.progress.Item(path, int64(size))
	v.file = v.r.BeginFile(size)
	v.hasher = pieces.New(v.ctx, size, nil, false, func(p *pieces.Piece) error {
		v.progress.Bytes(uint64(len(p.Data)))
		return v.writer.Add(p.Tree, p.Data)
	})
	return nil
}

// Leaf implements unixfs.Visitor.
func (v *Visitor) Leaf(l unixfs.Leaf, offset uint64, payload, block []byte) error {
	if _, err := v.hasher.Write(payload); err != nil {
		return err
	}
	return v.r.Leaf(l, offset)
}

// Node implements unixfs.Visitor.
func (v *Visitor) Node(c cid.Cid, block []byte) error { return v.r.Node(c, block) }

// EndFile implements unixfs.Visitor.
func (v *Visitor) EndFile(path string, e unixfs.Entry) error {
	h, w, f := v.hasher, v.writer, v.file
	v.hasher = nil
	if err := h.Close(nil); err != nil {
		return err
	}
	f.Root = e.CID
	defer v.Abandon()
	_, err := v.r.EndFile(v.ctx, path, f, w)
	return err
}

// Symlink implements unixfs.Visitor.
func (v *Visitor) Symlink(path, target string, meta unixfs.Meta) error {
	v.child(path)
	v.noteMeta(path, meta)
	v.r.Note("symlink " + recording.Quote(path))
	return v.r.Count(1)
}

// Abandon lets go of a file that was not finished; after EndFile it has nothing to do.
func (v *Visitor) Abandon() {
	if v.hasher != nil {
		_ = v.hasher.Close(context.Canceled)
		v.hasher = nil
	}
	if v.writer != nil {
		v.writer.Abort()
		v.writer = nil
	}
}
