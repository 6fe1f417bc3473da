package rpktls

import (
	"crypto/tls"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// readClientHello answers the first hello, or the second after a HelloRetryRequest.
func (c *Conn) readClientHello(raw []byte) error {
	m, err := wire.ParseClientHello(raw[wire.HeaderSize:])
	if err != nil {
		return err
	}
	if err := checkHello(m); err != nil {
		return err
	}
	if c.retried {
		if err := checkSecondHello(m, c.hello); err != nil {
			return err
		}
	}
	suite, alpn, err := c.negotiate(m)
	if err != nil {
		return err
	}
	if err := c.drained(); err != nil {
		return err
	}
	c.hello = m
	if c.keys == nil {
		if c.keys, err = newSchedule(suite); err != nil {
			return err
		}
	}
	c.keys.write(raw)
	share := m.Share(wire.GroupX25519)
	if share == nil {
		return c.sendRetryRequest()
	}
	c.negotiated(alpn)
	return c.sendServerHello(share)
}

func has(m *wire.ClientHello, typ uint16) bool { return wire.Find(m.Extensions, typ) != nil }

// checkHello checks what RFC 8446 and 9001 demand of every ClientHello, whatever it offers.
func checkHello(m *wire.ClientHello) error {
	if !slices.Contains(m.Versions, wire.VersionTLS13) {
		return wire.Fail(wire.ProtocolVersion, "client does not offer TLS 1.3")
	}
	for _, v := range m.Versions {
		if v < wire.VersionTLS13 { // RFC 9001, section 4.2
			return wire.Fail(wire.ProtocolVersion, "client offers a version before TLS 1.3")
		}
	}
	for _, typ := range []uint16{wire.ExtSupportedGroups, wire.ExtKeyShare, wire.ExtSignatureAlgorithms, wire.ExtTransportParameters} {
		if !has(m, typ) {
			return wire.Fail(wire.MissingExtension, "ClientHello without extension %d", typ)
		}
	}
	switch {
	case m.LegacyVersion != wire.VersionTLS12:
		return wire.Fail(wire.IllegalParameter, "ClientHello with a wrong legacy version")
	case len(m.SessionID) != 0: // RFC 9001, section 8.4
		return wire.Fail(wire.IllegalParameter, "ClientHello with a session id")
	case len(m.Compression) != 1 || m.Compression[0] != 0:
		return wire.Fail(wire.IllegalParameter, "client offers compression")
	case has(m, wire.ExtCookie): // we give none out
		return wire.Fail(wire.IllegalParameter, "ClientHello with a cookie")
	case has(m, wire.ExtPreSharedKey) && !has(m, wire.ExtPSKModes):
		return wire.Fail(wire.MissingExtension, "pre_shared_key without psk_key_exchange_modes")
	case has(m, wire.ExtEarlyData) && !has(m, wire.ExtPreSharedKey):
		return wire.Fail(wire.IllegalParameter, "early_data without pre_shared_key")
	}
	for _, s := range m.Shares {
		if !slices.Contains(m.Groups, s.Group) {
			return wire.Fail(wire.IllegalParameter, "key share for a group that is not in supported_groups")
		}
	}
	return nil
}

// checkSecondHello checks the answer to our HelloRetryRequest.
func checkSecondHello(m, first *wire.ClientHello) error {
	switch {
	case len(m.Shares) != 1 || m.Share(wire.GroupX25519) == nil:
		return wire.Fail(wire.IllegalParameter, "second ClientHello without the one key share asked for")
	case has(m, wire.ExtEarlyData):
		return wire.Fail(wire.IllegalParameter, "second ClientHello with early data")
	case !m.IsRetryOf(first):
		return wire.Fail(wire.IllegalParameter, "second ClientHello differs from the first")
	}
	return nil
}

// negotiate chooses from what the client offers, or says what is not in common. PSKs and early data are passed over: a
// client that offered them gets a full handshake.
func (c *Conn) negotiate(m *wire.ClientHello) (suite uint16, alpn string, err error) {
	if suite = chooseSuite(c.suites, m.Suites); suite == 0 {
		return 0, "", wire.Fail(wire.HandshakeFailure, "no cipher suite in common")
	}
	if !slices.Contains(m.Groups, wire.GroupX25519) {
		return 0, "", wire.Fail(wire.HandshakeFailure, "client does not offer X25519")
	}
	if !slices.Contains(m.Signatures, wire.SchemeEd25519) {
		return 0, "", wire.Fail(wire.HandshakeFailure, "client does not accept Ed25519 signatures")
	}
	for _, types := range [][]byte{m.ClientTypes, m.ServerTypes} {
		switch {
		case types == nil: // X.509 by default; the alert is the one that iroh sends
			return 0, "", wire.Fail(wire.HandshakeFailure, "client does not negotiate certificate types")
		case !slices.Contains(types, wire.CertTypeRawPublicKey): // RFC 7250, section 4.2
			return 0, "", wire.Fail(wire.UnsupportedCertificate, "client does not use raw public keys")
		}
	}
	for _, name := range c.config.ALPN {
		if slices.Contains(m.ALPN, name) {
			return suite, name, nil
		}
	}
	return 0, "", wire.Fail(wire.NoApplicationProtocol, "no application protocol in common")
}

// sendRetryRequest asks a client that supports X25519, but sent shares of other groups only, for its share.
func (c *Conn) sendRetryRequest() error {
	raw, err := wire.NewHelloRetryRequest(c.keys.suite).Append(nil)
	if err != nil {
		return err
	}
	c.retried = true
	c.keys.retry()
	c.keys.write(raw)
	c.emit(tls.QUICWriteData, tls.QUICEncryptionLevelInitial, raw)
	return nil
}

// sendServerHello answers with our share and goes over to handshake keys; the rest of the flight needs our transport
// parameters, which the caller may want to choose after it has seen the client's.
func (c *Conn) sendServerHello(share []byte) error {
	ephemeral, err := c.newEphemeral()
	if err != nil {
		return err
	}
	shared, err := sharedSecret(ephemeral, share)
	if err != nil {
		return err
	}
	defer clear(shared)
	random, err := c.config.random(wire.RandomSize)
	if err != nil {
		return err
	}
	raw, err := wire.NewServerHello(random, c.keys.suite, ephemeral.PublicKey().Bytes()).Append(nil)
	if err != nil {
		return err
	}
	c.keys.write(raw)
	if c.clientSecret, c.serverSecret, err = c.keys.handshake(shared); err != nil {
		return err
	}
	c.emit(tls.QUICTransportParameters, 0, c.hello.Params)
	c.emit(tls.QUICWriteData, tls.QUICEncryptionLevelInitial, raw)
	c.emit(tls.QUICSetWriteSecret, tls.QUICEncryptionLevelHandshake, c.serverSecret)
	c.setReadSecret(tls.QUICEncryptionLevelHandshake, c.clientSecret)
	if c.params == nil {
		c.state = stateParams
		c.emit(tls.QUICTransportParametersRequired, 0, nil)
		return nil
	}
	return c.sendServerFlight()
}

// sendServerFlight writes EncryptedExtensions to Finished.
func (c *Conn) sendServerFlight() error {
	if len(c.params) > maxTransportParameters {
		return wire.Internal("our transport parameters are too long", nil)
	}
	raw, err := wire.NewEncryptedExtensions(c.connState.NegotiatedProtocol, c.params).Append(nil)
	if err != nil {
		return err
	}
	flight := c.append(nil, raw)
	if raw, err = wire.AppendCertificateRequest(nil); err != nil {
		return err
	}
	flight = c.append(flight, raw)
	if flight, err = c.authenticate(flight, c.serverSecret); err != nil {
		return err
	}
	clientApp, serverApp, err := c.keys.application()
	if err != nil {
		return err
	}
	defer clear(serverApp)
	c.appSecret = clientApp
	c.emit(tls.QUICWriteData, tls.QUICEncryptionLevelHandshake, flight)
	c.emit(tls.QUICSetWriteSecret, tls.QUICEncryptionLevelApplication, serverApp)
	c.state = stateCertificate
	return nil
}

// readClientFinished completes the handshake. Packets under application keys must not be read before (RFC 9001,
// section 5.7), so the secret comes only now.
func (c *Conn) readClientFinished(raw []byte) error {
	if err := c.checkFinished(raw); err != nil {
		return err
	}
	if err := c.drained(); err != nil {
		return err
	}
	c.complete(c.appSecret)
	return nil
}
