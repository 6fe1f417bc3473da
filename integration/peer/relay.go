package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// RelayConfig says how to start a relay. Without TLS it is what `iroh-relay --dev` is, on a port of its own.
type RelayConfig struct {
	Dir  string // folder for its configuration and certificate
	TLS  bool   // HTTPS, and QUIC address discovery beside it
	Port int    // of HTTP, or of HTTPS with TLS; zero takes a free one
	QUIC int    // UDP port of QUIC address discovery; zero takes a free one
	More string // lines of TOML that go before the sections, such as an access list
	Place
}

// relayTLS is the configuration of a relay with TLS: more lines, addresses of HTTP, HTTPS and QUIC, certificate and key.
const relayTLS = `enable_metrics = false
enable_quic_addr_discovery = true
%s
http_bind_addr = "%s"
[tls]
https_bind_addr = "%s"
quic_bind_addr = "%s"
cert_mode = "Manual"
manual_cert_path = %q
manual_key_path = %q
`

// RelayServer is a running iroh-relay.
type RelayServer struct {
	URL   string         // such as http://127.0.0.1:3340/
	Port  int            // of URL
	QUIC  int            // UDP port of QUIC address discovery; 0 without TLS
	Roots *x509.CertPool // what to trust with TLS; nil without
	// Cert and CertDER are files with the certificate, in PEM and in DER; empty without TLS.
	Cert, CertDER string
	place         Place
	*Process
}

// StartRelay starts a relay and waits until it answers. With the same folder and port, a relay takes the place
// of one that has ended.
func (c Cache) StartRelay(ctx context.Context, cfg RelayConfig) (*RelayServer, error) {
	bin, err := c.Path(ctx, Relay)
	if err != nil {
		return nil, err
	}
	// A port that was free a moment ago may be taken by the time the relay binds it: somebody who looks for the relay there may have
	// it, too, as the port from which he does so.
	for tries := range 5 {
		var r *RelayServer
		if r, err = startRelay(ctx, bin, cfg); err == nil || ctx.Err() != nil {
			return r, err
		}
		pause := time.NewTimer(time.Duration(tries) * 200 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
	return nil, err
}

func startRelay(ctx context.Context, bin string, cfg RelayConfig) (*RelayServer, error) {
	ports, err := cfg.freePorts(3)
	if err != nil {
		return nil, fmt.Errorf("peer: relay: %w", err)
	}
	for i, port := range []int{cfg.Port, 0, cfg.QUIC} {
		if port != 0 {
			ports[i] = port
		}
	}
	r := &RelayServer{URL: fmt.Sprintf("http://%s/", cfg.port(ports[0])), Port: ports[0], place: cfg.Place}
	text := fmt.Sprintf("enable_metrics = false\n%s\nhttp_bind_addr = \"%s\"\n", cfg.More, cfg.port(ports[0]))
	if cfg.TLS {
		r.URL, r.QUIC = fmt.Sprintf("https://%s/", cfg.port(ports[0])), ports[2]
		r.Cert, r.CertDER = filepath.Join(cfg.Dir, "cert.pem"), filepath.Join(cfg.Dir, "cert.der")
		if r.Roots, err = relayCertificate(cfg.Dir, cfg.IP()); err != nil {
			return nil, fmt.Errorf("peer: relay: %w", err)
		}
		text = fmt.Sprintf(relayTLS, cfg.More, cfg.port(ports[1]), cfg.port(ports[0]), cfg.port(ports[2]), r.Cert, filepath.Join(cfg.Dir, "key.pem"))
	}
	file := filepath.Join(cfg.Dir, "relay.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("peer: relay: %w", err)
	}
	args := []string{"--config-path", file}
	if !cfg.TLS {
		args = append(args, "--dev")
	}
	if r.Process, err = Start(ctx, Command{Path: bin, Args: args, Env: []string{"RUST_LOG=warn"}, Netns: cfg.Netns}); err != nil {
		return nil, err
	}
	if err := r.answers(ctx); err != nil {
		r.Kill()
		return nil, err
	}
	return r, nil
}

// answers waits until the relay does.
func (r *RelayServer) answers(ctx context.Context) error {
	transport := r.place.transport()
	transport.TLSClientConfig = &tls.Config{RootCAs: r.Roots}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Second}
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		resp, err := client.Get(r.URL + "ping")
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-r.Done():
			return fmt.Errorf("peer: the relay ended\n%s", r.Log())
		case <-ctx.Done():
			return fmt.Errorf("peer: waiting for the relay: %w, %w\n%s", ctx.Err(), err, r.Log())
		case <-retry.C:
		}
	}
}

// freePorts returns ports of an address that were free for TCP and UDP a moment ago.
func freePorts(ip netip.Addr, n int) ([]int, error) {
	var ports []int
	var held []interface{ Close() error }
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for tries := 0; len(ports) < n; tries++ {
		tcp, err := net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
		if err != nil {
			return nil, err
		}
		held = append(held, tcp)
		port := tcp.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			held, ports = append(held, udp), append(ports, port)
		} else if tries > 10*n {
			return nil, errors.New("no ports are free")
		}
	}
	return ports, nil
}

// relayCertificate returns roots with the certificate in dir, which it makes where there is none.
func relayCertificate(dir string, ip netip.Addr) (*x509.CertPool, error) {
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	roots := x509.NewCertPool()
	if data, err := os.ReadFile(certFile); err == nil && roots.AppendCertsFromPEM(data) {
		return roots, nil
	}
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{ip.AsSlice(), net.IPv6loopback}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for i := range byte(8) { // several relays may share a certificate
		template.IPAddresses = append(template.IPAddresses, net.IPv4(127, 0, 0, i))
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return nil, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	err = errors.Join(os.WriteFile(keyFile, keyPEM, 0o600), os.WriteFile(certFile, certPEM, 0o644),
		os.WriteFile(filepath.Join(dir, "cert.der"), cert, 0o644))
	if err != nil {
		return nil, err
	}
	roots.AppendCertsFromPEM(certPEM)
	return roots, nil
}
