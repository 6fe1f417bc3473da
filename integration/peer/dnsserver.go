package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// DNSOrigin is the domain below which a [DNSNode] answers for endpoints; it answers below the root as well.
const DNSOrigin = "irohdns.example."

// dnsConfig is the configuration of iroh-dns-server: loopback only, no rate limit, nothing of the DHT.
const dnsConfig = `pkarr_put_rate_limit = "disabled"
data_dir = %q
[http]
port = %d
bind_addr = "127.0.0.1"
[dns]
port = %d
bind_addr = "127.0.0.1"
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

// StartDNS starts an iroh-dns-server on free ports of 127.0.0.1; work is a folder of its own.
func (c Cache) StartDNS(ctx context.Context, work string) (*DNSNode, error) {
	bin, err := c.Path(ctx, DNSServer)
	if err != nil {
		return nil, err
	}
	// A port that was free a moment ago may be taken by the time the server binds it.
	for range 5 {
		var node *DNSNode
		if node, err = startDNS(ctx, bin, work); err == nil || ctx.Err() != nil {
			return node, err
		}
	}
	return nil, err
}

func startDNS(ctx context.Context, bin, work string) (*DNSNode, error) {
	var ports [2]int
	for i := range ports {
		free, err := freePort()
		if err != nil {
			return nil, err
		}
		ports[i] = free
	}
	config := filepath.Join(work, "iroh-dns.toml")
	text := fmt.Sprintf(dnsConfig, filepath.Join(work, "iroh-dns"), ports[0], ports[1])
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	process, err := Start(ctx, Command{
		Path: bin, Dir: work, Args: []string{"--config", config}, Env: []string{"RUST_LOG=info"},
	})
	if err != nil {
		return nil, err
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if err := waitHTTP(ctx, process, base+"/healthcheck"); err != nil {
		process.Kill()
		return nil, err
	}
	server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(ports[1]))
	return &DNSNode{URL: base + "/pkarr", Server: server, Process: process}, nil
}

// freePort returns a port of 127.0.0.1 that is free for TCP and UDP.
func freePort() (int, error) {
	for range 20 {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("peer: %w", err)
		}
		defer tcp.Close()
		udp, err := net.ListenPacket("udp4", tcp.Addr().String())
		if err == nil {
			return tcp.Addr().(*net.TCPAddr).Port, udp.Close()
		}
	}
	return 0, errors.New("peer: no port is free for both TCP and UDP")
}

// waitHTTP waits until a URL answers with 200, or the process ends.
func waitHTTP(ctx context.Context, process *Process, url string) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
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
