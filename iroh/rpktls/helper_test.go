package rpktls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

const testALPN = "/iroh-bytes/4"

// seedKey is a fixed secret key for tests.
func seedKey(b byte) key.SecretKey {
	var seed [32]byte
	for i := range seed {
		seed[i] = b
	}
	return key.SecretKeyFromSeed(seed)
}

func serverConfig() *Config {
	return &Config{SecretKey: seedKey(1), ALPN: []string{testALPN}}
}

func clientConfig() *Config {
	id := seedKey(1).ID()
	return &Config{SecretKey: seedKey(2), ALPN: []string{testALPN}, PeerID: &id}
}

// chunk is handshake data at a level, as in CRYPTO frames.
type chunk struct {
	level tls.QUICEncryptionLevel
	data  []byte
}

// side drives one Conn the way a QUIC implementation does and notes what it said.
type side struct {
	conn    *Conn
	kinds   []tls.QUICEventKind
	read    map[tls.QUICEncryptionLevel][]byte
	write   map[tls.QUICEncryptionLevel][]byte
	suite   uint16
	params  []byte
	done    bool
	out     []chunk  // written and not taken yet
	err     error    // from an error event
	standIn *standIn // of which the zero value does nothing
}

func newSide(c *Conn) *side {
	return &side{conn: c, read: map[tls.QUICEncryptionLevel][]byte{}, write: map[tls.QUICEncryptionLevel][]byte{}, standIn: &standIn{}}
}

func (s *side) start() error {
	if err := s.conn.Start(context.Background()); err != nil {
		return err
	}
	err := s.drain()
	if err == nil && s.standIn.hello != nil {
		s.out[0].data, err = s.standIn.hello(s.conn)
	}
	return err
}

func (s *side) handle(level tls.QUICEncryptionLevel, data []byte) error {
	out, rest, err := s.standIn.take(s.conn, level, data)
	if err != nil {
		return err
	}
	if len(out) > 0 {
		s.out = append(s.out, chunk{level, out})
	}
	if len(rest) > 0 || len(data) == 0 {
		err = s.conn.HandleData(level, rest)
	}
	if err != nil {
		return err
	}
	return s.drain()
}

func (s *side) drain() error {
	for {
		e := s.conn.NextEvent()
		if e.Kind != tls.QUICNoEvent {
			s.kinds = append(s.kinds, e.Kind)
		}
		switch e.Kind {
		case tls.QUICNoEvent:
			return s.err
		case tls.QUICErrorEvent:
			s.err = e.Err
		case tls.QUICWriteData:
			s.out = append(s.out, chunk{e.Level, e.Data})
		case tls.QUICSetReadSecret:
			s.read[e.Level], s.suite = e.Data, e.Suite
		case tls.QUICSetWriteSecret:
			s.write[e.Level], s.suite = e.Data, e.Suite
		case tls.QUICTransportParameters:
			s.params = e.Data
		case tls.QUICTransportParametersRequired:
			s.conn.SetTransportParameters([]byte("late parameters"))
		case tls.QUICHandshakeDone:
			s.done = true
		}
	}
}

// take returns what was written so far and forgets it.
func (s *side) take() []chunk {
	out := s.out
	s.out = nil
	return out
}

// newPair is a client and a server that have not started; the client's configuration has its parameters set.
func newPair() (client, server *side) {
	client, server = newSide(Client(clientConfig())), newSide(Server(serverConfig()))
	client.conn.SetTransportParameters([]byte("client parameters"))
	server.conn.SetTransportParameters([]byte("server parameters"))
	return client, server
}

// handshake starts both sides and carries data to and fro, each chunk through change (if it is not nil), until nothing
// is left to say or one side fails. change returns what to deliver instead.
func handshake(client, server *side, change func(toServer bool, c chunk) []chunk) error {
	if err := errors.Join(client.start(), server.start()); err != nil {
		return err
	}
	return exchange(client, server, change)
}

// exchange is handshake for sides that have started.
func exchange(client, server *side, change func(toServer bool, c chunk) []chunk) error {
	for {
		moved := false
		for _, toServer := range []bool{true, false} {
			from, to := client, server
			if !toServer {
				from, to = server, client
			}
			for _, c := range from.take() {
				moved = true
				list := []chunk{c}
				if change != nil {
					list = change(toServer, c)
				}
				for _, c := range list {
					if err := to.handle(c.level, c.data); err != nil {
						return err
					}
				}
			}
		}
		if !moved {
			return nil
		}
	}
}

// checkPair fails the test unless both sides completed the same handshake.
func checkPair(t *testing.T, client, server *side) {
	t.Helper()
	if !client.done || !server.done {
		t.Fatalf("handshake not complete: client %v, server %v", client.done, server.done)
	}
	for _, level := range []tls.QUICEncryptionLevel{tls.QUICEncryptionLevelHandshake, tls.QUICEncryptionLevelApplication} {
		if len(client.read[level]) == 0 || !bytes.Equal(client.read[level], server.write[level]) {
			t.Errorf("server's %v secret differs", level)
		}
		if len(client.write[level]) == 0 || !bytes.Equal(client.write[level], server.read[level]) {
			t.Errorf("client's %v secret differs", level)
		}
		if bytes.Equal(client.write[level], server.write[level]) {
			t.Errorf("one %v secret for both directions", level)
		}
	}
	if client.suite != server.suite {
		t.Errorf("suites %x and %x", client.suite, server.suite)
	}
	for _, c := range []struct {
		s    *side
		peer *side
	}{{client, server}, {server, client}} {
		state := c.s.conn.ConnectionState()
		id, err := PeerID(state)
		if err != nil || id != c.peer.conn.config.SecretKey.ID() {
			t.Errorf("peer id %v, %v", id, err)
		}
		if state.NegotiatedProtocol != testALPN || state.Version != tls.VersionTLS13 || state.CipherSuite != c.s.suite {
			t.Errorf("state %+v", state)
		}
	}
}

// alertOf is the alert that an error carries; -1 if it carries none, as a QUIC stack would then send INTERNAL_ERROR.
func alertOf(err error) int {
	var a tls.AlertError
	if errors.As(err, &a) {
		return int(a)
	}
	return -1
}
