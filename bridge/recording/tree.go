package recording

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
)

// A Source is a tree of files to be laid out as UnixFS: a folder on disk, or an iroh collection.
type Source interface {
	// List returns what a folder holds, sorted by name. dir is slash-separated and relative; the root is ".".
	List(ctx context.Context, dir string) ([]Item, error)
	// File lays out one file's bytes and records them.
	File(ctx context.Context, r *Recording, name string, it Item) (unixfs.Entry, error)
}

// An Item is one name within a folder.
type Item struct {
	Name   string
	Kind   unixfs.Kind
	Target string // of a symlink
	Index  int    // the source's own number for a file
}

// Folder lays out dir and everything below it, depth first. It returns the directory's entry.
func (r *Recording) Folder(ctx context.Context, src Source, dir string, depth int) (unixfs.Entry, error) {
	if depth > MaxDepth {
		return unixfs.Entry{}, fmt.Errorf("%w: %s is nested more than %d folders deep", ErrContent, Quote(dir), MaxDepth)
	}
	items, err := src.List(ctx, dir)
	if err != nil {
		return unixfs.Entry{}, err
	}
	if err := r.Count(len(items)); err != nil {
		return unixfs.Entry{}, err
	}
	if len(items) == 0 && dir != "." {
		r.Note("empty folder " + Quote(dir))
	}
	d := unixfs.NewDirectory(*r.profile, r)
	for _, it := range items {
		if err := ctx.Err(); err != nil {
			return unixfs.Entry{}, err
		}
		name := path.Join(dir, it.Name)
		var e unixfs.Entry
		switch it.Kind {
		case unixfs.KindDirectory:
			e, err = r.Folder(ctx, src, name, depth+1)
		case unixfs.KindSymlink:
			r.Note("symlink " + Quote(name))
			e, err = unixfs.Symlink(*r.profile, r, it.Target)
		default:
			e, err = src.File(ctx, r, name, it)
		}
		if err != nil {
			return unixfs.Entry{}, err
		}
		if err := d.Add(it.Name, e); err != nil {
			return unixfs.Entry{}, fmt.Errorf("%s: %w", Quote(name), err)
		}
	}
	return d.Finish()
}

// Quote makes a name safe to print: names come from strangers and may hold control characters.
func Quote(name string) string {
	return fmt.Sprintf("%q", Shorten(strings.ToValidUTF8(name, "\uFFFD")))
}

// Shorten keeps what somebody typed, or a peer said, from filling the screen.
func Shorten(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
