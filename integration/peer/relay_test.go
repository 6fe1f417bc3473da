package peer_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

func TestRelayStartsAndComesBackOnItsPort(t *testing.T) {
	for name, cfg := range map[string]peer.RelayConfig{"plain": {}, "tls": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			cfg.Dir = t.TempDir()
			first := peertest.Relay(t, cfg)
			first.Kill()
			cfg.Port = first.Port
			second := peertest.Relay(t, cfg)
			if first.URL != second.URL || (second.QUIC != 0) != cfg.TLS {
				t.Errorf("first %s, then %s with QUIC port %d", first.URL, second.URL, second.QUIC)
			}
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: second.Roots}}
			defer transport.CloseIdleConnections()
			resp, err := (&http.Client{Transport: transport}).Get(second.URL + "healthz")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("healthz answers %s", resp.Status)
			}
		})
	}
}
