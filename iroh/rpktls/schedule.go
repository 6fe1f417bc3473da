package rpktls

import (
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"hash"
	"slices"

	"golang.org/x/sys/cpu"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// preferredSuites lists the suites from the best to the worst for this machine: AES with 128 bits where the processor
// has instructions for it, otherwise ChaCha20-Poly1305, since AES in software is slow and leaks through the cache. In
// FIPS 140 mode quic-go has no ChaCha20-Poly1305.
func preferredSuites() []uint16 {
	suites := []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384}
	hardware := cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL ||
		cpu.S390X.HasAES && cpu.S390X.HasAESGCM
	switch {
	case fips140.Enabled():
		return suites
	case hardware:
		return append(suites, tls.TLS_CHACHA20_POLY1305_SHA256)
	default:
		return append([]uint16{tls.TLS_CHACHA20_POLY1305_SHA256}, suites...)
	}
}

// chooseSuite is the first of ours that the client offers, or 0. A client that puts ChaCha20-Poly1305 first has no AES
// instructions, so it gets that one (as in RFC 8446, section B.4, either is as good).
func chooseSuite(ours, offered []uint16) uint16 {
	if chacha := tls.TLS_CHACHA20_POLY1305_SHA256; offered[0] == chacha && slices.Contains(ours, chacha) {
		return chacha
	}
	for _, id := range ours {
		if slices.Contains(offered, id) {
			return id
		}
	}
	return 0
}

// schedule is the key schedule of RFC 8446, section 7.1, without PSK, and the transcript that it takes in:
//
//	early     = Extract(0, 0)
//	handshake = Extract(Derive(early, "derived"), ECDHE)     → c hs traffic, s hs traffic   (hash up to ServerHello)
//	master    = Extract(Derive(handshake, "derived"), 0)     → c ap traffic, s ap traffic   (hash up to server Finished)
type schedule struct {
	suite      uint16
	newHash    func() hash.Hash
	size       int // of the hash, and so of every secret
	transcript hash.Hash
	secret     []byte // the latest of early, handshake, master
}

// newSchedule starts at the early secret with an empty transcript.
func newSchedule(suite uint16) (*schedule, error) {
	k := &schedule{suite: suite, newHash: sha256.New}
	if suite == tls.TLS_AES_256_GCM_SHA384 {
		k.newHash = sha512.New384
	}
	k.transcript = k.newHash()
	k.size = k.transcript.Size()
	return k, k.extract(make([]byte, k.size), nil)
}

// extract replaces the secret by Extract(salt, key).
func (k *schedule) extract(key, salt []byte) error {
	secret, err := hkdf.Extract(k.newHash, key, salt)
	if err != nil {
		return wire.Internal("key schedule", err)
	}
	clear(k.secret)
	k.secret = secret
	return nil
}

// expand is HKDF-Expand-Label (RFC 8446, section 7.1), as long as the hash.
func (k *schedule) expand(secret []byte, label string, context []byte) ([]byte, error) {
	const prefix = "tls13 "
	info := []byte{byte(k.size >> 8), byte(k.size), byte(len(prefix) + len(label))}
	info = append(info, prefix...)
	info = append(info, label...)
	info = append(info, byte(len(context)))
	info = append(info, context...)
	out, err := hkdf.Expand(k.newHash, secret, string(info), k.size)
	if err != nil {
		return nil, wire.Internal("key schedule", err)
	}
	return out, nil
}

// step goes to the next secret: Extract(Derive(secret, "derived", no messages), key).
func (k *schedule) step(key []byte) error {
	salt, err := k.expand(k.secret, "derived", k.newHash().Sum(nil))
	if err != nil {
		return err
	}
	return k.extract(key, salt)
}

// traffic derives the secrets of client and server for the transcript so far.
func (k *schedule) traffic(clientLabel, serverLabel string) (client, server []byte, err error) {
	sum := k.sum()
	if client, err = k.expand(k.secret, clientLabel, sum); err != nil {
		return nil, nil, err
	}
	server, err = k.expand(k.secret, serverLabel, sum)
	return client, server, err
}

// handshake goes to the handshake secret; the transcript ends with the ServerHello.
func (k *schedule) handshake(shared []byte) (client, server []byte, err error) {
	if err := k.step(shared); err != nil {
		return nil, nil, err
	}
	return k.traffic("c hs traffic", "s hs traffic")
}

// application goes to the master secret; the transcript ends with the server's Finished.
func (k *schedule) application() (client, server []byte, err error) {
	if err := k.step(make([]byte, k.size)); err != nil {
		return nil, nil, err
	}
	return k.traffic("c ap traffic", "s ap traffic")
}

// finished is the HMAC in the Finished of the side with the given handshake traffic secret.
func (k *schedule) finished(secret []byte) ([]byte, error) {
	key, err := k.expand(secret, "finished", nil)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(k.newHash, key)
	mac.Write(k.sum())
	return mac.Sum(nil), nil
}

// write adds a whole message to the transcript.
func (k *schedule) write(message []byte) { k.transcript.Write(message) }

func (k *schedule) sum() []byte { return k.transcript.Sum(nil) }

// retry replaces the transcript of the first ClientHello by a message that holds its hash (RFC 8446, section 4.4.1).
func (k *schedule) retry() {
	sum := k.sum()
	k.transcript.Reset()
	k.write([]byte{byte(wire.TypeMessageHash), 0, 0, byte(len(sum))})
	k.write(sum)
}
