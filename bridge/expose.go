package bridge

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/bridge/arrival"
	"github.com/iroh-ipfs/bridge/bridge/blocks"
	"github.com/iroh-ipfs/bridge/bridge/collection"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/bridge/pieces"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
	"github.com/iroh-ipfs/bridge/mapping"
)

// ExposeRequest names iroh content to be reachable from IPFS.
type ExposeRequest struct {
	Ticket string   `json:"ticket" doc:"iroh blob ticket, raw or hash sequence; or a BLAKE3 hash, with an s before it that of a sequence"`
	From   []string `json:"from,omitempty" doc:"further providers: endpoint ids, endpoint or blob tickets"`
}

// Expose fetches what a ticket names, verified, and lays it out as UnixFS while it comes in:
//
//	ticket → downloader.Downloader → store → pieces → UnixFS leaves → mapping.Commit → provide
//
// A raw blob becomes a file, a collection a folder, any other hash sequence a folder of numbered files. What is here
// already is not fetched again, be it from an earlier call that was cut, see arriving.go. All of it is linked or nothing is.
func (b *Bridge) Expose(ctx context.Context, req ExposeRequest, p Progress) (Content, error) {
	t, err := b.stock.Seek(req.Ticket, false, req.From)
	if err != nil {
		return Content{}, err
	}
	if l, err := b.linkOf(ctx, t.Hash); err == nil {
		return b.describe(l), nil
	}
	side, err := b.irohSide()
	if err != nil {
		return Content{}, err
	}
	download, err := side.Downloading(t)
	if err != nil {
		return Content{}, err
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
	// The root is referenced before it comes, so that whatever ends this the purge asks whether it is still arriving.
	if err := r.Hold(t.Hash); err != nil {
		return Content{}, err
	}
	var link mapping.Link
	err = b.arrive(ctx, t, func() (downloader.Stats, error) {
		root, format, stats, err := b.exposing(ctx, r, t, download, p)
		if err == nil {
			link, err = r.CommitAs(ctx, root.CID, t.Hash, format)
		}
		return stats, err
	})
	if err != nil {
		return Content{}, err
	}
	c := b.linked(link)
	c.Warning = side.Doubt(ctx, t)
	return c, nil
}

// exposing downloads content and follows the download with its layout.
func (b *Bridge) exposing(ctx context.Context, r *recording.Recording, t naming.Sought, download native.Download, p Progress) (
	root unixfs.Entry, format mapping.Format, stats downloader.Stats, err error,
) {
	p.Item(t.Hash.String(), -1)
	a := arrival.New(p)
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		stats, err = download(bothCtx, a)
		a.End(err)
		return err
	})
	both.Go(func() (err error) {
		root, format, err = b.layOutSought(bothCtx, r, t, a)
		return err
	})
	err = both.Wait()
	return root, format, stats, err
}

// layOutSought computes the UnixFS layout of what is being fetched.
func (b *Bridge) layOutSought(ctx context.Context, r *recording.Recording, t naming.Sought, a *arrival.Arrival) (
	unixfs.Entry, mapping.Format, error,
) {
	if t.Format == ticket.Raw {
		root, err := b.layOut(ctx, r, t.Hash.String(), t.Hash, a)
		return root, mapping.FormatBlob, err
	}
	src, err := b.sequence(ctx, r, t.Hash, a)
	if err != nil {
		return unixfs.Entry{}, "", err
	}
	root, err := r.Folder(ctx, src, ".", 0)
	return root, src.Format, err
}

// blobSource is the files of a hash sequence, in the store or about to be.
type blobSource struct {
	*collection.Tree
	b       *Bridge
	arrival *arrival.Arrival
}

// sequence reads a hash sequence as a tree of files.
func (b *Bridge) sequence(ctx context.Context, r *recording.Recording, root bao.Hash, a *arrival.Arrival) (*blobSource, error) {
	read := func(hash bao.Hash) (data []byte, err error) {
		err = a.Until(ctx, func() error {
			data, err = collection.ReadBlob(b.store, hash)
			return err
		})
		if err != nil {
			err = a.Cause(blocks.Explain(hash, err))
		}
		return data, err
	}
	seq, err := read(root)
	if err != nil {
		return nil, err
	}
	tree, err := collection.Read(seq, read)
	if err != nil {
		return nil, err
	}
	if tree.Format == mapping.FormatHashSeq {
		r.Note("hash sequence without names: its files are numbered")
	} else if err := r.Hold(tree.Meta); err != nil {
		return nil, err
	}
	return &blobSource{Tree: tree, b: b, arrival: a}, nil
}

func (s *blobSource) File(ctx context.Context, r *recording.Recording, name string, it recording.Item) (unixfs.Entry, error) {
	return s.b.layOut(ctx, r, name, s.Hash(it.Index), s.arrival)
}

// stored is a blob that the store has already, or will have before the link is committed.
type stored bao.Hash

func (h stored) Root() (bao.Hash, error)                  { return bao.Hash(h), nil }
func (h stored) Commit(context.Context) (bao.Hash, error) { return bao.Hash(h), nil }

// layOut computes the UnixFS layout of a blob that the store has, or that is coming.
func (b *Bridge) layOut(ctx context.Context, r *recording.Recording, name string, hash bao.Hash, a *arrival.Arrival) (unixfs.Entry, error) {
	if err := r.Hold(hash); err != nil {
		return unixfs.Entry{}, err
	}
	blob, bytes, err := a.Open(ctx, b.store, hash)
	if err != nil {
		return unixfs.Entry{}, a.Cause(blocks.Explain(hash, err))
	}
	defer blob.Close()
	p := Progress(Silent{}) // while the download reports
	if a.Ended() {
		p = a.Progress
	}
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
	_, err = h.ReadFrom(io.NewSectionReader(bytes, 0, int64(blob.Size())))
	if err = h.Close(err); err != nil {
		return unixfs.Entry{}, a.Cause(blocks.Explain(hash, err))
	}
	if blob.InPlace() {
		if got, err := tree.Root(); err != nil || got != hash {
			return unixfs.Entry{}, blocks.Explain(hash, store.ErrChanged)
		}
	}
	return r.EndFile(ctx, name, file, stored(hash))
}
