package rpktls

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// Liar is an engine for quic-go whose connections authenticate by a Forgery. A server goes on to use the secret by which a victim that
// believed it would read its data.
type Liar struct {
	*engine
	Forgery
	own ed25519.PrivateKey
}

// NewLiar makes the configuration of a liar. peer is whom a client dials.
func NewLiar(f Forgery, seed [32]byte, alpn string, peer key.EndpointID) *tls.Config {
	config := TLSConfig(&Config{SecretKey: key.SecretKeyFromSeed(seed), ALPN: []string{alpn}, PeerID: &peer})
	config.Rand = Liar{config.Rand.(*engine), f, ed25519.NewKeyFromSeed(seed[:])}
	return config
}

// QUICConn is what quic-go calls.
func (l Liar) QUICConn(isClient bool, config *tls.QUICConfig) QUICConn {
	c := l.engine.QUICConn(isClient, config).(*Conn)
	if !isClient {
		c.config = &Config{SecretKey: c.config.SecretKey, ALPN: c.config.ALPN}
	}
	return &liarConn{Conn: c, forger: forger{Forgery: l.Forgery, own: l.own, isServer: !isClient}}
}

// liarConn is a Conn whose last flight is forged on its way to QUIC.
type liarConn struct {
	*Conn
	forger
	after *schedule // a server's, behind the forged flight
}

func (c *liarConn) HandleData(level tls.QUICEncryptionLevel, data []byte) error {
	if level == tls.QUICEncryptionLevelInitial || level == tls.QUICEncryptionLevelHandshake && !c.isServer {
		c.said.Write(data)
	}
	return c.Conn.HandleData(level, data)
}

func (c *liarConn) NextEvent() tls.QUICEvent {
	e := c.Conn.NextEvent()
	var err error
	switch {
	case e.Kind == tls.QUICSetWriteSecret && e.Level == tls.QUICEncryptionLevelHandshake:
		c.secret = bytes.Clone(e.Data)
	case e.Kind == tls.QUICWriteData && e.Level == tls.QUICEncryptionLevelInitial:
		c.said.Write(e.Data)
	case e.Kind == tls.QUICWriteData && e.Level == tls.QUICEncryptionLevelHandshake:
		e.Data, c.after, err = c.flight(c.ConnectionState().CipherSuite, e.Data)
	case e.Kind == tls.QUICSetWriteSecret && e.Level == tls.QUICEncryptionLevelApplication && c.isServer:
		c.mu.Lock()
		c.after.secret = c.keys.secret
		c.appSecret, e.Data, err = c.after.traffic("c ap traffic", "s ap traffic")
		c.keys.transcript = c.after.transcript // so that an honest client's Finished is right
		c.mu.Unlock()
	}
	if err != nil {
		return tls.QUICEvent{Kind: tls.QUICErrorEvent, Err: err}
	}
	return e
}
