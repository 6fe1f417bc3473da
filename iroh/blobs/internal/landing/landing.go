// Package landing brings what was verified into the store: the items of one blob ([Blob]), from one encoding or from several at a time, and
// blobs that are whole and small ([Shelf]), many at a time.
//
// Of the items: the store hears of the blob with the first leaf, so that somebody who has nothing but a claim leaves no trace. What is there
// is recorded every 16 MiB, beside the receiving. The items are trusted: a [bao.Decoder] has verified them. The size is a
// claim until the last chunk came: with a wrong one even what did verify may be of no use.
package landing

import (
	"context"
	"errors"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

const pairSize = 64

// Blob is a blob on its way into the store. It must be ended. Its streams may be used by one goroutine each, at the same time.
type Blob struct {
	hash   bao.Hash
	size   uint64
	store  *store.Store
	opened func() error // may be nil

	mu        sync.Mutex
	download  *store.Download // nil before the first leaf
	unflushed uint64
	flushing  chan error // of the flush under way; nil when there is none
	failed    error      // of a flush
}

// New is a blob of which nothing has come yet. opened, if not nil, is called once, when the first bytes are about to be stored.
func New(to *store.Store, hash bao.Hash, size uint64, opened func() error) *Blob {
	return &Blob{store: to, hash: hash, size: size, opened: opened}
}

// Stream takes one encoding of the blob, or of ranges of it. It is not safe for concurrent use.
type Stream struct {
	*Blob
	to    *store.Download
	pairs []pair // before the first leaf: at most one for each level of the tree
}

type pair struct {
	offset int64
	data   [pairSize]byte
}

// Stream begins to take an encoding.
func (b *Blob) Stream() *Stream { return &Stream{Blob: b} }

// Add takes the next item of the encoding and returns how many bytes of the blob it stored. What is less than a group the store does
// not keep. Errors are those of the store.
func (s *Stream) Add(item bao.Item) (stored uint64, err error) {
	switch {
	case item.Kind == bao.Leaf:
		return s.leaf(item)
	case item.OutboardOffset < 0:
		return 0, nil // inside a group: the store does not keep those
	case s.to == nil:
		s.pairs = append(s.pairs, pair{item.OutboardOffset, [pairSize]byte(item.Data)})
		return 0, nil
	}
	return 0, s.to.WritePair(item.OutboardOffset, item.Data)
}

func (s *Stream) leaf(item bao.Item) (uint64, error) {
	n := uint64(len(item.Data))
	if item.Offset%bao.GroupSize != 0 || n%bao.GroupSize != 0 && item.Offset+n != s.size {
		return 0, nil
	}
	if s.to == nil {
		if err := s.open(); err != nil {
			return 0, err
		}
	}
	if err := s.to.WriteLeaf(item.Offset, item.Data); err != nil {
		return 0, err
	}
	return n, s.wrote(n)
}

// open joins the download, which the first stream begins, and writes the pairs that came before.
func (s *Stream) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.download == nil {
		download, err := s.store.Download(s.hash, s.size)
		if err != nil {
			return err
		}
		s.download = download
		if s.opened != nil {
			if err := s.opened(); err != nil {
				return err
			}
		}
	}
	for i := range s.pairs {
		if err := s.download.WritePair(s.pairs[i].offset, s.pairs[i].data[:]); err != nil {
			return err
		}
	}
	s.to, s.pairs = s.download, nil
	return nil
}

// wrote records what is there from time to time, beside the receiving. One flush is under way at a time.
func (b *Blob) wrote(n uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unflushed += n; b.unflushed < flushEvery {
		return b.failed
	}
	if err := b.flushed(); err != nil {
		return err
	}
	b.unflushed = 0
	done, download := make(chan error, 1), b.download
	b.flushing = done
	go func() { done <- download.Flush() }()
	return nil
}

// flushed waits for the flush under way. The caller holds mu.
func (b *Blob) flushed() error {
	if b.flushing == nil {
		return b.failed
	}
	b.failed = errors.Join(b.failed, <-b.flushing)
	b.flushing = nil
	return b.failed
}

// Begun tells whether something was stored.
func (b *Blob) Begun() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.download != nil
}

// Proven tells whether the last chunk, which proves the size, is there.
func (b *Blob) Proven() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.download != nil && b.download.Ranges().Contains(max(1, (b.size+bao.ChunkSize-1)/bao.ChunkSize)-1)
}

// Complete publishes the blob when all of it is there; if it is not, the error is [store.ErrIncomplete]. No stream may be in use. After an
// error the blob has still to be ended, by Keep or Discard.
func (b *Blob) Complete(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.download == nil {
		return store.ErrIncomplete
	}
	if err := b.flushed(); err != nil {
		return err
	}
	return b.download.Complete(ctx)
}

// Keep ends the blob and keeps what came. No stream may be in use.
func (b *Blob) Keep() error { return b.end((*store.Download).Close) }

// Discard ends the blob and forgets what came, also what was there before. No stream may be in use.
func (b *Blob) Discard() error { return b.end((*store.Download).Discard) }

func (b *Blob) end(how func(*store.Download) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.download == nil {
		return nil
	}
	err := b.flushed()
	return errors.Join(err, how(b.download))
}
