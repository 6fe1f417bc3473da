package rpktls

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/x509"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// spkiPrefix begins the DER of every Ed25519 SubjectPublicKeyInfo (RFC 8410); the 32 key bytes follow.
const spkiPrefix = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// parsePeerKey reads the one entry of a Certificate. An X.509 certificate or another kind of key is unsupported; an
// Ed25519 key that is not a usable point is a bad certificate.
func parsePeerKey(spki []byte) (key.EndpointID, error) {
	if len(spki) != len(spkiPrefix)+ed25519.PublicKeySize || !bytes.HasPrefix(spki, []byte(spkiPrefix)) {
		return key.EndpointID{}, wire.Fail(wire.UnsupportedCertificate, "peer's certificate is not a raw Ed25519 public key")
	}
	id, err := key.EndpointIDFromSPKI(spki)
	if err != nil {
		return key.EndpointID{}, wire.Fail(wire.BadCertificate, "peer's public key is not a valid Ed25519 key")
	}
	return id, nil
}

// peerCertificate dresses a raw public key as what tls.ConnectionState can hold.
func peerCertificate(id key.EndpointID) *x509.Certificate {
	spki := id.SPKI()
	return &x509.Certificate{
		Raw:                     spki,
		RawSubjectPublicKeyInfo: spki,
		PublicKeyAlgorithm:      x509.Ed25519,
		PublicKey:               ed25519.PublicKey(bytes.Clone(id[:])),
	}
}

// authenticate appends this side's Certificate, CertificateVerify and Finished to flight and to the transcript.
func (c *Conn) authenticate(flight, secret []byte) ([]byte, error) {
	raw, err := wire.AppendCertificate(nil, c.config.SecretKey.ID().SPKI())
	if err != nil {
		return nil, err
	}
	flight = c.append(flight, raw)
	raw, err = wire.AppendCertificateVerify(nil, c.config.SecretKey.Sign(wire.SignedContent(!c.isClient, c.keys.sum())))
	if err != nil {
		return nil, err
	}
	flight = c.append(flight, raw)
	mac, err := c.keys.finished(secret)
	if err != nil {
		return nil, err
	}
	if raw, err = wire.AppendFinished(nil, mac); err != nil {
		return nil, err
	}
	return c.append(flight, raw), nil
}

// append adds a message of ours to a flight and to the transcript.
func (c *Conn) append(flight, raw []byte) []byte {
	c.keys.write(raw)
	return append(flight, raw...)
}

// readCertificate takes the peer's key. It is believed only once CertificateVerify and Finished have been checked.
func (c *Conn) readCertificate(raw []byte) error {
	spki, err := wire.ParseCertificate(raw[wire.HeaderSize:])
	if err != nil {
		return err
	}
	if spki == nil {
		if c.isClient {
			return wire.Fail(wire.DecodeError, "server sent no public key") // RFC 8446, section 4.4.2.4
		}
		return wire.Fail(wire.CertificateRequired, "client sent no public key")
	}
	if c.peer, err = parsePeerKey(spki); err != nil {
		return err
	}
	if want := c.config.PeerID; want != nil && c.peer != *want {
		return &wire.Error{Alert: wire.UnknownCA, Reason: "wrong peer", Cause: ErrPeerMismatch}
	}
	c.keys.write(raw)
	c.state = stateCertificateVerify
	return nil
}

func (c *Conn) readCertificateVerify(raw []byte) error {
	signature, err := wire.ParseCertificateVerify(raw[wire.HeaderSize:])
	if err != nil {
		return err
	}
	if !c.peer.Verify(wire.SignedContent(c.isClient, c.keys.sum()), signature) {
		return wire.Fail(wire.DecryptError, "peer's signature is not valid")
	}
	c.keys.write(raw)
	c.state = stateFinished
	return nil
}

// checkFinished compares the peer's Finished with the transcript before it.
func (c *Conn) checkFinished(raw []byte) error {
	secret := c.clientSecret
	if c.isClient {
		secret = c.serverSecret
	}
	got, err := wire.ParseFinished(raw[wire.HeaderSize:], c.keys.size)
	if err != nil {
		return err
	}
	want, err := c.keys.finished(secret)
	if err != nil {
		return err
	}
	if !hmac.Equal(got, want) {
		return wire.Fail(wire.DecryptError, "peer's Finished does not match the handshake")
	}
	c.keys.write(raw)
	return nil
}
