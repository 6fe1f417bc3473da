package record

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Record is what an endpoint says of itself. The zero value is invalid: it has no id.
type Record struct {
	// Addr is the endpoint's id and where it may be reached, the preferred ones first.
	Addr ticket.EndpointAddr
	// UserData is a text of the application, at most [MaxUserData] bytes of UTF-8.
	UserData string
}

// ErrUnpublishable is matched by the errors of [Record.Attributes]: a record that iroh could not read.
var ErrUnpublishable = errors.New("record: cannot be published")

// New returns the record of an address without user data.
func New(addr ticket.EndpointAddr) Record { return Record{Addr: addr} }

// ID is the endpoint that the record is about.
func (r Record) ID() key.EndpointID { return r.Addr.ID }

// Empty reports whether the record names no way to reach the endpoint.
func (r Record) Empty() bool {
	return len(r.Addr.Relays)+len(r.Addr.Direct)+len(r.Addr.Custom) == 0
}

// Clone returns a copy that shares no memory with r.
func (r Record) Clone() Record {
	r.Addr.Relays = slices.Clone(r.Addr.Relays)
	r.Addr.Direct = slices.Clone(r.Addr.Direct)
	r.Addr.Custom = slices.Clone(r.Addr.Custom)
	for i, c := range r.Addr.Custom {
		r.Addr.Custom[i].Data = bytes.Clone(c.Data)
	}
	return r
}

// Equal reports whether both say the same, in the same order.
func (r Record) Equal(o Record) bool {
	return r.Addr.ID == o.Addr.ID && r.UserData == o.UserData &&
		slices.Equal(r.Addr.Relays, o.Addr.Relays) && slices.Equal(r.Addr.Direct, o.Addr.Direct) &&
		slices.EqualFunc(r.Addr.Custom, o.Addr.Custom, sameCustom)
}

func sameCustom(a, b ticket.CustomAddr) bool {
	return a.Transport == b.Transport && bytes.Equal(a.Data, b.Data)
}

// Merge returns r with what o says besides, as far as the limits of a record allow; r's own entries come first and its
// user data wins. The result shares no memory with either.
func (r Record) Merge(o Record) Record {
	out := r.Clone()
	for _, relay := range o.Addr.Relays {
		out.addRelay(relay)
	}
	for _, direct := range o.Addr.Direct {
		out.addDirect(direct)
	}
	for _, custom := range o.Addr.Custom {
		out.addCustom(ticket.CustomAddr{Transport: custom.Transport, Data: bytes.Clone(custom.Data)})
	}
	if out.UserData == "" {
		out.UserData = o.UserData
	}
	return out
}

// Usable returns the part of r that could also have been read from attributes: within the limits, without duplicates
// and without addresses that nothing can be sent to. It shares no memory with r.
func (r Record) Usable() Record {
	out := Record{Addr: ticket.EndpointAddr{ID: r.Addr.ID}}
	out = out.Merge(r)
	out.setUserData(r.UserData)
	return out
}

func (r *Record) addRelay(relay string) {
	if len(r.Addr.Relays) < MaxRelays && validRelay(relay) && !slices.Contains(r.Addr.Relays, relay) {
		r.Addr.Relays = append(r.Addr.Relays, relay)
	}
}

func (r *Record) addDirect(a netip.AddrPort) {
	a = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	if len(r.Addr.Direct) < MaxDirect && validDirect(a) && !slices.Contains(r.Addr.Direct, a) {
		r.Addr.Direct = append(r.Addr.Direct, a)
	}
}

func (r *Record) addCustom(c ticket.CustomAddr) {
	known := slices.ContainsFunc(r.Addr.Custom, func(o ticket.CustomAddr) bool { return sameCustom(c, o) })
	if len(r.Addr.Custom) < MaxCustom && len(customText(c)) <= maxAttribute && !known {
		r.Addr.Custom = append(r.Addr.Custom, c)
	}
}

func (r *Record) setUserData(text string) {
	r.UserData = ""
	if validUserData(text) {
		r.UserData = text
	}
}

// validRelay reports whether a relay URL is one that could be connected to.
func validRelay(text string) bool {
	if len(text) > MaxRelayURL || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}

// validDirect reports whether a packet can be sent to the address. A link-local one of IPv6 means nothing without the
// interface, which does not travel.
func validDirect(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() &&
		!(ip.Is6() && ip.IsLinkLocalUnicast()) && ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// validUserData reports whether a text is short enough, UTF-8, and harmless to print.
func validUserData(text string) bool {
	return len(text) <= MaxUserData && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// check says what of a record iroh could not read.
func (r Record) check() error {
	for _, relay := range r.Addr.Relays {
		if !validRelay(relay) || strings.Contains(relay, "=") {
			return fmt.Errorf("%w: relay URL %q: use http or https, at most %d ASCII bytes, no %q", ErrUnpublishable, relay, MaxRelayURL, "=")
		}
	}
	if !validUserData(r.UserData) {
		return fmt.Errorf("%w: user data: use at most %d bytes of UTF-8 without control characters", ErrUnpublishable, MaxUserData)
	}
	return nil
}
