package native

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// FetchRequest names iroh content to be kept here.
type FetchRequest struct {
	Content   string   `json:"content" doc:"iroh blob ticket, or a BLAKE3 hash: in hex, or with an s before it that of a sequence"`
	From      []string `json:"from,omitempty" doc:"providers besides the ticket's: endpoint ids, endpoint or blob tickets; the preferred first"`
	Recursive bool     `json:"recursive,omitempty" doc:"the hash is that of a sequence, whose children are fetched as well"`
}

// Fetched says what a fetch took.
type Fetched struct {
	Item
	Blobs     int        `json:"blobs" doc:"blobs that were completed, the sequence and its names included"`
	Received  uint64     `json:"received" doc:"bytes of blobs that were received and verified; what was here before does not count"`
	Seconds   float64    `json:"seconds"`
	Providers []Provided `json:"providers" doc:"what each provider gave"`
	Warning   string     `json:"warning,omitempty" doc:"what the hash may be that was taken for a blob's"`
}

// Provided says what one provider gave.
type Provided struct {
	EndpointID  string `json:"endpointId"`
	Bytes       uint64 `json:"bytes" doc:"bytes of blobs that were received and verified"`
	Requests    int    `json:"requests"`
	Connections int    `json:"connections"`
	Error       string `json:"error,omitempty" doc:"why it was given up, or its last failure"`
}

// Fetch brings a blob or a hash sequence from iroh providers into the store and keeps it there, without a CID. No purge may run
// meanwhile.
//
//	hash → tag → downloader.Downloader → store
//
// The tag comes first, so that a fetch that was cut goes on where it was, whatever cut it. Iroh peers get what is there from
// then on, block by block.
func (s *Side) Fetch(ctx context.Context, req FetchRequest, p Progress) (Fetched, error) {
	t, err := s.Seek(req.Content, req.Recursive, req.From)
	if err != nil {
		return Fetched{}, err
	}
	download, err := s.Downloading(t)
	if err != nil {
		return Fetched{}, err
	}
	before, kept, err := s.Keeper.Kept(t.Hash)
	if err == nil {
		err = s.Keeper.Keep(t.Hash, t.Format)
	}
	if err != nil {
		return Fetched{}, fmt.Errorf("%w", err)
	}
	if err := s.Store.Sync(ctx); err != nil {
		return Fetched{}, fmt.Errorf("%w", err)
	}
	stats, err := download(ctx, newEach(p))
	if err == nil {
		err = s.Keeper.Keep(t.Hash, t.Format) // its children, which are known now, are not given up any more
	}
	if err == nil {
		err = s.Store.Sync(ctx)
	}
	if err != nil {
		return Fetched{}, errors.Join(err, s.undo(t.Hash, kept, before, stats))
	}
	f, err := s.fetched(t, stats)
	f.Warning = s.Doubt(ctx, t)
	return f, err
}

// undo forgets a fetch of which nothing has come; what is here nevertheless is not here for that. What was kept before is what it was,
// unless it has turned out to be a sequence.
func (s *Side) undo(hash bao.Hash, kept bool, before ticket.Format, stats downloader.Stats) error {
	st, err := s.Store.Status(hash)
	switch {
	case err != nil:
	case st.State == store.Missing, !kept && stats.Bytes == 0:
		err = s.Keeper.Unkeep(hash)
	case kept:
		err = s.Keeper.Keep(hash, before)
	}
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}

func (s *Side) fetched(t naming.Sought, stats downloader.Stats) (Fetched, error) {
	c, err := s.Describe(keeping.Item{Hash: t.Hash, Format: t.Format}, s.Addr())
	if err != nil {
		return Fetched{}, err
	}
	f := Fetched{Item: c, Blobs: stats.Blobs, Received: stats.Bytes, Seconds: stats.Took.Seconds(), Providers: []Provided{}}
	for _, p := range stats.Providers {
		one := Provided{EndpointID: p.ID.String(), Bytes: p.Bytes, Requests: p.Requests, Connections: p.Connections}
		if p.Err != nil {
			one.Error = p.Err.Error()
		}
		f.Providers = append(f.Providers, one)
	}
	return f, nil
}

// Download brings in what is missing of some content.
type Download func(context.Context, blobs.Progress) (downloader.Stats, error)

// Downloading prepares the download of what is missing here, which is nothing if it is all here. What the sources say of
// where they are is remembered.
func (s *Side) Downloading(t naming.Sought) (Download, error) {
	if have, err := s.Keeper.Have(keeping.Item{Hash: t.Hash, Format: t.Format}); err != nil {
		return nil, fmt.Errorf("%w", err)
	} else if have.Damaged {
		return nil, fmt.Errorf("%w: what is here of the sequence %s is damaged; remove it and fetch it again", naming.ErrVerify, t.Hash)
	} else if st, err := s.Store.Status(t.Hash); err != nil {
		return nil, fmt.Errorf("%w", err)
	} else if t.Format == ticket.HashSeq && st.State == store.Complete && st.Size%uint64(len(bao.Hash{})) != 0 {
		return nil, fmt.Errorf("%w: %s is a blob of %d bytes, and no sequence of hashes", naming.ErrInvalid, t.Hash, st.Size)
	} else if have.Complete {
		return func(context.Context, blobs.Progress) (downloader.Stats, error) { return downloader.Stats{}, nil }, nil
	}
	if len(t.From) == 0 {
		return nil, fmt.Errorf("%w: %s is not here; name who has it, with --from or by a ticket", naming.ErrNotFound, t.Hash)
	}
	own := s.Presence.Endpoint.ID()
	from := slices.DeleteFunc(slices.Clone(t.From), func(addr ticket.EndpointAddr) bool { return addr.ID == own })
	if len(from) == 0 {
		return nil, fmt.Errorf("%w: %s is not here, and %s, who is to have it, is this bridge itself", naming.ErrInvalid, t.Hash, own)
	}
	for _, addr := range from {
		s.Presence.Learn(addr)
	}
	return func(ctx context.Context, p blobs.Progress) (downloader.Stats, error) {
		end := func(error) {}
		if t.Format == ticket.HashSeq {
			p, end = s.syncing(ctx, p)
		}
		stats, err := s.downloader.Fetch(ctx, from, t.Hash, t.Format, p)
		end(err)
		return stats, fetchError(err)
	}, nil
}

// fetchError sorts the downloader's errors into the bridge's.
func fetchError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bao.ErrHashMismatch):
		return fmt.Errorf("%w: the provider sent bytes that do not match the hash; nothing of them was kept: %w", naming.ErrVerify, err)
	case errors.Is(err, blobs.ErrNotFound):
		return fmt.Errorf("%w: the provider does not have the content: %w", naming.ErrNotFound, err)
	}
	return fmt.Errorf("%w", err)
}
