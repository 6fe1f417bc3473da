package provider

import (
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// Events hears what a provider does: for logs, metrics, and to take what was pushed into use. It is called from many goroutines, in the
// order of what happened within a connection's request, and must not block.
type Events interface {
	Event(e Event)
}

// Kind says what happened.
type Kind uint8

// What happens. A connection has one Connected and one Disconnected, or a Refused alone. A request on it has one Requested and then one
// Completed or Aborted, or a Refused alone; between them each blob has one Started and, every mebibyte or so, a Progressed.
const (
	Connected    Kind = iota + 1 // a connection begins
	Disconnected                 // a connection ends; Err says why
	Refused                      // a connection (Stream is -1) or request is refused by policy or limits; Err says why
	Requested                    // a request was read and is about to be answered
	Started                      // a blob of an answer or push begins: Index, Hash, Size
	Progressed                   // Bytes of the request were moved so far
	Completed                    // the request was answered; Bytes in all
	Aborted                      // it was not; Err says why
)

// String returns the lower-case name.
func (k Kind) String() string {
	names := [...]string{"connected", "disconnected", "refused", "requested", "started", "progressed", "completed", "aborted"}
	if k == 0 || int(k) > len(names) {
		return "unknown"
	}
	return names[k-1]
}

// Event is one thing that happened. Fields that the kind does not name are zero.
type Event struct {
	Kind    Kind
	Peer    key.EndpointID
	Conn    uint64        // number of the connection, from 1
	Stream  int64         // QUIC's number of the stream within the connection; -1 for events of a connection
	Request wire.Request  // from Requested on; nil before
	Hash    bao.Hash      // the blob that the request names; of Started, the blob that begins. Zero for GetMany
	Index   uint64        // Started: the blob's place in the request
	Size    uint64        // Started: bytes of the blob, in a push what the peer claims
	Bytes   uint64        // sent on the wire or, by a push, received
	Took    time.Duration // Disconnected, Completed, Aborted: since the beginning
	Err     error
}

// event tells the configured listener, if there is one.
func (c *connection) event(e Event) {
	if events := c.provider.cfg.Events; events != nil {
		e.Peer, e.Conn = c.peer, c.number
		events.Event(e)
	}
}

// event is connection.event about this request.
func (a *answer) event(e Event) {
	if a.provider.cfg.Events == nil {
		return
	}
	e.Stream, e.Request = int64(a.stream.StreamID()), a.request
	if e.Kind != Started {
		e.Hash = a.root
	}
	a.connection.event(e)
}

// moved counts bytes and tells of them now and then.
func (a *answer) moved(n int) {
	before := a.sent
	a.sent += uint64(n)
	if before/progressEvery != a.sent/progressEvery {
		a.event(Event{Kind: Progressed, Bytes: a.sent})
	}
}
