package ticket

import (
	"bytes"
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// EndpointAddr says who an endpoint is and where it may be reached.
type EndpointAddr struct {
	ID     key.EndpointID
	Relays []string         // home relays, as URLs such as "https://relay.example./"
	Direct []netip.AddrPort // UDP addresses
	Custom []CustomAddr     // addresses of other transports
}

// CustomAddr is an address of a transport that is neither UDP nor a relay.
type CustomAddr struct {
	Transport uint64
	Data      []byte
}

// Kinds of a TransportAddr in an endpoint ticket.
const (
	addrRelay  = 0
	addrIP     = 1
	addrCustom = 2
)

// relays returns the relay URLs in the form and order of the wire.
func (a EndpointAddr) relays() []string {
	var out []string
	for _, r := range a.Relays {
		out = append(out, normalURL(r))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// direct returns the addresses in the order of the wire: IPv4 before IPv6, then by
// address, then by port. Zones have no place there.
func (a EndpointAddr) direct() []netip.AddrPort {
	var out []netip.AddrPort
	for _, d := range a.Direct {
		if d.Addr().IsValid() {
			out = append(out, netip.AddrPortFrom(d.Addr().WithZone(""), d.Port()))
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out)
}

func (a EndpointAddr) custom() []CustomAddr {
	out := slices.Clone(a.Custom)
	slices.SortFunc(out, func(x, y CustomAddr) int {
		return cmp.Or(cmp.Compare(x.Transport, y.Transport), bytes.Compare(x.Data, y.Data))
	})
	return slices.CompactFunc(out, func(x, y CustomAddr) bool {
		return x.Transport == y.Transport && bytes.Equal(x.Data, y.Data)
	})
}

// appendShort appends the form that blob and node tickets share.
func (a EndpointAddr) appendShort(b []byte) []byte {
	b = append(b, a.ID[:]...)
	relays := a.relays()
	b = postcard.AppendBool(b, len(relays) > 0)
	if len(relays) > 0 {
		b = postcard.AppendString(b, relays[0])
	}
	direct := a.direct()
	b = postcard.AppendUint(b, uint64(len(direct)))
	for _, d := range direct {
		b = postcard.AppendAddrPort(b, d)
	}
	return b
}

// appendLong appends the form of endpoint tickets.
func (a EndpointAddr) appendLong(b []byte) []byte {
	relays, direct, custom := a.relays(), a.direct(), a.custom()
	b = append(b, a.ID[:]...)
	b = postcard.AppendUint(b, uint64(len(relays)+len(direct)+len(custom)))
	for _, r := range relays {
		b = postcard.AppendString(append(b, addrRelay), r)
	}
	for _, d := range direct {
		b = postcard.AppendAddrPort(append(b, addrIP), d)
	}
	for _, c := range custom {
		b = postcard.AppendUint(append(b, addrCustom), c.Transport)
		b = postcard.AppendBytes(b, c.Data)
	}
	return b
}

func readID(r *postcard.Reader) (key.EndpointID, error) {
	var raw [32]byte
	r.Fixed(raw[:])
	if r.Err() != nil {
		return key.EndpointID{}, r.Err()
	}
	return key.EndpointIDFromBytes(raw[:])
}

// readShort reads what appendShort writes, addresses in any order.
func readShort(r *postcard.Reader) (a EndpointAddr, err error) {
	if a.ID, err = readID(r); err != nil {
		return EndpointAddr{}, err
	}
	if r.Bool() {
		u := r.Text()
		if r.Err() == nil && !validURL(u) {
			return EndpointAddr{}, errURL
		}
		a.Relays = append(a.Relays, u)
	}
	// An address takes at least 6 bytes: kind, IPv4 and port.
	for range r.Count(6) {
		a.Direct = append(a.Direct, r.AddrPort())
	}
	return a, r.Err()
}

// readLong reads what appendLong writes, addresses in any order.
func readLong(r *postcard.Reader) (a EndpointAddr, err error) {
	if a.ID, err = readID(r); err != nil {
		return EndpointAddr{}, err
	}
	for range r.Count(2) {
		switch kind := r.U32(); {
		case r.Err() != nil:
			return EndpointAddr{}, r.Err()
		case kind == addrRelay:
			u := r.Text()
			if r.Err() == nil && !validURL(u) {
				return EndpointAddr{}, errURL
			}
			a.Relays = append(a.Relays, u)
		case kind == addrIP:
			a.Direct = append(a.Direct, r.AddrPort())
		case kind == addrCustom:
			t := r.U64()
			a.Custom = append(a.Custom, CustomAddr{Transport: t, Data: bytes.Clone(r.Bytes())})
		default:
			return EndpointAddr{}, errAddrKind
		}
	}
	return a, r.Err()
}

// validURL reports whether a relay URL is absolute, names a host and has nothing
// in it that could disturb a terminal or a log.
func validURL(s string) bool {
	if len(s) > maxURLLen || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// normalURL writes a relay URL as iroh does, as far as relay URLs go. What is no
// URL stays as it is.
func normalURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return s
	}
	u.Host = strings.ToLower(u.Host)
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}
