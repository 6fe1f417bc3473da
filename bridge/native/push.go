package native

import (
	"context"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// PushRequest names content that is here, and who is to have it.
type PushRequest struct {
	Target    string `json:"target" doc:"endpoint id, endpoint or blob ticket of who is to have it, and has to allow it"`
	Content   string `json:"content" doc:"CID, BLAKE3 hash (with an s before it that of a sequence) or blob ticket of something here"`
	Recursive bool   `json:"recursive,omitempty" doc:"the hash is that of a sequence, whose children are pushed as well"`
}

// Pushed says what a push took.
type Pushed struct {
	EndpointID string  `json:"endpointId" doc:"who has it now"`
	Path       string  `json:"path" doc:"address or relay by which it went"`
	Hash       string  `json:"hash"`
	Format     string  `json:"format" enum:"raw,hashseq"`
	Blobs      int     `json:"blobs" doc:"blobs that were sent, whole or what was missing of them"`
	Skipped    int     `json:"skipped" doc:"blobs that the target had"`
	Bytes      uint64  `json:"bytes" doc:"bytes of blobs that were sent"`
	Seconds    float64 `json:"seconds"`
}

// Push brings a blob or a hash sequence that is here to another iroh node:
//
//	hash → store → blobs.Push → target
//
// It is done when the target says that it has all of it.
func (s *Side) Push(ctx context.Context, req PushRequest, p Progress) (Pushed, error) {
	hash, format, err := s.Here(ctx, req.Content, req.Recursive)
	if err != nil {
		return Pushed{}, err
	}
	conn, err := s.dial(ctx, req.Target)
	if err != nil {
		return Pushed{}, err
	}
	defer conn.CloseWithError(0, "")
	p.Item(hash.String(), -1)
	stats, err := blobs.Push(ctx, conn, blobs.PushConfig{Store: s.Store}, hash, format, newEach(p))
	switch {
	case errors.Is(err, blobs.ErrLimit):
		return Pushed{}, fmt.Errorf("%s takes pushes of ours, but not this one: its quota (push.quota of a bridge) has no room for it, or it has too many requests: %w", conn.RemoteID(), err)
	case errors.Is(err, blobs.ErrRefused):
		return Pushed{}, fmt.Errorf("%s takes no pushes of ours: its operator has to allow our endpoint id (push.peers of a bridge): %w", conn.RemoteID(), err)
	case err != nil:
		return Pushed{}, err
	}
	return Pushed{
		EndpointID: conn.RemoteID().String(), Path: conn.Path().String(), Hash: hash.String(), Format: format.String(),
		Blobs: stats.Blobs, Skipped: stats.Skipped, Bytes: stats.Bytes, Seconds: stats.Took.Seconds(),
	}, nil
}

// dial connects to an endpoint that is named by its id or a ticket.
func (s *Side) dial(ctx context.Context, text string) (*iroh.Conn, error) {
	addr, err := naming.ParseEndpoint(text)
	if err != nil {
		return nil, err
	}
	return s.dialAddr(ctx, addr)
}

func (s *Side) dialAddr(ctx context.Context, addr ticket.EndpointAddr) (*iroh.Conn, error) {
	if addr.ID == s.Presence.Endpoint.ID() {
		return nil, fmt.Errorf("%w: %s is this bridge itself", naming.ErrInvalid, addr.ID)
	}
	s.Presence.Learn(addr)
	return s.Presence.Endpoint.Dial(ctx, addr, blobs.ALPN)
}
