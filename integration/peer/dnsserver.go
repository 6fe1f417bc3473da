package peer

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// DNSOrigin is the domain below which a [DNSNode] answers for endpoints; it answers below the root as well.
const DNSOrigin = "irohdns.example."

// dnsConfig is the configuration of iroh-dns-server: one address only, no rate limit, nothing of the DHT.
const dnsConfig = `pkarr_put_rate_limit = "disabled"
data_dir = %q
[http]
port = %d
bind_addr = "%s"
[dns]
port = %d
bind_addr = "%s"
default_soa = "dns1.irohdns.example hostmaster.irohdns.example 0 10800 3600 604800 3600"
default_ttl = 900
origins = ["irohdns.example.", "."]
rr_a = "127.0.0.1"
rr_ns = "ns1.irohdns.example."
[metrics]
disabled = true
`

// DNSNode is a running iroh-dns-server: a pkarr relay over HTTP and a name server.
type DNSNode struct {
	URL    string         // base of the pkarr relay, without a slash at its end
	Server netip.AddrPort // name server, UDP and TCP
	*Process
}

// StartDNS starts an iroh-dns-server on free ports; work is a folder of its own.
func (c Cache) StartDNS(ctx context.Context, work string, at Place) (*DNSNode, error) {
	bin, err := c.Path(ctx, DNSServer)
	if err != nil {
		return nil, err
	}
	// A port that was free a moment ago may be taken by the time the server binds it.
	for range 5 {
		var node *DNSNode
		if node, err = startDNS(ctx, bin, work, at); err == nil || ctx.Err() != nil {
			return node, err
		}
	}
	return nil, err
}

func startDNS(ctx context.Context, bin, work string, at Place) (*DNSNode, error) {
	ports, err := at.freePorts(2)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	config := filepath.Join(work, "iroh-dns.toml")
	text := fmt.Sprintf(dnsConfig, filepath.Join(work, "iroh-dns"), ports[0], at.IP(), ports[1], at.IP())
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	process, err := Start(ctx, Command{
		Path: bin, Dir: work, Args: []string{"--config", config}, Env: []string{"RUST_LOG=info"}, Netns: at.Netns,
	})
	if err != nil {
		return nil, err
	}
	base := "http://" + at.port(ports[0]).String()
	if err := waitHTTP(ctx, process, at, base+"/healthcheck"); err != nil {
		process.Kill()
		return nil, err
	}
	return &DNSNode{URL: base + "/pkarr", Server: at.port(ports[1]), Process: process}, nil
}

// waitHTTP waits until a URL answers with 200, or the process ends.
func waitHTTP(ctx context.Context, process *Process, at Place, url string) error {
	transport := at.transport()
	transport.DisableKeepAlives = true
	client := http.Client{Timeout: time.Second, Transport: transport}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("peer: %w", err)
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-process.Done():
			return fmt.Errorf("peer: %s ended before it was ready\n%s", url, process.Log())
		case <-ctx.Done():
			return fmt.Errorf("peer: waiting for %s: %w\n%s", url, ctx.Err(), process.Log())
		}
	}
}
