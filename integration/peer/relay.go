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
	"os"
	"path/filepath"
	"time"
)

// RelayConfig says how to start a relay. Without TLS it is what `iroh-relay --dev` is, on a port of its own.
type RelayConfig struct {
	Dir  string // folder for its configuration and certificate
	TLS  bool   // HTTPS, and QUIC address discovery beside it
	Port int    // of HTTP, or of HTTPS with TLS; zero takes a free one
	More string // lines of TOML that go before the sections, such as an access list
}

// RelayServer is a running iroh-relay.
type RelayServer struct {
	URL   string         // such as http://127.0.0.1:3340/
	Port  int            // of URL
	QUIC  int            // UDP port of QUIC address discovery; 0 without TLS
	Roots *x509.CertPool // what to trust with TLS; nil without
	*Process
}

// StartRelay starts a relay on 127.0.0.1 and waits until it answers. With the same folder and port, a relay takes the place
// of one that has ended.
func (c Cache) StartRelay(ctx context.Context, cfg RelayConfig) (*RelayServer, error) {
	bin, err := c.Path(ctx, Relay)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, fmt.Errorf("peer: relay: %w", err)
	}
	if cfg.Port != 0 {
		ports[0] = cfg.Port
	}
	r := &RelayServer{URL: fmt.Sprintf("http://127.0.0.1:%d/", ports[0]), Port: ports[0]}
	text := fmt.Sprintf("enable_metrics = false\n%s\nhttp_bind_addr = \"127.0.0.1:%d\"\n", cfg.More, ports[0])
	if cfg.TLS {
		r.URL, r.QUIC = fmt.Sprintf("https://127.0.0.1:%d/", ports[0]), ports[2]
		if r.Roots, err = relayCertificate(cfg.Dir); err != nil {
			return nil, fmt.Errorf("peer: relay: %w", err)
		}
		text = fmt.Sprintf(`enable_metrics = false
enable_quic_addr_discovery = true
%s
http_bind_addr = "127.0.0.1:%d"
[tls]
https_bind_addr = "127.0.0.1:%d"
quic_bind_addr = "127.0.0.1:%d"
cert_mode = "Manual"
manual_cert_path = %q
manual_key_path = %q
`, cfg.More, ports[1], ports[0], ports[2], filepath.Join(cfg.Dir, "cert.pem"), filepath.Join(cfg.Dir, "key.pem"))
	}
	file := filepath.Join(cfg.Dir, "relay.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("peer: relay: %w", err)
	}
	args := []string{"--config-path", file}
	if !cfg.TLS {
		args = append(args, "--dev")
	}
	if r.Process, err = Start(ctx, Command{Path: bin, Args: args, Env: []string{"RUST_LOG=warn"}}); err != nil {
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
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.Roots}}
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

// freePorts returns ports of 127.0.0.1 that were free for TCP and UDP a moment ago.
func freePorts(n int) ([]int, error) {
	var ports []int
	var held []interface{ Close() error }
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for tries := 0; len(ports) < n; tries++ {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, tcp)
		port := tcp.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			held, ports = append(held, udp), append(ports, port)
		} else if tries > 10*n {
			return nil, errors.New("no ports are free")
		}
	}
	return ports, nil
}

// relayCertificate returns roots with the certificate in dir, which it makes where there is none.
func relayCertificate(dir string) (*x509.CertPool, error) {
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
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
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
	if err := errors.Join(os.WriteFile(keyFile, keyPEM, 0o600), os.WriteFile(certFile, certPEM, 0o644)); err != nil {
		return nil, err
	}
	roots.AppendCertsFromPEM(certPEM)
	return roots, nil
}
