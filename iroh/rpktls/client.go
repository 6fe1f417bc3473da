package rpktls

import (
	"crypto/tls"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// sendClientHello writes the first message, or asks for the transport parameters that it needs.
func (c *Conn) sendClientHello() error {
	if c.params == nil {
		c.state = stateParams
		c.emit(tls.QUICTransportParametersRequired, 0, nil)
		return nil
	}
	if len(c.params) > maxTransportParameters {
		return wire.Internal("our transport parameters are too long", nil)
	}
	random, err := c.config.random(wire.RandomSize)
	if err != nil {
		return err
	}
	if c.ephemeral, err = c.newEphemeral(); err != nil {
		return err
	}
	share := c.ephemeral.PublicKey().Bytes()
	c.hello = wire.NewClientHello(random, c.suites, share, c.config.ALPN, c.params)
	if c.firstHello, err = c.hello.Append(nil); err != nil {
		return err
	}
	c.emit(tls.QUICWriteData, tls.QUICEncryptionLevelInitial, c.firstHello)
	c.state = stateServerHello
	return nil
}

func (c *Conn) readServerHello(raw []byte) error {
	m, err := wire.ParseServerHello(raw[wire.HeaderSize:])
	if err != nil {
		return err
	}
	if err := c.checkServerHello(m); err != nil {
		return err
	}
	if err := c.drained(); err != nil {
		return err
	}
	if c.keys == nil {
		if c.keys, err = newSchedule(m.Suite); err != nil {
			return err
		}
		c.keys.write(c.firstHello)
		c.firstHello = nil
	}
	if m.IsRetry {
		return c.retryClientHello(m, raw)
	}
	if m.Share.Group != wire.GroupX25519 {
		return wire.Fail(wire.IllegalParameter, "server chose a group that was not offered, or none")
	}
	shared, err := sharedSecret(c.ephemeral, m.Share.Data)
	if err != nil {
		return err
	}
	defer clear(shared)
	c.keys.write(raw)
	if c.clientSecret, c.serverSecret, err = c.keys.handshake(shared); err != nil {
		return err
	}
	c.emit(tls.QUICSetWriteSecret, tls.QUICEncryptionLevelHandshake, c.clientSecret)
	c.setReadSecret(tls.QUICEncryptionLevelHandshake, c.serverSecret)
	c.state = stateEncryptedExtensions
	return nil
}

// checkServerHello checks what holds for a ServerHello and for a HelloRetryRequest.
func (c *Conn) checkServerHello(m *wire.ServerHello) error {
	switch {
	case m.Version == 0:
		return wire.Fail(wire.ProtocolVersion, "server chose a version before TLS 1.3")
	case m.Version != wire.VersionTLS13 || m.LegacyVersion != wire.VersionTLS12:
		return wire.Fail(wire.IllegalParameter, "server chose a version that was not offered")
	case len(m.SessionID) != 0:
		return wire.Fail(wire.IllegalParameter, "server did not echo the empty session id")
	case m.Compression != 0:
		return wire.Fail(wire.IllegalParameter, "server chose a compression")
	case !slices.Contains(c.hello.Suites, m.Suite):
		return wire.Fail(wire.IllegalParameter, "server chose a cipher suite that was not offered")
	case c.retried && m.IsRetry:
		return wire.Fail(wire.UnexpectedMessage, "second HelloRetryRequest")
	case c.retried && m.Suite != c.keys.suite:
		return wire.Fail(wire.IllegalParameter, "server changed the cipher suite after HelloRetryRequest")
	}
	return nil
}

// retryClientHello answers a HelloRetryRequest (RFC 8446, section 4.1.4). Since our hello offers a single group and has
// its share, a request for a share is a request for what was sent or was not offered, and illegal; what remains is a
// cookie, to be sent back.
func (c *Conn) retryClientHello(m *wire.ServerHello, raw []byte) error {
	if wire.Find(m.Extensions, wire.ExtKeyShare) != nil {
		return wire.Fail(wire.IllegalParameter, "HelloRetryRequest for a group that has a share or was not offered")
	}
	if m.Cookie == nil {
		return wire.Fail(wire.IllegalParameter, "HelloRetryRequest that changes nothing")
	}
	c.retried = true
	c.keys.retry()
	c.keys.write(raw)
	c.hello.SetCookie(m.Cookie)
	second, err := c.hello.Append(nil)
	if err != nil {
		return err
	}
	if len(second) > maxBuffered {
		return wire.Fail(wire.IllegalParameter, "HelloRetryRequest with a cookie that is too long")
	}
	c.keys.write(second)
	c.emit(tls.QUICWriteData, tls.QUICEncryptionLevelInitial, second)
	return nil
}

func (c *Conn) readEncryptedExtensions(raw []byte) error {
	m, err := wire.ParseEncryptedExtensions(raw[wire.HeaderSize:])
	if err != nil {
		return err
	}
	if m.ALPN == nil || !slices.Contains(c.config.ALPN, m.ALPN[0]) {
		// RFC 9001, section 8.1: this alert, also from a client.
		return wire.Fail(wire.NoApplicationProtocol, "server did not choose an application protocol that was offered")
	}
	if wire.Find(m.Extensions, wire.ExtTransportParameters) == nil {
		return wire.Fail(wire.MissingExtension, "server sent no transport parameters")
	}
	if err := checkCertTypes(m); err != nil {
		return err
	}
	c.keys.write(raw)
	c.negotiated(m.ALPN[0])
	c.emit(tls.QUICTransportParameters, 0, m.Params)
	c.state = stateCertificateRequest
	return nil
}

// checkCertTypes refuses a server that did not agree on raw public keys for both sides. Without the extension the type
// is X.509 by default: that is a failed negotiation, and the alert is the one that iroh sends. Another type than the
// only one we listed is a lie.
func checkCertTypes(m *wire.EncryptedExtensions) error {
	if m.ClientType == nil || m.ServerType == nil {
		return wire.Fail(wire.HandshakeFailure, "server does not use raw public keys")
	}
	if m.ClientType[0] != wire.CertTypeRawPublicKey || m.ServerType[0] != wire.CertTypeRawPublicKey {
		return wire.Fail(wire.IllegalParameter, "server chose a certificate type that was not offered")
	}
	return nil
}

// readCertificateRequest: a server that asks for no key would not know who we are, so the message is not optional here.
func (c *Conn) readCertificateRequest(raw []byte) error {
	if err := wire.ParseCertificateRequest(raw[wire.HeaderSize:]); err != nil {
		return err
	}
	c.keys.write(raw)
	c.state = stateCertificate
	return nil
}

func (c *Conn) readServerFinished(raw []byte) error {
	if err := c.checkFinished(raw); err != nil {
		return err
	}
	if err := c.drained(); err != nil {
		return err
	}
	clientApp, serverApp, err := c.keys.application()
	if err != nil {
		return err
	}
	defer clear(clientApp)
	defer clear(serverApp)
	flight, err := c.authenticate(nil, c.clientSecret)
	if err != nil {
		return err
	}
	c.emit(tls.QUICWriteData, tls.QUICEncryptionLevelHandshake, flight)
	c.emit(tls.QUICSetWriteSecret, tls.QUICEncryptionLevelApplication, clientApp)
	c.complete(serverApp)
	return nil
}
