package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
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
	Content
	Blobs     int        `json:"blobs" doc:"blobs that were completed, the sequence and its names included"`
	Received  uint64     `json:"received" doc:"bytes of blobs that were received and verified; what was here before does not count"`
	Seconds   float64    `json:"seconds"`
	Providers []Provided `json:"providers" doc:"what each provider gave"`
}

// Provided says what one provider gave.
type Provided struct {
	EndpointID  string `json:"endpointId"`
	Bytes       uint64 `json:"bytes" doc:"bytes of blobs that were received and verified"`
	Requests    int    `json:"requests"`
	Connections int    `json:"connections"`
	Error       string `json:"error,omitempty" doc:"why it was given up, or its last failure"`
}

// Fetch brings a blob or a hash sequence from iroh providers into the store and keeps it there, without a CID:
//
//	hash → tag → blobs.Downloader → store
//
// The tag comes first, so that a fetch that was cut goes on where it was, whatever cut it. Iroh peers get what is there from
// then on, block by block.
func (b *Bridge) Fetch(ctx context.Context, req FetchRequest, p Progress) (Fetched, error) {
	t, err := b.seek(req.Content, req.Recursive, req.From)
	if err != nil {
		return Fetched{}, err
	}
	download, err := b.downloading(t)
	if err != nil {
		return Fetched{}, err
	}
	if err := b.ops.Acquire(ctx, 1); err != nil {
		return Fetched{}, err
	}
	defer b.ops.Release(1)
	if err := b.keeper.Keep(t.hash, t.format); err != nil {
		return Fetched{}, fmt.Errorf("bridge: %w", err)
	}
	if err := b.store.Sync(ctx); err != nil {
		return Fetched{}, fmt.Errorf("bridge: %w", err)
	}
	stats, err := download(ctx, each{p})
	if err == nil {
		err = b.store.Sync(ctx)
	}
	if err != nil {
		return Fetched{}, errors.Join(err, b.unkeepNothing(t.hash))
	}
	return b.fetched(t, stats)
}

// unkeepNothing forgets a fetch of which nothing has come.
func (b *Bridge) unkeepNothing(hash bao.Hash) error {
	st, err := b.store.Status(hash)
	if err == nil && st.State == store.Missing {
		err = b.keeper.Unkeep(hash)
	}
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return nil
}

func (b *Bridge) fetched(t sought, stats blobs.Stats) (Fetched, error) {
	c, err := b.describeKept(keeping.Item{Hash: t.hash, Format: t.format})
	if err != nil {
		return Fetched{}, err
	}
	f := Fetched{Content: c, Blobs: stats.Blobs, Received: stats.Bytes, Seconds: stats.Took.Seconds(), Providers: []Provided{}}
	for _, s := range stats.Providers {
		one := Provided{EndpointID: s.ID.String(), Bytes: s.Bytes, Requests: s.Requests, Connections: s.Connections}
		if s.Err != nil {
			one.Error = s.Err.Error()
		}
		f.Providers = append(f.Providers, one)
	}
	return f, nil
}

// each reports a download blob by blob.
type each struct{ Progress }

// Blob implements blobs.Progress.
func (e each) Blob(hash bao.Hash, size, have uint64) {
	e.Item(hash.String(), int64(size-min(have, size)))
}

// seek reads what is to be fetched. A hash that is kept here is taken for what it was then said to be.
func (b *Bridge) seek(text string, recursive bool, from []string) (sought, error) {
	t, err := parseSought(text, recursive, from)
	if err == nil && t.format == ticket.Raw {
		t.format, err = b.keptFormat(t.hash)
	}
	return t, err
}

// downloading prepares the download of what is missing here, which is nothing if it is all here. What the sources say of
// where they are is remembered.
func (b *Bridge) downloading(t sought) (func(context.Context, blobs.Progress) (blobs.Stats, error), error) {
	if have, err := b.keeper.Have(keeping.Item{Hash: t.hash, Format: t.format}); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	} else if have.Complete {
		return func(context.Context, blobs.Progress) (blobs.Stats, error) { return blobs.Stats{}, nil }, nil
	}
	if len(t.from) == 0 {
		return nil, fmt.Errorf("%w: %s is not here; name who has it, with --from or by a ticket", ErrInvalid, t.hash)
	}
	n := b.online()
	if n == nil {
		return nil, errors.New("bridge: the network is not up")
	}
	for _, addr := range t.from {
		n.presence.Learn(addr)
	}
	return func(ctx context.Context, p blobs.Progress) (blobs.Stats, error) {
		stats, err := n.downloader.Fetch(ctx, t.from, t.hash, t.format, p)
		return stats, fetchError(err)
	}, nil
}

// fetchError sorts the downloader's errors into the bridge's.
func fetchError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bao.ErrHashMismatch):
		return fmt.Errorf("%w: the provider sent bytes that do not match the hash; nothing of them was kept: %w", ErrVerify, err)
	case errors.Is(err, blobs.ErrNotFound):
		return fmt.Errorf("%w: the provider does not have the content: %w", ErrNotFound, err)
	}
	return fmt.Errorf("bridge: %w", err)
}
