package qad

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/rpktls"
)

// ALPN is the protocol of QAD servers.
const ALPN = "/iroh-qad/0"

// A Session is what is needed for one connection to a QAD server beside quic-go. Its methods may be called from any goroutine.
type Session struct {
	host  string
	roots *x509.CertPool

	mu         sync.Mutex
	id         []byte      // to which the server sends first, later others of this length; nil before the handshake begins
	protection *protection // of what the server sends; nil before the secret is there
	held       [][]byte    // 1-RTT packets that came before it
	seq        uint64      // of the last report
	seen       netip.AddrPort
	changed    chan struct{} // closed and replaced when seen changes
}

// NewSession makes one for a connection to host, a name or an IP address for which the server must have a certificate that roots
// have signed; nil are those of the system.
func NewSession(host string, roots *x509.CertPool) *Session {
	return &Session{host: host, roots: roots, changed: make(chan struct{})}
}

// Seen is the address that the server last reported, zero before it has; and a channel that is closed when it reports another one.
func (s *Session) Seen() (netip.AddrPort, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen, s.changed
}

// TLSConfig is for one dial of a quic-go whose crypto setup takes its TLS engine from tls.Config.Rand, see package rpktls.
func (s *Session) TLSConfig() *tls.Config {
	c := s.config()
	c.Rand = &engine{s}
	return c
}

// config has one elliptic curve, so that the first flight is one packet.
func (s *Session) config() *tls.Config {
	return &tls.Config{
		RootCAs: s.roots, ServerName: s.host, NextProtos: []string{ALPN}, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519}, SessionTicketsDisabled: true,
	}
}

// Inspect looks at a datagram that came from the server's address, and changes it. It returns how many of its bytes are for
// quic-go, from the first on.
func (s *Session) Inspect(datagram []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == nil {
		return len(datagram)
	}
	at := shortHeader(datagram)
	switch {
	case at < 0:
		return len(datagram)
	case s.protection == nil && !bytes.HasPrefix(datagram[at+1:], s.id):
		return len(datagram) // of another connection with the same server
	case s.protection == nil:
		if len(s.held) < maxHeld && len(datagram)-at <= maxPacket {
			s.held = append(s.held, slices.Clone(datagram[at:]))
		}
		return at
	}
	s.look(datagram[at:])
	return len(datagram)
}

// look reads a 1-RTT packet and puts PING and PADDING in the place of what is for us.
func (s *Session) look(packet []byte) {
	o, err := s.protection.open(packet, len(s.id))
	if err != nil {
		return
	}
	found := reports(o.payload)
	for _, r := range found {
		clear(o.payload[r.start:r.end])
		o.payload[r.start] = framePing
		s.take(r)
	}
	if len(found) > 0 {
		s.protection.seal(o, packet)
	}
}

// take keeps a report unless a later one is there.
func (s *Session) take(r report) {
	first := !s.seen.IsValid()
	if !first && r.seq <= s.seq || r.addr.Port() == 0 || r.addr.Addr().IsUnspecified() || r.addr.Addr().IsMulticast() {
		return
	}
	s.seq = r.seq
	if r.addr != s.seen {
		s.seen = r.addr
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// begin learns where the server sends to.
func (s *Session) begin(params []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := sourceID(params); ok {
		s.id = slices.Clone(id)
	}
}

// unlock takes the secret of what the server sends and looks at what came before it.
func (s *Session) unlock(suite uint16, secret []byte) error {
	p, err := newProtection(suite, slices.Clone(secret))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protection = p
	for _, packet := range s.held {
		s.look(packet)
	}
	s.held = nil
	return nil
}

// engine makes the TLS connection for quic-go, and is the io.Reader that it is stored as.
type engine struct{ session *Session }

func (e *engine) Read(p []byte) (int, error) { return rand.Read(p) }

// QUICConn is what quic-go calls instead of tls.QUICClient.
func (e *engine) QUICConn(_ bool, given *tls.QUICConfig) rpktls.QUICConn {
	return &conn{tls.QUICClient(&tls.QUICConfig{TLSConfig: e.session.config(), EnableSessionEvents: given.EnableSessionEvents}), e.session}
}

// conn is crypto/tls with one parameter more, and a look at one secret.
type conn struct {
	*tls.QUICConn
	session *Session
}

// SetTransportParameters adds that we want to know our address.
func (c *conn) SetTransportParameters(params []byte) {
	if params != nil {
		c.session.begin(params)
		params = appendParameter(slices.Clip(params))
	}
	c.QUICConn.SetTransportParameters(params)
}

// NextEvent looks for the secret of the server's 1-RTT packets.
func (c *conn) NextEvent() tls.QUICEvent {
	e := c.QUICConn.NextEvent()
	if e.Kind == tls.QUICSetReadSecret && e.Level == tls.QUICEncryptionLevelApplication {
		c.session.unlock(e.Suite, e.Data) // if it is of no use to us, nothing is reported
	}
	return e
}
