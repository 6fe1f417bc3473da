package blobstest

import (
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// Between returns a connection of a new endpoint to a provider of cfg that takes pushes from it up to a quota.
func Between(t testing.TB, cfg provider.Config, quota uint64) *iroh.Conn {
	t.Helper()
	client := Endpoint(t)
	cfg.Push.Quota = quota
	cfg.Push.Peers = append(cfg.Push.Peers, client.ID())
	conn, err := client.Dial(Deadline(t), Provide(t, cfg), wire.ALPN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// Recorder keeps events.
type Recorder struct {
	mu     sync.Mutex
	events []provider.Event
}

// Event implements provider.Events.
func (r *Recorder) Event(e provider.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Of returns the events of a kind, after waiting for n of them.
func (r *Recorder) Of(t testing.TB, kind provider.Kind, n int) (found []provider.Event) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		found = nil
		for _, e := range r.events {
			if e.Kind == kind {
				found = append(found, e)
			}
		}
		r.mu.Unlock()
		if len(found) >= n {
			return found
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("%d events %v, want %d", len(found), kind, n)
		}
	}
}

// PolicyFunc is a policy that looks at hashes alone.
type PolicyFunc func(bao.Hash) bool

// Allow implements provider.Policy; nobody has no id.
func (f PolicyFunc) Allow(peer key.EndpointID, hash bao.Hash) bool { return !peer.IsZero() && f(hash) }
