package rpktls

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

var (
	// ErrPeerMismatch is wrapped by the error of a client whose server holds another key than Config.PeerID.
	ErrPeerMismatch = errors.New("peer has another endpoint id than expected")

	// ErrClosed is wrapped by the error of a call on a closed Conn.
	ErrClosed = errors.New("connection is closed")
)

// state is what a Conn waits for.
type state uint8

const (
	stateNew                 state = iota
	stateParams                    // our transport parameters, from the caller
	stateClientHello               // server; the second one too
	stateServerHello               // client; HelloRetryRequest too
	stateEncryptedExtensions       // client
	stateCertificateRequest        // client
	stateCertificate
	stateCertificateVerify
	stateFinished
	stateConnected
)

// Conn is one side of a handshake. Its methods follow [tls.QUICConn]: call Start, then HandleData whenever the peer's
// CRYPTO data arrives, and after each of these, and after SetTransportParameters, NextEvent until it says
// [tls.QUICNoEvent].
//
// All methods may be called from any goroutine; the order of calls is the caller's to keep.
type Conn struct {
	config   *Config
	isClient bool
	suites   []uint16 // ours, best first

	mu        sync.Mutex // ConnectionState is called beside the QUIC connection's own loop
	state     state
	readLevel tls.QUICEncryptionLevel
	in        []byte // handshake bytes at readLevel, not handled yet
	events    []tls.QUICEvent
	err       error // final
	errShown  bool  // as an event
	params    []byte
	connState tls.ConnectionState
	tickets   int

	keys         *schedule
	ephemeral    *ecdh.PrivateKey  // client
	firstHello   []byte            // client: our ClientHello, until the suite and so the transcript's hash is known
	hello        *wire.ClientHello // client: what we sent; server: what we answer
	retried      bool              // there was a HelloRetryRequest
	clientSecret []byte            // handshake traffic secrets, for the Finished messages
	serverSecret []byte
	appSecret    []byte // server: the client's application traffic secret, kept until its Finished
	peer         key.EndpointID
}

// Client returns a client for one handshake with the endpoint cfg.PeerID.
func Client(cfg *Config) *Conn {
	return &Conn{config: cfg, isClient: true, suites: preferredSuites(), readLevel: tls.QUICEncryptionLevelInitial}
}

// Server returns a server for one handshake.
func Server(cfg *Config) *Conn {
	return &Conn{config: cfg, suites: preferredSuites(), readLevel: tls.QUICEncryptionLevelInitial}
}

// Start begins the handshake; a client writes its ClientHello. It fails when the configuration is unusable or ctx is
// done; ctx is not used afterwards, since nothing here waits.
func (c *Conn) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if c.state != stateNew {
		return c.end(wire.Internal("Start called twice", nil))
	}
	if err := ctx.Err(); err != nil {
		return c.end(wire.Internal("starting", err))
	}
	if err := c.config.validate(c.isClient); err != nil {
		return c.end(wire.Internal("configuration", err))
	}
	if !c.isClient {
		c.state = stateClientHello
		return nil
	}
	return c.end(c.sendClientHello())
}

// HandleData takes CRYPTO data of the given encryption level, in order and without gaps; messages may be cut anywhere.
// Every error wraps a [tls.AlertError] and is final. data is not kept.
func (c *Conn) HandleData(level tls.QUICEncryptionLevel, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case c.state == stateNew:
		return c.end(wire.Internal("HandleData called before Start", nil))
	case level != c.readLevel:
		return c.end(wire.Fail(wire.UnexpectedMessage, "handshake data at level %s instead of %s", level, c.readLevel))
	case len(c.in)+len(data) > maxBuffered:
		return c.end(wire.Fail(wire.DecodeError, "more than %d bytes of handshake data at once", maxBuffered))
	}
	c.in = append(c.in, data...)
	return c.end(c.process())
}

// NextEvent returns the next event, or one of kind [tls.QUICNoEvent]. Unlike crypto/tls it leaves an event's data to the
// caller for good.
func (c *Conn) NextEvent() tls.QUICEvent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil && !c.errShown {
		c.errShown = true
		return tls.QUICEvent{Kind: tls.QUICErrorEvent, Err: c.err}
	}
	if len(c.events) == 0 {
		return tls.QUICEvent{Kind: tls.QUICNoEvent}
	}
	event := c.events[0]
	c.events[0] = tls.QUICEvent{}
	c.events = c.events[1:]
	return event
}

