package native

import (
	"context"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
)

// ObserveRequest asks what somebody has of a blob.
type ObserveRequest struct {
	Content string `json:"content" doc:"iroh blob ticket, or a BLAKE3 hash"`
	From    string `json:"from,omitempty" doc:"endpoint id, endpoint or blob ticket of who is asked; empty is the ticket's own endpoint"`
	Once    bool   `json:"once,omitempty" doc:"only what there is now, which is an error if it is nothing"`
}

// Observed is what a provider says it has of a blob.
type Observed struct {
	Hash     string      `json:"hash"`
	From     string      `json:"from" doc:"endpoint id of the provider"`
	Size     uint64      `json:"size" doc:"bytes of the blob; 0 when the provider has nothing"`
	Have     uint64      `json:"have" doc:"bytes that it has"`
	Ranges   [][2]uint64 `json:"ranges" doc:"what it has: first byte, and the one after the last"`
	Complete bool        `json:"complete"`
}

// Observe asks a provider what it has of a blob, and yields its answer and every change of it until all of the blob is there:
//
//	hash → blobs.Observe → provider's items, summed
//
// The root of a sequence is a blob like any other. Nothing that the provider says is proof.
func (s *Side) Observe(ctx context.Context, req ObserveRequest, yield func(Observed) error) error {
	var from []string
	if req.From != "" {
		from = []string{req.From}
	}
	t, err := naming.ParseSought(req.Content, false, from)
	if err != nil {
		return err
	}
	if len(t.From) == 0 {
		return fmt.Errorf("%w: name who is to be asked, with --from or by a ticket", naming.ErrInvalid)
	}
	conn, err := s.dialAddr(ctx, t.From[len(t.From)-1])
	if err != nil {
		return err
	}
	defer conn.CloseWithError(0, "")
	o, err := blobs.Observe(ctx, conn, t.Hash)
	if err != nil {
		return err
	}
	defer o.Close()
	for {
		there, err := o.Next()
		switch {
		case errors.Is(err, blobs.ErrNotFound):
			return fmt.Errorf("%w: %w", naming.ErrNotFound, err)
		case err != nil:
			return err
		case req.Once && !there.Complete() && observed(t.Hash, "", there).Have == 0:
			return fmt.Errorf("%w: %s has nothing of blob %s", naming.ErrNotFound, conn.RemoteID(), t.Hash)
		}
		if err := yield(observed(t.Hash, conn.RemoteID().String(), there)); err != nil {
			return err
		}
		if req.Once || there.Complete() {
			return nil
		}
	}
}

func observed(hash bao.Hash, from string, there blobs.Available) Observed {
	out := Observed{Hash: hash.String(), From: from, Size: there.Size, Ranges: [][2]uint64{}, Complete: there.Complete()}
	chunks := max(1, there.Size/bao.ChunkSize+min(1, there.Size%bao.ChunkSize))
	r := there.Ranges.Intersect(bao.Span(0, chunks))
	for i := 0; i < len(r); i += 2 {
		span := [2]uint64{r[i] * bao.ChunkSize, there.Size}
		if i+1 < len(r) && r[i+1] < chunks {
			span[1] = r[i+1] * bao.ChunkSize
		}
		if span[0] < span[1] {
			out.Have += span[1] - span[0]
			out.Ranges = append(out.Ranges, span)
		}
	}
	return out
}
