package iroh

import (
	"crypto/rand"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

func libp2pTransport(t *testing.T) (transport.Transport, peer.ID) {
	t.Helper()
	private, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cm, err := quicreuse.NewConnManager(quic.StatelessResetKey{}, quic.TokenGeneratorKey{})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := libp2pquic.NewTransport(private, cm, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
		if err := cm.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr, id
}

// libp2p's QUIC transport runs on the same copy of quic-go, with crypto/tls, beside endpoints that run with raw keys.
func TestLibp2pInTheSameBinary(t *testing.T) {
	server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
	dialed, accepted := pair(t, client, server)
	go echo(deadline(t), accepted)

	libServer, serverID := libp2pTransport(t)
	libClient, clientID := libp2pTransport(t)
	ln, err := libServer.Listen(multiaddr.StringCast("/ip4/127.0.0.1/udp/0/quic-v1"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if c.RemotePeer() != clientID {
			t.Errorf("accepted %s", c.RemotePeer())
		}
		s, err := c.AcceptStream()
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(s, s)
		s.CloseWrite()
		io.Copy(io.Discard, s)
		c.AcceptStream() // until the other side closes
	}()
	c, err := libClient.Dial(deadline(t), ln.Multiaddr(), serverID)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenStream(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	s.CloseWrite()
	got, err := io.ReadAll(s)
	if err != nil || string(got) != "hello" {
		t.Errorf("libp2p: %q, %v", got, err)
	}
	roundTrip(t, dialed, []byte("iroh goes on"))
	if err := c.Close(); err != nil {
		t.Error(err)
	}

	// Neither network's server takes the other one's clients.
	if c, err := libClient.Dial(deadline(t), multiaddr.StringCast("/ip4/127.0.0.1/udp/"+portOf(server)+"/quic-v1"), serverID); err == nil {
		t.Errorf("libp2p connected to iroh: %v", c)
	}
}
