package rpktls

import (
	"bytes"
	"crypto/tls"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// standIn stands in for the part of a Conn that asks for a retry, or follows one, where ours never would: the rest of the
// handshake is done by the Conn itself. A zero standIn is neither and passes everything on.
type standIn struct {
	hello func(*Conn) ([]byte, error)                       // a client's first message, in the place of the Conn's
	waits wire.Type                                         // the message that it answers itself
	reply func(*Conn, []byte) (out, rest []byte, err error) // rest, if there is any, is for the Conn, which has the last word
	in    []byte
}

// take collects messages of the type that it waits for and returns what it says to one, and what the Conn is to get.
func (d *standIn) take(c *Conn, level tls.QUICEncryptionLevel, data []byte) (out, rest []byte, err error) {
	if d.reply == nil || level != tls.QUICEncryptionLevelInitial {
		return nil, data, nil
	}
	d.in = append(d.in, data...)
	if len(d.in) == 0 {
		return nil, nil, nil
	}
	size := maxBuffered + 1
	if wire.Type(d.in[0]) == d.waits {
		if len(d.in) < wire.HeaderSize {
			return nil, nil, nil
		}
		size = wire.HeaderSize + int(d.in[1])<<16 + int(d.in[2])<<8 + int(d.in[3])
	}
	switch {
	case size > maxBuffered: // the Conn refuses it
		rest, d.in = d.in, nil
		return nil, rest, nil
	case len(d.in) < size:
		return nil, nil, nil
	case len(d.in) > size:
		return nil, nil, wire.Fail(wire.UnexpectedMessage, "data behind a message that needs an answer")
	}
	raw := d.in
	d.in = nil
	return d.reply(c, raw)
}

// p256Pair is newPair with a client that sends a share of P-256 first, so that the server asks for one of X25519.
func p256Pair() (client, server *side) {
	client, server = newPair()
	d := &standIn{waits: wire.TypeServerHello}
	d.hello = func(c *Conn) ([]byte, error) {
		wire.Find(c.hello.Extensions, wire.ExtSupportedGroups).Data = []byte{0, 4, 0, groupP256, 0, 0x1d}
		wire.Find(c.hello.Extensions, wire.ExtKeyShare).Data = append([]byte{0, 69, 0, groupP256, 0, 65, 4}, make([]byte, 64)...)
		var err error
		c.firstHello, err = c.hello.Append(nil)
		return c.firstHello, err
	}
	d.reply = func(c *Conn, raw []byte) (out, rest []byte, err error) {
		m, err := wire.ParseServerHello(raw[wire.HeaderSize:])
		switch {
		case err != nil:
			return nil, nil, err
		case c.retried || !m.IsRetry:
			return nil, raw, nil
		}
		if err := c.checkServerHello(m); err != nil {
			return nil, nil, err
		}
		if m.RetryGroup != wire.GroupX25519 || m.Cookie != nil {
			return nil, nil, wire.Fail(wire.IllegalParameter, "HelloRetryRequest for something else than X25519")
		}
		if c.keys, err = newSchedule(m.Suite); err != nil {
			return nil, nil, err
		}
		c.keys.write(c.firstHello)
		c.keys.retry()
		c.keys.write(raw)
		c.retried, c.firstHello = true, nil
		wire.Find(c.hello.Extensions, wire.ExtKeyShare).Data = x25519Shares(c.ephemeral.PublicKey().Bytes())
		if out, err = c.hello.Append(nil); err == nil {
			c.keys.write(out)
		}
		return out, nil, err
	}
	client.standIn = d
	return client, server
}

// cookiePair is newPair with a server that wants a cookie back before it says more.
func cookiePair() (client, server *side) {
	client, server = newPair()
	cookie := []byte("\x00\x06crumbs")
	server.standIn = &standIn{waits: wire.TypeClientHello, reply: func(c *Conn, raw []byte) (out, rest []byte, err error) {
		m, err := wire.ParseClientHello(raw[wire.HeaderSize:])
		if err != nil {
			return nil, nil, err
		}
		if !c.retried {
			suite, _, err := c.negotiate(m)
			if err != nil {
				return nil, nil, err
			}
			if c.keys, err = newSchedule(suite); err != nil {
				return nil, nil, err
			}
			retry := wire.NewHelloRetryRequest(suite)
			retry.Extensions[1] = wire.Extension{Type: wire.ExtCookie, Data: cookie}
			if out, err = retry.Append(nil); err != nil {
				return nil, nil, err
			}
			c.keys.write(raw)
			c.keys.retry()
			c.keys.write(out)
			c.retried, c.hello = true, m
			return out, nil, nil
		}
		_, alpn, err := c.negotiate(m)
		if err != nil {
			return nil, nil, err
		}
		if e := wire.Find(m.Extensions, wire.ExtCookie); e == nil || !bytes.Equal(e.Data, cookie) || !m.IsRetryOf(c.hello) || m.Share(wire.GroupX25519) == nil {
			return nil, nil, wire.Fail(wire.IllegalParameter, "not the first ClientHello with the cookie")
		}
		c.keys.write(raw)
		c.hello = m
		c.negotiated(alpn)
		return nil, nil, c.sendServerHello(m.Share(wire.GroupX25519))
	}}
	return client, server
}

// shape is one way in which a handshake goes, in flights that take turns. A flight is what is sent at one level.
type shape struct {
	name    string
	flights int
	same    int // messages that are the same in every handshake of the same peers
	pair    func() (client, server *side)
}

// shapes are all that there are.
func shapes() []shape {
	return []shape{
		// ClientHello, ServerHello, the rest of the server's, the client's. EncryptedExtensions, CertificateRequest and two
		// Certificates never change.
		{"plain", 4, 4, newPair},
		// With HelloRetryRequest, which never changes either, and a second ClientHello.
		{"retry for a share", 6, 5, p256Pair},
		{"retry for a cookie", 6, 5, cookiePair},
	}
}
