// Package native is a bridge's side in the iroh network, in iroh's own words: hashes, tickets and endpoint ids, and no CIDs. It serves
// the blobs of the store, and it fetches, pushes and observes.
//
// # What is here
//
// A [Stock] is what iroh peers can have of us: any blob of the store. Some of them are in links, some are kept without one, see
// package keeping.
//
// # The ways
//
//	fetch    fetch.go     hash → tag → downloader.Downloader → store
//	push     push.go      hash → store → blobs.Push → target
//	observe  observe.go   hash → blobs.Observe → provider's items, summed
//	served   events.go    blobs.Provider → log; a push → tag of who pushed
//
// # Trust
//
// Bytes are verified by packages blobs and provider before they are stored. Who may push is configured; everybody may have
// everything.
package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/bridge/presence"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Progress hears what is worked on, and how many bytes of it are done.
type Progress interface {
	Item(name string, size int64)
	Bytes(n uint64)
}

// BlobProgress is a Progress that wants to hear how far each blob is as well. Several may be on their way at the same time.
type BlobProgress interface {
	Progress
	Blob(name string, have, size uint64)
}

// Side is the endpoint in its network, and what is done with it. Close ends it.
type Side struct {
	*Stock
	Presence *presence.Presence

	stays      bool // it is a daemon's
	provider   *blobs.Provider
	downloader *downloader.Downloader
	log        *slog.Logger
	life       context.Context
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// Open starts the endpoint and serves the stock. One that does not stay is that of a command, and ends with it.
func Open(cfg config.Config, secret key.SecretKey, stock *Stock, stays bool, log *slog.Logger) (*Side, error) {
	s := &Side{Stock: stock, stays: stays, log: log}
	var err error
	if s.Presence, err = presence.Open(cfg, secret, []string{blobs.ALPN}, log); err != nil {
		return nil, fmt.Errorf("iroh: %w", err)
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.provider = blobs.NewProvider(provider.Config{
		Store: s.Store, Push: pushConfig(cfg.Push), Limits: providerLimits(cfg.Provider), Events: listener{s}, Leaving: leaving{s}, Logger: log,
	})
	s.downloader = downloader.New(downloader.Config{Store: s.Store, Endpoint: s.Presence.Endpoint, Logger: log})
	s.running.Go(s.accept)
	return s, nil
}

// Addr is where tickets say that the endpoint is. Where one is that does not stay will be nobody's: then it is the id alone.
func (s *Side) Addr() ticket.EndpointAddr {
	if !s.stays {
		return ticket.EndpointAddr{ID: s.Presence.Endpoint.ID()}
	}
	return s.Presence.Endpoint.Addr()
}

// Close ends the endpoint and what surrounds it, and waits until nobody is served any more.
func (s *Side) Close() error {
	s.stop()
	err := s.Presence.Close()
	s.running.Wait()
	if err != nil {
		return fmt.Errorf("iroh: %w", err)
	}
	return nil
}

// Dropped is to be called when kept items were dropped: what was pushed of them gives its room to the next push.
func (s *Side) Dropped() { s.provider.Recount() }

// accept serves connections until the endpoint closes.
func (s *Side) accept() {
	for {
		conn, err := s.Presence.Endpoint.Accept(s.life)
		if err != nil {
			if s.life.Err() == nil {
				s.log.Error("no iroh connection is accepted any more", "err", err)
			}
			return
		}
		s.running.Go(func() {
			err := s.provider.Serve(s.life, conn)
			if err != nil && !errors.Is(err, context.Canceled) {
				s.log.Debug("iroh connection ended", "endpoint", conn.RemoteID().ShortString(), "err", err)
			}
		})
	}
}
