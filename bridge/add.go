package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/iroh-ipfs/bridge/bridge/pieces"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// AddRequest says what to add and how.
type AddRequest struct {
	// Path is a file or folder on the bridge's own file system, absolute.
	Path string `json:"path" doc:"absolute path of a file or folder on the bridge's machine"`
	// InPlace keeps the bytes where they are instead of copying them. The files must not change afterwards: one that
	// did is an error when it is read.
	InPlace bool `json:"inPlace,omitempty" doc:"do not copy the bytes; the files must then stay as they are"`
	// Profile names the UnixFS layout, unixfs-v1-2025 by default.
	Profile string `json:"profile,omitempty" doc:"UnixFS layout (IPIP-499): unixfs-v1-2025 or unixfs-v0-2015"`
}

// Add names a file or folder in both networks, in one pass over its bytes:
//
//	file → pieces of 1 MiB → BLAKE3 tree ‖ UnixFS leaves → store.Commit + mapping.Commit
func (b *Bridge) Add(ctx context.Context, req AddRequest, p Progress) (Content, error) {
	profile, err := profileOf(req.Profile)
	if err != nil {
		return Content{}, err
	}
	if !filepath.IsAbs(req.Path) {
		return Content{}, fmt.Errorf("%w: the path %s is not absolute", ErrInvalid, recording.Quote(req.Path))
	}
	info, err := os.Stat(req.Path)
	if err != nil {
		return Content{}, pathError(err)
	}
	r, end, err := b.record(ctx, profile)
	if err != nil {
		return Content{}, err
	}
	defer end()
	disk := &diskSource{b: b, root: req.Path, inPlace: req.InPlace, progress: p}
	var root unixfs.Entry
	switch {
	case info.IsDir():
		root, err = r.Folder(ctx, disk, ".", 0)
	case info.Mode().IsRegular():
		root, err = disk.File(ctx, r, ".", recording.Item{}) // the root itself is the file
	default:
		err = fmt.Errorf("%w: %s is %s, neither a file nor a folder", ErrInvalid, recording.Quote(req.Path), kindName(info.Mode()))
	}
	if err != nil {
		return Content{}, err
	}
	link, err := r.Commit(ctx, root.CID, info.IsDir())
	if err != nil {
		return Content{}, err
	}
	return b.linked(link), nil
}

// diskSource is a file or folder on disk.
type diskSource struct {
	b        *Bridge
	root     string
	inPlace  bool
	progress Progress
}

func (d *diskSource) List(_ context.Context, dir string) ([]recording.Item, error) {
	found, err := os.ReadDir(filepath.Join(d.root, filepath.FromSlash(dir)))
	if err != nil {
		return nil, pathError(err)
	}
	items := make([]recording.Item, 0, len(found))
	for _, f := range found {
		it := recording.Item{Name: f.Name()}
		switch mode := f.Type(); {
		case mode.IsDir():
			it.Kind = unixfs.KindDirectory
		case mode&fs.ModeSymlink != 0:
			it.Kind = unixfs.KindSymlink
			if it.Target, err = os.Readlink(filepath.Join(d.root, filepath.FromSlash(dir), f.Name())); err != nil {
				return nil, pathError(err)
			}
			it.Target = filepath.ToSlash(it.Target)
		case !mode.IsRegular():
			return nil, fmt.Errorf("%w: %s is %s, which has no bytes to add; remove it or add the files beside it one by one",
				ErrInvalid, recording.Quote(filepath.Join(dir, f.Name())), kindName(mode))
		}
		items = append(items, it)
	}
	return items, nil
}

func (d *diskSource) File(ctx context.Context, r *recording.Recording, name string, _ recording.Item) (_ unixfs.Entry, err error) {
	full := filepath.Join(d.root, filepath.FromSlash(name))
	f, err := os.Open(full)
	if err != nil {
		return unixfs.Entry{}, pathError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return unixfs.Entry{}, pathError(err)
	}
	d.progress.Item(name, info.Size())
	w, err := d.writer(full, info)
	if err != nil {
		return unixfs.Entry{}, err
	}
	defer w.Abort() // nothing, once committed
	size := uint64(info.Size())
	file := r.BeginFile(size)
	h := pieces.New(ctx, size, r.Profile(), false, func(p *pieces.Piece) error {
		if err := w.Add(p.Tree, p.Data); err != nil {
			return err
		}
		d.progress.Bytes(uint64(len(p.Data)))
		return file.Add(p.Leaves)
	})
	_, err = h.ReadFrom(f)
	if err = h.Close(err); err != nil {
		return unixfs.Entry{}, fmt.Errorf("reading %s: %w", recording.Quote(name), err)
	}
	return r.EndFile(ctx, name, file, w)
}

func (d *diskSource) writer(path string, info fs.FileInfo) (*store.Writer, error) {
	if d.inPlace {
		return d.b.store.NewInPlaceWriter(path, info)
	}
	return d.b.store.NewWriter(uint64(info.Size()))
}

// kindName says what something on disk is that is no file, folder or link.
func kindName(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something special"
}

// pathError tells a path that is not there from one that cannot be read.
func pathError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return fmt.Errorf("bridge: %w", err)
}

// linked tells the IPFS network of a new link, those who wait for it and those who will look for it, and describes it.
func (b *Bridge) linked(l mapping.Link) Content {
	if n := b.online(); n != nil {
		b.running.Go(func() { n.notify(b.life, b, l) })
		b.running.Go(func() { n.provide(b.life, l.CID, b.log) })
	}
	return b.describe(l)
}

var _ io.ReaderFrom = (*pieces.Hasher)(nil)
