// Package ondisk is files and folders of this machine as a source of a recording.
//
// Each file is read once, in pieces that are hashed for both networks, and copied into the store or left where it is. Sizes
// are bytes; names are slash-separated below the root.
//
// # Trust
//
// The files are the user's, and others may write to them. What was read is what gets both names; a file that got shorter
// meanwhile is an error, and one that stays in place is compared with what it was before the first byte.
package ondisk

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/iroh-ipfs/bridge/bridge/pieces"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// Progress hears what is read, and how many bytes of it are done.
type Progress interface {
	Item(name string, size int64)
	Bytes(n uint64)
}

// Source is a file or folder on disk. It is a [recording.Source].
type Source struct {
	Store    *store.Store
	Root     string // absolute path
	InPlace  bool   // the bytes stay where they are
	Progress Progress
}

// List implements recording.Source. What is neither file, folder nor link is recording.ErrContent.
func (s *Source) List(_ context.Context, dir string) ([]recording.Item, error) {
	full := filepath.Join(s.Root, filepath.FromSlash(dir))
	found, err := os.ReadDir(full)
	if err != nil {
		return nil, fmt.Errorf("ondisk: %w", err)
	}
	items := make([]recording.Item, 0, len(found))
	for _, f := range found {
		it := recording.Item{Name: f.Name()}
		switch mode := f.Type(); {
		case mode.IsDir():
			it.Kind = unixfs.KindDirectory
		case mode&fs.ModeSymlink != 0:
			it.Kind = unixfs.KindSymlink
			target, err := os.Readlink(filepath.Join(full, f.Name()))
			if err != nil {
				return nil, fmt.Errorf("ondisk: %w", err)
			}
			it.Target = filepath.ToSlash(target)
		case !mode.IsRegular():
			return nil, fmt.Errorf("%w: %s is %s, which has no bytes to add; remove it or add the files beside it one by one",
				recording.ErrContent, recording.Quote(filepath.Join(dir, f.Name())), KindName(mode))
		}
		items = append(items, it)
	}
	return items, nil
}

// File implements recording.Source; "." is the root itself, if that is a file.
func (s *Source) File(ctx context.Context, r *recording.Recording, name string, _ recording.Item) (unixfs.Entry, error) {
	full := filepath.Join(s.Root, filepath.FromSlash(name))
	f, err := os.Open(full)
	if err != nil {
		return unixfs.Entry{}, fmt.Errorf("ondisk: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return unixfs.Entry{}, fmt.Errorf("ondisk: %w", err)
	}
	s.Progress.Item(name, info.Size())
	w, err := s.writer(full, info)
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
		s.Progress.Bytes(uint64(len(p.Data)))
		return file.Add(p.Leaves)
	})
	_, err = h.ReadFrom(f)
	if err = h.Close(err); err != nil {
		return unixfs.Entry{}, fmt.Errorf("reading %s: %w", recording.Quote(name), err)
	}
	return r.EndFile(ctx, name, file, w)
}

func (s *Source) writer(path string, info fs.FileInfo) (*store.Writer, error) {
	if s.InPlace {
		return s.Store.NewInPlaceWriter(path, info)
	}
	return s.Store.NewWriter(uint64(info.Size()))
}

// KindName says what something on disk is that is no file, folder or link.
func KindName(mode fs.FileMode) string {
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

var _ recording.Source = (*Source)(nil)
