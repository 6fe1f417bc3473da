package relay

import (
	"bytes"
	"context"
	"crypto/x509"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func secret(t testing.TB) key.SecretKey {
	t.Helper()
	k, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustURL(t testing.TB, s string) URL {
	t.Helper()
	u, err := ParseURL(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// got is one datagram that a client received.
type got struct {
	from key.EndpointID
	ecn  uint8
	data string
}

// member is a client that runs until the test ends.
type member struct {
	*Client
	id     key.EndpointID
	inbox  chan got
	echoed chan struct{} // what it has sent to itself has come back
}

// toMyself is what a member sends to itself.
const toMyself = "is anybody carried to me?"

func join(t testing.TB, url string, roots *x509.CertPool, change ...func(*Config)) *member {
	t.Helper()
	m := &member{inbox: make(chan got, 10_000), echoed: make(chan struct{}, 1)}
	cfg := Config{URL: mustURL(t, url), SecretKey: secret(t), Roots: roots, Receive: func(r *Received) {
		for len(r.Data) > 0 {
			data := string(r.Next())
			if r.Peer != m.id || data != toMyself {
				m.inbox <- got{r.Peer, r.ECN, data}
				continue
			}
			select {
			case m.echoed <- struct{}{}:
			default:
			}
		}
		r.Release()
	}}
	for _, c := range change {
		c(&cfg)
	}
	m.id = cfg.SecretKey.ID()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Client = c
	ended := make(chan error, 1)
	go func() { ended <- c.Run(context.Background()) }()
	t.Cleanup(func() {
		c.Close()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the client does not end")
		}
	})
	return m
}

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (m *member) ready(t testing.TB) *member {
	t.Helper()
	if err := m.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	return m
}

// reachable waits until a real relay carries datagrams to m, which is a moment after it has confirmed who m is.
func (m *member) reachable(t testing.TB) *member {
	t.Helper()
	m.ready(t)
	select {
	case <-m.echoed: // of an earlier connection
	default:
	}
	eventually(t, "the relay carries to who has come", func() bool {
		m.Send(Datagrams{Peer: m.id, Data: []byte(toMyself)})
		select {
		case <-m.echoed:
			return true
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
	return m
}

// want expects the datagrams of one peer, in order.
func (m *member) want(t testing.TB, from key.EndpointID, ecn uint8, data ...string) {
	t.Helper()
	for i, w := range data {
		select {
		case g := <-m.inbox:
			if g.from != from || g.ecn != ecn || !bytes.Equal([]byte(g.data), []byte(w)) {
				t.Fatalf("datagram %d: %d bytes with ECN %d of %s, want %d", i, len(g.data), g.ecn, g.from.ShortString(), len(w))
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("datagram %d of %d did not come", i, len(data))
		}
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("did not happen: " + what)
		}
	}
}
