package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

// Versions of the protocol, as subprotocols of the WebSocket.
const (
	protocolV1 = "iroh-relay-v1"
	protocolV2 = "iroh-relay-v2"
)

// ErrDenied is wrapped by the errors of State and Ready when the relay does not want us.
var ErrDenied = errors.New("the relay denies access")

// stream opens the connection under the WebSocket, with the header that proves who we are if TLS can do that.
func (c *Client) stream(ctx context.Context) (*corked, string, error) {
	address, host, base := c.cfg.URL.place()
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, "", err
	}
	wide := newWideReader(tcp)
	if base.Scheme != "https" {
		return &corked{Conn: wide, in: wide, head: maxHead}, "", nil
	}
	conn := tls.Client(wide, &tls.Config{RootCAs: c.cfg.Roots, ServerName: host, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, "", err
	}
	return &corked{Conn: conn, in: wide, head: maxHead}, materialHeader(c.cfg.SecretKey, conn.ConnectionState()), nil
}

// connect makes a connection and proves who we are. ctx is for all of it and not for what comes afterwards.
func (c *Client) connect(ctx context.Context) (*session, error) {
	conn, proof, err := c.stream(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	s, err := c.upgrade(ctx, conn, proof)
	if err == nil {
		err = s.authenticate()
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return s, nil
}

// upgrade makes the WebSocket.
func (c *Client) upgrade(ctx context.Context, conn *corked, proof string) (*session, error) {
	_, _, base := c.cfg.URL.place()
	base.Path = "/relay"
	base.Scheme = map[string]string{"http": "ws", "https": "wss"}[base.Scheme]
	header := http.Header{}
	if proof != "" {
		header.Set(authHeader, proof)
	}
	if c.cfg.Token != "" {
		header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	there := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	dialer := websocket.Dialer{
		NetDialContext: there, NetDialTLSContext: there,
		Subprotocols:   []string{protocolV2, protocolV1},
		ReadBufferSize: readBuffer, WriteBufferSize: wire.MaxFrame, // a message is one frame of the WebSocket
	}
	ws, answer, err := dialer.DialContext(ctx, base.String(), header) //nolint:bodyclose // the library reads what it needs
	switch {
	case err != nil && answer != nil:
		return nil, fmt.Errorf("it answers %q: %w", answer.Status, err)
	case err != nil:
		return nil, err
	case answer.Header.Get("Sec-WebSocket-Extensions") != "":
		return nil, errors.New("it uses an extension of WebSocket that it was not offered")
	}
	if p := ws.Subprotocol(); p != protocolV1 && p != protocolV2 {
		return nil, errors.New("no version of the relay protocol in common")
	}
	conn.open = true
	ws.SetReadLimit(wire.MaxFrame)
	return newSession(c, ws, conn), nil
}

// authenticate answers challenges until the relay confirms or denies.
func (s *session) authenticate() error {
	var room [wire.MaxFrame]byte
	for range 2 {
		frame, err := s.message(room[:])
		if err != nil {
			return err
		}
		typ, body, err := wire.ParseType(frame)
		if err != nil {
			return err
		}
		switch typ {
		case wire.ServerConfirmsAuth:
			return nil
		case wire.ServerDeniesAuth:
			reason, err := wire.ParseDenial(body)
			if err != nil {
				return err
			}
			return fmt.Errorf("%w: %q", ErrDenied, reason)
		case wire.ServerChallenge:
			challenge, err := wire.ParseChallenge(body)
			if err != nil {
				return err
			}
			s.challenged = true
			proof := wire.AppendAuth(nil, answer(s.client.cfg.SecretKey, challenge))
			if err := s.ws.WriteMessage(websocket.BinaryMessage, proof); err != nil {
				return err
			}
		default:
			return fmt.Errorf("frame %d in the handshake", typ)
		}
	}
	return errors.New("the relay sends challenge after challenge")
}

// message reads the next binary message into room, and returns it. Text is left out, as iroh does.
func (s *session) message(room []byte) ([]byte, error) {
	for {
		typ, r, err := s.ws.NextReader()
		if err != nil {
			return nil, err
		}
		if typ != websocket.BinaryMessage {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return nil, err
			}
			continue
		}
		n := 0
		for {
			if n == len(room) {
				// The library's own limit is the same; this asks for the end that must come now.
				var over [1]byte
				if _, err = r.Read(over[:]); err == nil {
					err = wire.ErrSize
				}
			} else {
				var k int
				k, err = r.Read(room[n:])
				n += k
			}
			if err == io.EOF {
				return room[:n], nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}
