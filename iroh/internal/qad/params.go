package qad

import (
	"github.com/quic-go/quic-go/quicvarint"
)

// Transport parameters (RFC 9000, section 18.2, and iroh).
const (
	paramSourceID = 0x0f
	paramObserved = 0x9f81a176

	wantsReports = 1
)

// appendParameter adds observed_address to transport parameters: id and length and value, each a varint.
func appendParameter(params []byte) []byte {
	params = quicvarint.Append(params, paramObserved)
	params = quicvarint.Append(params, uint64(quicvarint.Len(wantsReports)))
	return quicvarint.Append(params, wantsReports)
}

// sourceID finds initial_source_connection_id, to which the peer sends its packets.
func sourceID(params []byte) ([]byte, bool) {
	c := cursor(params)
	for range maxParameters {
		id, ok := c.varint()
		if !ok {
			return nil, false
		}
		value, ok := c.sized()
		if !ok {
			return nil, false
		}
		if id == paramSourceID {
			return value, true
		}
	}
	return nil, false
}

// A cursor is what is left to read.
type cursor []byte

func (c *cursor) varint() (uint64, bool) {
	v, n, err := quicvarint.Parse(*c)
	if err != nil {
		return 0, false
	}
	*c = (*c)[n:]
	return v, true
}

func (c *cursor) bytes(n uint64) ([]byte, bool) {
	if n > uint64(len(*c)) {
		return nil, false
	}
	b := (*c)[:n]
	*c = (*c)[n:]
	return b, true
}

// sized reads a varint and as many bytes.
func (c *cursor) sized() ([]byte, bool) {
	n, ok := c.varint()
	if !ok {
		return nil, false
	}
	return c.bytes(n)
}
