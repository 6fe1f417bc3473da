package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/coder/websocket"

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
		return &corked{Conn: wide}, "", nil
	}
	conn := tls.Client(wide, &tls.Config{RootCAs: c.cfg.Roots, ServerName: host, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, "", err
	}
	return &corked{Conn: conn}, materialHeader(c.cfg.SecretKey, conn.ConnectionState()), nil
}

// only is a transport for one request over a connection that there is already.
func only(conn net.Conn) *http.Transport {
	var used atomic.Bool
	dial := func(context.Context, string, string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errors.New("the relay wants a second connection")
		}
		return conn, nil
	}
	return &http.Transport{DialContext: dial, DialTLSContext: dial, MaxResponseHeaderBytes: 64 << 10}
}

// connect makes a connection and proves who we are. ctx is for all of it and not for what comes afterwards.
func (c *Client) connect(ctx context.Context) (*session, error) {
	conn, proof, err := c.stream(ctx)
	if err != nil {
		return nil, err
	}
	_, _, base := c.cfg.URL.place()
	base.Path = "/relay"
	options := &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     only(conn),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:   http.Header{},
		Subprotocols: []string{protocolV2, protocolV1},
	}
	if proof != "" {
		options.HTTPHeader.Set(authHeader, proof)
	}
	if c.cfg.Token != "" {
		options.HTTPHeader.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	ws, _, err := websocket.Dial(ctx, base.String(), options) //nolint:bodyclose // the library closes it
	if err != nil {
		conn.Close()
		return nil, err
	}
	s := newSession(c, ws, conn)
	ws.SetReadLimit(wire.MaxFrame)
	if p := ws.Subprotocol(); p != protocolV1 && p != protocolV2 {
		err = errors.New("no version of the relay protocol in common")
	} else {
		err = s.authenticate(ctx)
	}
	if err != nil {
		ws.CloseNow()
		return nil, err
	}
	return s, nil
}

// authenticate answers challenges until the relay confirms or denies.
func (s *session) authenticate(ctx context.Context) error {
	var room [wire.MaxFrame]byte
	for range 2 {
		frame, err := s.message(ctx, room[:])
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
			if err := s.ws.Write(ctx, websocket.MessageBinary, proof); err != nil {
				return err
			}
		default:
			return fmt.Errorf("frame %d in the handshake", typ)
		}
	}
	return errors.New("the relay sends challenge after challenge")
}

// message reads the next binary message into room, and returns it. Text is left out, as iroh does.
func (s *session) message(ctx context.Context, room []byte) ([]byte, error) {
	for {
		typ, r, err := s.ws.Reader(ctx)
		if err != nil {
			return nil, err
		}
		if typ != websocket.MessageBinary {
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
