package record

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Keys of the attributes (iroh-dns 1.4, enum IrohAttr).
const (
	keyRelay    = "relay"
	keyAddr     = "addr"
	keyUserData = "user-data"
)

// Attributes returns the texts that stand for the usable part of the record, see [Record.Usable]. The error matches
// [ErrUnpublishable] and says what to change.
func (r Record) Attributes() ([]string, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	u := r.Usable()
	var out []string
	for _, relay := range u.Addr.Relays {
		out = append(out, keyRelay+"="+relay)
	}
	for _, direct := range u.Addr.Direct {
		out = append(out, keyAddr+"="+direct.String())
	}
	for _, custom := range u.Addr.Custom {
		out = append(out, customText(custom))
	}
	if u.UserData != "" {
		out = append(out, keyUserData+"="+u.UserData)
	}
	return out, nil
}

// Parse reads the attributes of an endpoint. What it does not know, cannot use, or finds beyond a limit it skips.
func Parse(id key.EndpointID, attributes []string) Record {
	r := Record{Addr: ticket.EndpointAddr{ID: id}}
	userData := false
	for _, attribute := range attributes {
		name, value, ok := strings.Cut(attribute, "=")
		if !ok || len(attribute) > maxAttribute {
			continue
		}
		switch name {
		case keyRelay:
			r.addRelay(value)
		case keyAddr:
			r.parseAddr(value)
		case keyUserData:
			if !userData {
				r.setUserData(value)
			}
			userData = true
		}
	}
	return r
}

func (r *Record) parseAddr(value string) {
	if direct, err := netip.ParseAddrPort(value); err == nil {
		r.addDirect(direct)
		return
	}
	number, data, ok := strings.Cut(value, "_")
	if !ok || data != strings.ToLower(data) {
		return
	}
	transport, err := strconv.ParseUint(number, 16, 64)
	if err != nil {
		return
	}
	raw, err := hex.DecodeString(data)
	if err != nil {
		return
	}
	r.addCustom(ticket.CustomAddr{Transport: transport, Data: raw})
}

func customText(c ticket.CustomAddr) string {
	return keyAddr + "=" + strconv.FormatUint(c.Transport, 16) + "_" + hex.EncodeToString(c.Data)
}
