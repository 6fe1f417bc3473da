package presence

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/iroh/discovery/pkarr"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func secret(n byte) key.SecretKey { return key.SecretKeyFromSeed([32]byte{n}) }

func local(change func(*config.Config)) config.Config {
	c := config.Default()
	c.Local, c.Iroh.Listen = true, "127.0.0.1:0"
	change(&c)
	return c
}

func open(t *testing.T, cfg config.Config, n byte) *Presence {
	t.Helper()
	p, err := Open(cfg, secret(n), []string{"test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestLocalHasNothingAround(t *testing.T) {
	p := open(t, local(func(*config.Config) {}), 1)
	_, near := p.Neighbours()
	_, mapped := p.Mapping()
	if near || mapped || len(p.Published()) != 0 || len(p.Endpoint.RelayStates()) != 0 || p.Endpoint.HomeRelay() != "" {
		t.Error("a local presence has something around it")
	}
	for _, a := range p.Resolver.Ask(t.Context(), p.Endpoint.ID()) {
		if a.Source != "static" {
			t.Errorf("it asks %s", a.Source)
		}
	}
}

// board is a pkarr relay that tells of each packet that is stored, and has none.
func board(t *testing.T) (url string, puts <-chan []byte) {
	t.Helper()
	out := make(chan []byte, 16)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			http.NotFound(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		out <- body
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return s.URL, out
}

// TestWhatIsPublished: addresses only if they are to be, and nothing at all if nothing is.
func TestWhatIsPublished(t *testing.T) {
	for publish, want := range map[string]int{config.PublishRelay: 0, config.PublishNothing: 0, config.PublishAddresses: 1} {
		url, puts := board(t)
		p := open(t, local(func(c *config.Config) { c.Discovery.Pkarr, c.Discovery.Publish = url, publish }), 1)
		var packets [][]byte
		for end := time.After(time.Minute); end != nil; {
			if len(packets) >= want { // and no more
				end = time.After(time.Second)
			}
			select {
			case b := <-puts:
				packets = append(packets, b)
			case <-end:
				end = nil
			}
		}
		if len(packets) != want {
			t.Errorf("%s: %d packets", publish, len(packets))
			continue
		}
		for _, b := range packets {
			packet, err := pkarr.ParsePayload(p.Endpoint.ID(), b)
			if r := packet.Record(); err != nil || len(r.Addr.Direct) != 1 || r.Addr.Direct[0] != p.Endpoint.LocalAddrs()[0] {
				t.Errorf("%s: %+v, %v", publish, r, err)
			}
		}
		if (len(p.Published()) == 0) != (publish == config.PublishNothing) {
			t.Errorf("%s: %+v", publish, p.Published())
		}
	}
}

// TestWhatATicketSaidIsRemembered for when only the id is named.
func TestWhatATicketSaidIsRemembered(t *testing.T) {
	a, b := open(t, local(func(*config.Config) {}), 1), open(t, local(func(*config.Config) {}), 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	id := ticket.EndpointAddr{ID: b.Endpoint.ID()}
	if _, err := a.Endpoint.Dial(ctx, id, "test"); err == nil {
		t.Fatal("nobody has said where it is")
	}
	a.Learn(b.Endpoint.Addr())
	a.Resolver.Forget(id.ID)
	conn, err := a.Endpoint.Dial(ctx, id, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWithError(0, ""); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeUsedIsSaid(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*config.Config){
		"relay.ca_file":        func(c *config.Config) { c.Relay.CAFile = filepath.Join(t.TempDir(), "none") },
		"no PEM certificate":   func(c *config.Config) { c.Relay.CAFile = empty },
		"no http or https URL": func(c *config.Config) { c.Discovery.Pkarr = "ftp://x" },
		"is no domain":         func(c *config.Config) { c.Discovery.DNSOrigin = "a..b" },
		"iroh endpoint on":     func(c *config.Config) { c.Iroh.Listen = "192.0.2.1:0" },
	} {
		if p, err := Open(local(change), secret(1), nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", want, p, err)
		}
	}
}
