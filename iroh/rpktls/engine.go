package rpktls

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
)

// QUICConn is what quic-go needs of a TLS 1.3 engine: the methods of [tls.QUICConn] that it calls, with their meaning.
// *[Conn] and *[tls.QUICConn] are some. It is an alias of an interface without a name, as in quic-go's copy, so that both
// sides name the same type and need not import each other.
type QUICConn = interface {
	Start(ctx context.Context) error
	HandleData(level tls.QUICEncryptionLevel, data []byte) error
	NextEvent() tls.QUICEvent
	SetTransportParameters(params []byte)
	Close() error
	ConnectionState() tls.ConnectionState
	StoreSession(session *tls.SessionState) error
	SendSessionTicket(opts tls.QUICSessionTicketOptions) error
}

// Engine is what quic-go looks for in [tls.Config].Rand, and calls in place of [tls.QUICClient] and [tls.QUICServer]; the
// config is the one that holds it. Reading, which makes it fit there, is that of a random source. What is done to each
// connection of an engine is done by another one around it.
type Engine interface {
	io.Reader
	QUICConn(isClient bool, config *tls.QUICConfig) QUICConn
}

var (
	_ QUICConn = (*Conn)(nil)
	_ QUICConn = (*tls.QUICConn)(nil)
)

// engine makes connections of this package.
type engine struct {
	config *Config
}

func (e *engine) Read(p []byte) (int, error) { return rand.Read(p) }

func (e *engine) QUICConn(isClient bool, _ *tls.QUICConfig) QUICConn {
	if isClient {
		return Client(e.config)
	}
	return Server(e.config)
}
