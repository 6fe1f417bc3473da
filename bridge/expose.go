package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/iroh-ipfs/bridge/bridge/collection"
	"github.com/iroh-ipfs/bridge/bridge/pieces"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
	"github.com/iroh-ipfs/bridge/mapping"
)

// ExposeRequest names iroh content to be reachable from IPFS.
type ExposeRequest struct {
	Ticket string `json:"ticket" doc:"iroh blob ticket, raw or hash sequence"`
}

// Expose fetches what a ticket names, verified, and lays it out as UnixFS:
//
//	ticket → blobs.Downloader → store → pieces → UnixFS leaves → mapping.Commit → provide
//
// A raw blob becomes a file, a collection a folder, any other hash sequence a folder of numbered files. What is here
// already is not fetched again; a download that was cut goes on where it was.
func (b *Bridge) Expose(ctx context.Context, req ExposeRequest, p Progress) (Content, error) {
	t, err := ticket.ParseBlob(req.Ticket)
	if err != nil {
		return Content{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if l, err := b.find(ctx, target{hash: t.Hash}); err == nil && l.Layout != [32]byte{} {
		return b.describe(l), nil
	}
	profile, err := profileOf("")
	if err != nil {
		return Content{}, err
	}
	r, end, err := b.record(ctx, profile)
	if err != nil {
		return Content{}, err
	}
	defer end()
	if err := b.fetch(ctx, r, t, p); err != nil {
		return Content{}, err
	}
	var root unixfs.Entry
	format := mapping.FormatBlob
	if t.Format == ticket.Raw {
		root, err = b.layOut(ctx, r, t.Hash.String(), t.Hash, p)
	} else {
		var src *blobSource
		if src, err = b.sequence(r, t.Hash, p); err == nil {
			format = src.Format
			root, err = r.Folder(ctx, src, ".", 0)
		}
	}
	if err != nil {
		return Content{}, err
	}
	link, err := r.CommitAs(ctx, root.CID, t.Hash, format)
	if err != nil {
		return Content{}, err
	}
	return b.linked(link), nil
}

// fetch brings the ticket's blobs into the store. They are referenced first, so that no purge takes them away.
func (b *Bridge) fetch(ctx context.Context, r *recording.Recording, t ticket.Blob, p Progress) error {
	n := b.online()
	if n == nil {
		return errors.New("bridge: the network is not up")
	}
	if err := r.Hold(t.Hash); err != nil {
		return err
	}
	p.Item(t.Hash.String(), -1)
	if _, err := n.downloader.Fetch(ctx, t.Addr, t.Hash, t.Format, fetchProgress{p}); err != nil {
		return fetchError(err)
	}
	return nil
}

// fetchError sorts the downloader's errors into the bridge's.
func fetchError(err error) error {
	switch {
	case errors.Is(err, bao.ErrHashMismatch):
		return fmt.Errorf("%w: the provider sent bytes that do not match the hash; nothing of them was kept: %w", ErrVerify, err)
	case errors.Is(err, blobs.ErrNotFound):
		return fmt.Errorf("%w: the provider does not have the content: %w", ErrNotFound, err)
	}
	return fmt.Errorf("bridge: %w", err)
}

// blobSource is the files of a hash sequence, all of them in the store.
type blobSource struct {
	*collection.Tree
	b        *Bridge
	progress Progress
}

// sequence reads a hash sequence as a tree of files.
func (b *Bridge) sequence(r *recording.Recording, root bao.Hash, p Progress) (*blobSource, error) {
	seq, err := b.readSmall(root)
	if err != nil {
		return nil, err
	}
	tree, err := collection.Read(seq, b.readSmall)
	if err != nil {
		return nil, err
	}
	if tree.Format == mapping.FormatHashSeq {
		r.Note("hash sequence without names: its files are numbered")
	} else if err := r.Hold(tree.Meta); err != nil {
		return nil, err
	}
	return &blobSource{Tree: tree, b: b, progress: p}, nil
}

func (s *blobSource) File(ctx context.Context, r *recording.Recording, name string, it recording.Item) (unixfs.Entry, error) {
	return s.b.layOut(ctx, r, name, s.Hash(it.Index), s.progress)
}

// stored is a blob that the store has already.
type stored bao.Hash

func (h stored) Root() (bao.Hash, error)                  { return bao.Hash(h), nil }
func (h stored) Commit(context.Context) (bao.Hash, error) { return bao.Hash(h), nil }

// layOut computes the UnixFS layout of a blob that the store has.
func (b *Bridge) layOut(ctx context.Context, r *recording.Recording, name string, hash bao.Hash, p Progress) (unixfs.Entry, error) {
	if err := r.Hold(hash); err != nil {
		return unixfs.Entry{}, err
	}
	blob, err := b.store.Open(hash)
	if err != nil {
		return unixfs.Entry{}, storeError(hash, err)
	}
	defer blob.Close()
	p.Item(name, int64(blob.Size()))
	file := r.BeginFile(blob.Size())
	// Bytes in a file that is not ours may have changed since they were hashed: then they are hashed again.
	tree := bao.NewTree(blob.Size(), nil)
	h := pieces.New(ctx, blob.Size(), r.Profile(), !blob.InPlace(), func(pc *pieces.Piece) error {
		if blob.InPlace() {
			if err := tree.Add(pc.Tree); err != nil {
				return err
			}
		}
		p.Bytes(uint64(len(pc.Data)))
		return file.Add(pc.Leaves)
	})
	_, err = h.ReadFrom(io.NewSectionReader(blob, 0, int64(blob.Size())))
	if err = h.Close(err); err != nil {
		return unixfs.Entry{}, storeError(hash, err)
	}
	if blob.InPlace() {
		if got, err := tree.Root(); err != nil || got != hash {
			return unixfs.Entry{}, storeError(hash, store.ErrChanged)
		}
	}
	return r.EndFile(ctx, name, file, stored(hash))
}

// fetchProgress tells a Progress what the downloader does.
type fetchProgress struct{ Progress }

func (p fetchProgress) Blob(hash bao.Hash, size, have uint64) {
	p.Item(hash.String(), int64(size))
	p.Progress.Bytes(have)
}
