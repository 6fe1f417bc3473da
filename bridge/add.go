package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/iroh-ipfs/bridge/bridge/ondisk"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
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
	disk := &ondisk.Source{Store: b.store, Root: req.Path, InPlace: req.InPlace, Progress: p}
	var root unixfs.Entry
	switch {
	case info.IsDir():
		root, err = r.Folder(ctx, disk, ".", 0)
	case info.Mode().IsRegular():
		root, err = disk.File(ctx, r, ".", recording.Item{}) // the root itself is the file
	default:
		err = fmt.Errorf("%w: %s is %s, neither a file nor a folder", ErrInvalid, recording.Quote(req.Path), ondisk.KindName(info.Mode()))
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
