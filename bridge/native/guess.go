package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/collection"
	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// doubtTime bounds asking the providers whether what was taken for a blob is a sequence, which is only for a word of warning.
const doubtTime = 3 * time.Second

// looksLike is what a hash of which nothing is known is taken for: a sequence if it reads as one and a child is here.
func (s *Stock) looksLike(hash bao.Hash) (ticket.Format, error) {
	seq, err := s.Keeper.Proven(hash)
	switch {
	case err != nil && !errors.Is(err, keeping.ErrDamaged): // who reads it will see
		return 0, fmt.Errorf("%w", err)
	case seq:
		return ticket.HashSeq, nil
	}
	return ticket.Raw, nil
}

// Doubt says, for people, that a bare hash which was taken for a blob's is that of a sequence, or may be. It is empty if nothing speaks
// for that. The blob is here.
func (s *Side) Doubt(ctx context.Context, t naming.Sought) string {
	first, hashes := s.firstChild(t)
	if hashes == 0 {
		return ""
	}
	is, known := s.anybodyHas(ctx, first, t.From)
	if !is && known {
		return ""
	}
	word := "may be"
	if is {
		word = "is"
	}
	return fmt.Sprintf("%s was taken for a blob, and %s a sequence of %d hashes, such as a folder's: named s%[1]s its children come too",
		t.Hash, word, hashes)
}

// firstChild reads a blob that was taken for one by its bare hash as a sequence: its first hash, and how many there are.
func (s *Side) firstChild(t naming.Sought) (first bao.Hash, hashes uint64) {
	if !t.Bare || t.Format != ticket.Raw {
		return first, 0
	}
	blob, err := s.Store.Open(t.Hash)
	if err != nil {
		return first, 0
	}
	defer blob.Close()
	size := uint64(len(first))
	if blob.Size() == 0 || blob.Size()%size != 0 || blob.Size() > collection.MaxBytes {
		return first, 0
	}
	if _, err := blob.ReadAt(first[:], 0); err != nil && err != io.EOF {
		return first, 0
	}
	return first, blob.Size() / size
}

// anybodyHas tells whether a blob is here or at one of the providers, and whether that is known of any of them.
func (s *Side) anybodyHas(ctx context.Context, hash bao.Hash, from []ticket.EndpointAddr) (has, known bool) {
	if st, err := s.Store.Status(hash); err == nil && st.State != store.Missing {
		return true, true
	}
	ctx, cancel := context.WithTimeout(ctx, doubtTime)
	defer cancel()
	for _, addr := range from {
		if there, err := s.look(ctx, addr, hash); err == nil {
			known = true
			if there.Size > 0 && !there.Ranges.IsEmpty() {
				return true, true
			}
		}
	}
	return false, known
}

// look asks an endpoint once what it has of a blob.
func (s *Side) look(ctx context.Context, addr ticket.EndpointAddr, hash bao.Hash) (blobs.Available, error) {
	conn, err := s.dialAddr(ctx, addr)
	if err != nil {
		return blobs.Available{}, err
	}
	defer conn.CloseWithError(0, "")
	o, err := blobs.Observe(ctx, conn, hash)
	if err != nil {
		return blobs.Available{}, err
	}
	defer o.Close()
	return o.Next()
}
