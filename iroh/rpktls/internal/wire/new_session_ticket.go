package wire

import "golang.org/x/crypto/cryptobyte"

// ParseNewSessionTicket checks the form of a message whose content is of no use here (section 4.6.1):
//
//	lifetime(4) age_add(4) nonce<0..255> ticket<1..2^16-1> extensions<0..2^16-2>
func ParseNewSessionTicket(body []byte) error {
	s := cryptobyte.String(body)
	var nonce, ticket cryptobyte.String
	if !s.Skip(8) || !s.ReadUint8LengthPrefixed(&nonce) || !s.ReadUint16LengthPrefixed(&ticket) || ticket.Empty() {
		return malformed(TypeNewSessionTicket)
	}
	list, err := parseExtensions(&s, TypeNewSessionTicket, nil)
	if err != nil {
		return err
	}
	if !s.Empty() {
		return malformed(TypeNewSessionTicket)
	}
	e := Find(list, ExtEarlyData)
	if e == nil {
		return nil
	}
	var size uint32
	if s := cryptobyte.String(e.Data); !s.ReadUint32(&size) || !s.Empty() {
		return malformed(TypeNewSessionTicket)
	}
	if size != 0xffffffff { // RFC 9001, section 4.6.1
		return Fail(IllegalParameter, "NewSessionTicket with a limit of early data that QUIC forbids")
	}
	return nil
}
