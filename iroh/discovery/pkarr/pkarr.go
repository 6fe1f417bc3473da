package pkarr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

var (
	// ErrPacket says that bytes are no packet: too short, too long, no key, or a DNS message that is malformed.
	ErrPacket = errors.New("pkarr: malformed packet")
	// ErrSignature says that the key has not signed the packet.
	ErrSignature = errors.New("pkarr: the signature is not the key's")
	// ErrTooLarge says that a record does not fit a packet; publish fewer addresses.
	ErrTooLarge = errors.New("pkarr: the record does not fit a packet of 1,104 bytes, publish fewer addresses")
)

// DefaultTTL is the TTL of the DNS records, in seconds, that iroh uses.
const DefaultTTL = 30

// Packet is a signed packet. It is immutable; the zero value is invalid and only good to compare against.
type Packet struct {
	raw []byte // key, signature, timestamp, message
	rec record.Record
	ttl uint32
}

// Sign makes the packet of a record. The record's id is that of the key, whatever rec says. Micros is the timestamp in
// microseconds since 1970, which must rise from packet to packet; ttl is in seconds. The error is [ErrTooLarge], or
// matches record.ErrUnpublishable.
func Sign(secret key.SecretKey, rec record.Record, micros uint64, ttl uint32) (Packet, error) {
	id := secret.ID()
	rec.Addr.ID = id
	attributes, err := rec.Attributes()
	if err != nil {
		return Packet{}, fmt.Errorf("pkarr: %w", err)
	}
	message, err := buildMessage(id, attributes, ttl)
	if err != nil {
		return Packet{}, err
	}
	raw := make([]byte, 0, keyLen+headerPayload+len(message))
	raw = append(raw, id[:]...)
	raw = append(raw, secret.Sign(signable(micros, message))...)
	raw = binary.BigEndian.AppendUint64(raw, micros)
	raw = append(raw, message...)
	return Packet{raw: raw, rec: rec.Usable(), ttl: ttl}, nil
}

// Parse reads a whole packet and verifies it. The error matches [ErrPacket] or [ErrSignature]. It keeps no reference to b.
func Parse(b []byte) (Packet, error) {
	if len(b) < keyLen+headerPayload || len(b) > MaxPacket {
		return Packet{}, fmt.Errorf("%w: %d bytes, want %d to %d", ErrPacket, len(b), keyLen+headerPayload, MaxPacket)
	}
	id, err := key.EndpointIDFromBytes(b[:keyLen])
	if err != nil {
		return Packet{}, fmt.Errorf("%w: %w", ErrPacket, err)
	}
	p := Packet{raw: bytes.Clone(b)}
	if !id.Verify(signable(p.Micros(), p.message()), p.raw[keyLen:keyLen+signatureLen]) {
		return Packet{}, ErrSignature
	}
	attributes, ttl, err := parseMessage(id, p.message())
	if err != nil {
		return Packet{}, fmt.Errorf("%w: DNS message: %w", ErrPacket, err)
	}
	p.rec, p.ttl = record.Parse(id, attributes), ttl
	return p, nil
}

// ParsePayload reads what a relay gives for an id: a packet without its key. Errors are those of [Parse].
func ParsePayload(id key.EndpointID, payload []byte) (Packet, error) {
	if len(payload) > MaxPayload {
		return Packet{}, fmt.Errorf("%w: a payload of %d bytes, want at most %d", ErrPacket, len(payload), MaxPayload)
	}
	return Parse(append(id[:], payload...))
}

// IsZero reports whether p is the zero value.
func (p Packet) IsZero() bool { return p.raw == nil }

// ID is the key that has signed the packet.
func (p Packet) ID() key.EndpointID { return p.rec.ID() }

// Bytes returns a copy of the whole packet.
func (p Packet) Bytes() []byte { return bytes.Clone(p.raw) }

// Payload returns a copy of what a relay takes: the packet without its key.
func (p Packet) Payload() []byte { return bytes.Clone(p.raw[keyLen:]) }

// Micros is the timestamp, in microseconds since 1970.
func (p Packet) Micros() uint64 { return binary.BigEndian.Uint64(p.raw[keyLen+signatureLen:]) }

// Time is the timestamp as far as a time.Time can say it.
func (p Packet) Time() time.Time { return time.UnixMicro(int64(min(p.Micros(), math.MaxInt64))) }

// TTL is how long a resolver may keep the record: the least of its DNS records; zero when there are none.
func (p Packet) TTL() time.Duration { return time.Duration(p.ttl) * time.Second }

// Record returns what the packet says, without what cannot be used.
func (p Packet) Record() record.Record { return p.rec.Clone() }

// Newer reports whether p replaces o, both being packets of one key. Every packet replaces the zero value.
func (p Packet) Newer(o Packet) bool {
	switch {
	case p.IsZero() || o.IsZero():
		return o.IsZero() && !p.IsZero()
	case p.Micros() != o.Micros():
		return p.Micros() > o.Micros()
	}
	return bytes.Compare(p.message(), o.message()) > 0
}

func (p Packet) message() []byte { return p.raw[keyLen+headerPayload:] }

// signable is what is signed (BEP 44, "signature verification").
func signable(micros uint64, message []byte) []byte {
	b := append([]byte("3:seqi"), strconv.FormatUint(micros, 10)...)
	b = append(b, "e1:v"...)
	b = append(b, strconv.Itoa(len(message))...)
	b = append(b, ':')
	return append(b, message...)
}