// SetTransportParameters sets the QUIC transport parameters for the peer. A server may wait for the event
// [tls.QUICTransportParametersRequired], which comes after the client's parameters.
func (c *Conn) SetTransportParameters(params []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.params = append([]byte{}, params...)
	if c.err != nil || c.state != stateParams {
		return
	}
	send := c.sendServerFlight
	if c.isClient {
		send = c.sendClientHello
	}
	err := send()
	if err == nil {
		err = c.process()
	}
	_ = c.end(err) // NextEvent shows it
}

// Close ends the handshake, if it is still going on, and forgets its secrets. Only ConnectionState is of use afterwards.
// It returns the error that the connection failed with before, if it did.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.err, ErrClosed) {
		return nil
	}
	if c.err != nil {
		return c.err
	}
	_ = c.end(wire.Internal("closed", ErrClosed))
	c.errShown = true
	return nil
}

// ConnectionState tells what was negotiated. PeerCertificates is empty until the handshake is complete; then it has one
// entry, which is no certificate but the peer's key: Raw and RawSubjectPublicKeyInfo are the 44 bytes of DER, PublicKey
// is an ed25519.PublicKey. ExportKeyingMaterial is not available.
func (c *Conn) ConnectionState() tls.ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connState
}

// StoreSession refuses: there is no resumption, so no session was ever handed out.
func (c *Conn) StoreSession(*tls.SessionState) error {
	return wire.Internal("sessions are not resumed", nil)
}

// SendSessionTicket does nothing, like crypto/tls with tickets disabled; quic-go takes the absence of an event for that.
func (c *Conn) SendSessionTicket(tls.QUICSessionTicketOptions) error { return nil }

// PeerID is the proven endpoint id of the peer, from the connection state of a Conn (or of quic-go with one).
func PeerID(state tls.ConnectionState) (key.EndpointID, error) {
	if !state.HandshakeComplete || len(state.PeerCertificates) != 1 {
		return key.EndpointID{}, errors.New("rpktls: peer's key is not proven")
	}
	id, err := parsePeerKey(state.PeerCertificates[0].Raw)
	if err != nil {
		return key.EndpointID{}, errors.New("rpktls: connection was not made by this package")
	}
	return id, nil
}

// end makes err, if there is one, the final state.
func (c *Conn) end(err error) error {
	if err != nil {
		c.err = err
		c.events, c.in = nil, nil
		c.forget()
	}
	return err
}

// forget wipes and drops what only the handshake needs. The secrets that were given out as events are copies.
func (c *Conn) forget() {
	if c.keys != nil {
		clear(c.keys.secret)
	}
	clear(c.clientSecret)
	clear(c.serverSecret)
	clear(c.appSecret)
	c.keys, c.ephemeral, c.hello, c.firstHello = nil, nil, nil, nil
	c.clientSecret, c.serverSecret, c.appSecret = nil, nil, nil
}

// process handles all complete messages in c.in.
func (c *Conn) process() error {
	for len(c.in) > 0 && c.state != stateParams {
		if got := wire.Type(c.in[0]); !c.expects(got) {
			return wire.Fail(wire.UnexpectedMessage, "unexpected %s", got)
		}
		if len(c.in) < wire.HeaderSize {
			return nil
		}
		size := wire.HeaderSize + int(c.in[1])<<16 + int(c.in[2])<<8 + int(c.in[3])
		limit := maxBuffered
		if c.state == stateConnected {
			limit = maxTicketSize
		}
		if size > limit {
			return wire.Fail(wire.DecodeError, "%s of %d bytes, more than %d", wire.Type(c.in[0]), size, limit)
		}
		if len(c.in) < size {
			return nil
		}
		raw := bytes.Clone(c.in[:size])
		if c.in = c.in[size:]; len(c.in) == 0 {
			c.in = nil // give the array back
		}
		if err := c.handle(raw); err != nil {
			return err
		}
	}
	return nil
}

