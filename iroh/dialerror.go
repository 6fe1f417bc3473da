package iroh

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls"
)

var (
	// ErrNoAddress is wrapped by the error of Dial when the peer's address has neither a usable UDP address nor a relay.
	ErrNoAddress = errors.New("no address to dial: ask for a ticket with direct addresses")

	// ErrRelayOnly is wrapped by the error of Dial when the peer can only be reached through a relay and the endpoint was
	// configured without relays.
	ErrRelayOnly = errors.New("only relays are named, and this endpoint uses none: configure relays, or ask for a ticket with direct addresses")

	// ErrWrongID is wrapped by the error of Dial when another endpoint than the wanted one answered.
	ErrWrongID = errors.New("another endpoint answers there")

	// ErrProtocol is wrapped by the error of Dial when the peer does not speak the wanted protocol (ALPN), or does not
	// authenticate itself in iroh's way.
	ErrProtocol = errors.New("the peer does not speak the protocol")

	// ErrNoAnswer is wrapped by the error of Dial when nobody answered.
	ErrNoAnswer = errors.New("no answer")
)

// DialError says why none of the addresses of an endpoint led to it.
type DialError struct {
	ID       key.EndpointID
	ALPN     string
	Attempts []AttemptError // in the order in which they failed
	Lookup   error          // why the resolver found no address; nil if it found some, or was not asked

	unusable error // why none of the addresses that were known could be tried
}

// AttemptError is the failure of one address.
type AttemptError struct {
	Addr  netip.AddrPort // zero for a relay
	Relay string         // URL of the relay that was tried; empty for a direct address
	Err   error          // of quic-go, or of the relay
}

// Error names every address with its failure, and what to do about the likeliest cause.
func (e *DialError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "endpoint %s: ", e.ID.ShortString())
	for i, a := range e.Attempts {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(a.Error())
	}
	switch {
	case e.Lookup != nil && len(e.Attempts) > 0:
		fmt.Fprintf(&b, "; and no other address was found: %v", e.Lookup)
	case e.Lookup != nil:
		fmt.Fprintf(&b, "no address was found: %v", e.Lookup)
	case len(e.Attempts) == 0:
		fmt.Fprintf(&b, "the addresses that were found are of no use: %v", e.unusable)
	}
	switch {
	case errors.Is(e, ErrProtocol):
		fmt.Fprintf(&b, ": check that the peer accepts %q", e.ALPN)
	case errors.Is(e, ErrWrongID):
		b.WriteString(": ask for a new ticket, the address belongs to somebody else now")
	case errors.Is(e, ErrNoAnswer):
		b.WriteString(": check that the peer is running, and that UDP to it is not blocked")
	}
	return b.String()
}

// Unwrap returns the errors of all attempts and of the lookup, and why there was nothing to try if that is so.
func (e *DialError) Unwrap() []error {
	var errs []error
	for _, a := range e.Attempts {
		errs = append(errs, a)
	}
	if e.Lookup != nil {
		errs = append(errs, e.Lookup)
	}
	if len(e.Attempts) == 0 && e.unusable != nil {
		errs = append(errs, e.unusable)
	}
	return errs
}

// Error names the address and the failure.
func (a AttemptError) Error() string {
	where := a.Relay
	if where == "" {
		where = a.Addr.String()
	}
	if kind := a.kind(); kind != nil {
		return fmt.Sprintf("%s: %v (%v)", where, kind, a.Err)
	}
	return fmt.Sprintf("%s: %v", where, a.Err)
}

// Unwrap returns the kind of failure, if it is one that this package names, and the error itself.
func (a AttemptError) Unwrap() []error {
	if kind := a.kind(); kind != nil {
		return []error{kind, a.Err}
	}
	return []error{a.Err}
}

// Alerts by which a TLS server refuses (RFC 8446, section 6.2; RFC 7301), as QUIC carries them (RFC 9001, section 4.8).
const (
	refusedHandshake = quic.TransportErrorCode(0x100 + 40)
	refusedALPN      = quic.TransportErrorCode(0x100 + 120)
)

func (a AttemptError) kind() error {
	if errors.Is(a.Err, rpktls.ErrPeerMismatch) {
		return ErrWrongID
	}
	if t, ok := errors.AsType[*quic.TransportError](a.Err); ok {
		if t.Remote && (t.ErrorCode == refusedHandshake || t.ErrorCode == refusedALPN) {
			return ErrProtocol
		}
		return nil
	}
	if n, ok := errors.AsType[net.Error](a.Err); ok && n.Timeout() {
		return ErrNoAnswer
	}
	return nil
}
