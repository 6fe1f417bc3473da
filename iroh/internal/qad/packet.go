package qad

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/quic-go/quic-go/quicvarint"
)

// shortHeader finds the 1-RTT packet in a datagram: it is the last one if there is any, since it has no length (RFC 9000, section
// 12.2). The result is where it begins, and -1 if there is none.
func shortHeader(datagram []byte) int {
	c := cursor(datagram)
	for len(c) > 0 && c[0]&0x80 != 0 {
		if !c.long() {
			return -1
		}
	}
	if len(c) == 0 || c[0]&0x40 == 0 {
		return -1
	}
	return len(datagram) - len(c)
}

// long passes a packet with a long header: first byte, version (4), ids with a byte of length each; an Initial's token; length.
func (c *cursor) long() bool {
	const version, typeMask, initial, retry = 1, 0x30, 0x00, 0x30
	head, ok := c.bytes(5)
	if !ok || binary.BigEndian.Uint32(head[1:]) != version || head[0]&typeMask == retry {
		return false
	}
	for range 2 {
		n, ok := c.bytes(1)
		if !ok {
			return false
		}
		if _, ok := c.bytes(uint64(n[0])); !ok {
			return false
		}
	}
	if head[0]&typeMask == initial {
		if _, ok := c.sized(); !ok {
			return false
		}
	}
	_, ok = c.sized()
	return ok
}

// keys protect the 1-RTT packets of one direction (RFC 9001, section 5), for one key phase.
type keys struct {
	secret []byte
	aead   cipher.AEAD
	iv     [12]byte
}

// protection opens and seals the 1-RTT packets of one direction.
type protection struct {
	suite         uint16
	hash          func() hash.Hash
	mask          func(sample []byte) [5]byte // protects headers; the same in all phases
	phase         bool                        // of current
	current, next *keys
	largest       int64 // number of the last packet that was opened, -1 before
}

var errPacket = errors.New("qad: not a packet of this connection")

func newProtection(suite uint16, secret []byte) (*protection, error) {
	p := &protection{suite: suite, hash: sha256.New, largest: -1}
	size := 16
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		p.hash, size = sha512.New384, 32
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		size = 32
	default:
		return nil, fmt.Errorf("qad: cipher suite %#04x is unknown", suite)
	}
	hp, err := p.expand(secret, "quic hp", size)
	if err != nil {
		return nil, err
	}
	if suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		p.mask = chachaMask(hp)
	} else if p.mask, err = aesMask(hp); err != nil {
		return nil, err
	}
	if p.current, err = p.keys(secret); err != nil {
		return nil, err
	}
	after, err := p.expand(secret, "quic ku", len(secret))
	if err != nil {
		return nil, err
	}
	p.next, err = p.keys(after)
	return p, err
}

// expand is HKDF-Expand-Label of TLS 1.3 (RFC 8446, section 7.1) without a context.
func (p *protection) expand(secret []byte, label string, n int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	return hkdf.Expand(p.hash, secret, string(append(info, 0)), n)
}

func (p *protection) keys(secret []byte) (*keys, error) {
	size := 16
	if p.suite != tls.TLS_AES_128_GCM_SHA256 {
		size = 32
	}
	key, err := p.expand(secret, "quic key", size)
	if err != nil {
		return nil, err
	}
	iv, err := p.expand(secret, "quic iv", 12)
	if err != nil {
		return nil, err
	}
	k := &keys{secret: secret, iv: [12]byte(iv)}
	if p.suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		k.aead, err = chacha20poly1305.New(key)
		return k, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

func aesMask(hp []byte) (func([]byte) [5]byte, error) {
	block, err := aes.NewCipher(hp)
	return func(sample []byte) [5]byte {
		var out [aes.BlockSize]byte
		block.Encrypt(out[:], sample)
		return [5]byte(out[:])
	}, err
}

func chachaMask(hp []byte) func([]byte) [5]byte {
	return func(sample []byte) (mask [5]byte) {
		c, err := chacha20.NewUnauthenticatedCipher(hp, sample[4:16])
		if err != nil {
			return mask // lengths are right, so that it cannot be
		}
		c.SetCounter(binary.LittleEndian.Uint32(sample))
		c.XORKeyStream(mask[:], mask[:])
		return mask
	}
}

// opened is a packet without its protection.
type opened struct {
	keys    *keys
	nonce   [12]byte
	header  []byte
	payload []byte
}

// open takes the protection off a 1-RTT packet, which stays as it is. A key update (RFC 9001, section 6) is followed once a
// packet proves it; packets of the phase before it, which are late, are not opened any more.
func (p *protection) open(packet []byte, idLength int) (*opened, error) {
	const sampleSize, tag, reserved, phaseBit = 16, 16, 0x18, 0x04
	at := 1 + idLength
	if len(packet) < at+4+sampleSize {
		return nil, errPacket
	}
	mask := p.mask(packet[at+4 : at+4+sampleSize])
	first := packet[0] ^ mask[0]&0x1f
	length := int(first&3) + 1
	if first&reserved != 0 || len(packet) < at+length+tag {
		return nil, errPacket
	}
	o := &opened{header: append([]byte{first}, packet[1:at+length]...), keys: p.current}
	var short int64
	for i := range length {
		o.header[at+i] ^= mask[1+i]
		short = short<<8 | int64(o.header[at+i])
	}
	number := p.number(short, uint(8*length))
	updated := first&phaseBit != 0 != p.phase
	if updated {
		o.keys = p.next
	}
	o.nonce = o.keys.iv
	binary.BigEndian.PutUint64(o.nonce[4:], binary.BigEndian.Uint64(o.nonce[4:])^uint64(number))
	var err error
	if o.payload, err = o.keys.aead.Open(nil, o.nonce[:], packet[at+length:], o.header); err != nil {
		return nil, errPacket
	}
	p.largest = max(p.largest, number)
	if updated {
		return o, p.update()
	}
	return o, nil
}

// number is what a packet number was that is sent with its low bits only (RFC 9000, section A.3).
func (p *protection) number(short int64, bits uint) int64 {
	expected, window := p.largest+1, int64(1)<<bits
	n := expected&^(window-1) | short
	switch {
	case n <= expected-window/2 && n < quicvarint.Max-window:
		return n + window
	case n > expected+window/2 && n >= window:
		return n - window
	}
	return n
}

// update makes the next keys the current ones.
func (p *protection) update() error {
	secret, err := p.expand(p.next.secret, "quic ku", len(p.next.secret))
	if err != nil {
		return err
	}
	after, err := p.keys(secret)
	if err != nil {
		return err
	}
	p.current, p.next, p.phase = p.next, after, !p.phase
	return nil
}

// seal protects o's payload again, which still has its length, and puts it into the packet that it came from. The header's
// protection depends on what is protected.
func (p *protection) seal(o *opened, packet []byte) {
	at := len(o.header) - int(o.header[0]&3) - 1
	o.keys.aead.Seal(packet[:len(o.header)], o.nonce[:], o.payload, o.header)
	copy(packet, o.header)
	mask := p.mask(packet[at+4 : at+4+16])
	packet[0] ^= mask[0] & 0x1f
	for i := at; i < len(o.header); i++ {
		packet[i] ^= mask[1+i-at]
	}
}