// expects reports whether t is the one message that may come now. (A Certificate and what follows it come from either
// side, in states of the same name.)
func (c *Conn) expects(t wire.Type) bool {
	switch c.state {
	case stateClientHello:
		return t == wire.TypeClientHello
	case stateServerHello:
		return t == wire.TypeServerHello
	case stateEncryptedExtensions:
		return t == wire.TypeEncryptedExtensions
	case stateCertificateRequest:
		return t == wire.TypeCertificateRequest
	case stateCertificate:
		return t == wire.TypeCertificate
	case stateCertificateVerify:
		return t == wire.TypeCertificateVerify
	case stateFinished:
		return t == wire.TypeFinished
	case stateConnected:
		return t == wire.TypeNewSessionTicket && c.isClient
	default:
		return false
	}
}

func (c *Conn) handle(raw []byte) error {
	switch c.state {
	case stateClientHello:
		return c.readClientHello(raw)
	case stateServerHello:
		return c.readServerHello(raw)
	case stateEncryptedExtensions:
		return c.readEncryptedExtensions(raw)
	case stateCertificateRequest:
		return c.readCertificateRequest(raw)
	case stateCertificate:
		return c.readCertificate(raw)
	case stateCertificateVerify:
		return c.readCertificateVerify(raw)
	case stateFinished:
		if c.isClient {
			return c.readServerFinished(raw)
		}
		return c.readClientFinished(raw)
	case stateConnected:
		return c.readTicket(raw)
	default:
		return wire.Internal("message in a state that takes none", nil)
	}
}

// readTicket drops a NewSessionTicket.
func (c *Conn) readTicket(raw []byte) error {
	if c.tickets++; c.tickets > maxTickets {
		return wire.Fail(wire.UnexpectedMessage, "more than %d session tickets", maxTickets)
	}
	return wire.ParseNewSessionTicket(raw[wire.HeaderSize:])
}

// newEphemeral makes a key pair for one handshake. (ecdh's GenerateKey does not take its randomness from a reader.)
func (c *Conn) newEphemeral() (*ecdh.PrivateKey, error) {
	seed, err := c.config.random(wire.ShareSize)
	if err != nil {
		return nil, err
	}
	private, err := ecdh.X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, wire.Internal("making an X25519 key", err)
	}
	return private, nil
}

// sharedSecret is the X25519 secret with a peer's share, which must not be of small order (RFC 8446, section 7.4.2).
func sharedSecret(private *ecdh.PrivateKey, share []byte) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(share)
	if err != nil {
		return nil, wire.Fail(wire.IllegalParameter, "key share has the wrong length")
	}
	secret, err := private.ECDH(public)
	if err != nil {
		return nil, wire.Fail(wire.IllegalParameter, "key share is a point of small order")
	}
	return secret, nil
}

// emit queues an event; data is copied.
func (c *Conn) emit(kind tls.QUICEventKind, level tls.QUICEncryptionLevel, data []byte) {
	event := tls.QUICEvent{Kind: kind, Level: level, Data: bytes.Clone(data)}
	if kind == tls.QUICSetReadSecret || kind == tls.QUICSetWriteSecret {
		event.Suite = c.keys.suite
	}
	c.events = append(c.events, event)
}

// setReadSecret changes the level that data is accepted at. See drained.
func (c *Conn) setReadSecret(level tls.QUICEncryptionLevel, secret []byte) {
	c.readLevel = level
	c.emit(tls.QUICSetReadSecret, level, secret)
}

// drained refuses data behind the message after which the peer has to change its keys, or to wait for us. It would be
// taken for data of the next level (as in CVE-2025-61730).
func (c *Conn) drained() error {
	if len(c.in) > 0 {
		return wire.Fail(wire.UnexpectedMessage, "handshake data left over at the end of a flight")
	}
	return nil
}

// complete marks the handshake as done: the peer has proven its key.
func (c *Conn) complete(readSecret []byte) {
	c.state = stateConnected
	c.connState.HandshakeComplete = true
	c.connState.PeerCertificates = []*x509.Certificate{peerCertificate(c.peer)}
	c.events = append(c.events, tls.QUICEvent{Kind: tls.QUICHandshakeDone})
	c.setReadSecret(tls.QUICEncryptionLevelApplication, readSecret)
	c.forget()
}

// negotiated notes the results that ConnectionState shows.
func (c *Conn) negotiated(alpn string) {
	c.connState.Version = tls.VersionTLS13
	c.connState.CipherSuite = c.keys.suite
	c.connState.CurveID = tls.X25519
	c.connState.NegotiatedProtocol = alpn
	c.connState.NegotiatedProtocolIsMutual = true //nolint:staticcheck // deprecated as it is always true: so it is here, as crypto/tls has it
}
