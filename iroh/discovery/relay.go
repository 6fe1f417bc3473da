package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery/pkarr"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// PkarrConfig says how to use a pkarr relay.
type PkarrConfig struct {
	// URL is the base, such as [N0PkarrRelay]; http or https. Required.
	URL string
	// SecretKey signs what is published; not needed to resolve.
	SecretKey key.SecretKey
	// Direct publishes direct addresses as well. Without it only the relays are published, as iroh does by default: the
	// world need not know the addresses of a machine at home.
	Direct bool
	// TTL goes into the DNS records; zero is 30 s.
	TTL time.Duration
	// Client sends the requests; nil: one of its own, with time-outs, that honours the proxy environment variables.
	Client *http.Client
}

// PkarrRelay is a source and sink that keeps signed packets at a pkarr relay. It is safe for concurrent use.
type PkarrRelay struct {
	cfg    PkarrConfig
	base   *url.URL
	client *http.Client

	mu        sync.Mutex
	last      uint64 // timestamp of the newest packet of ours that we know of, in µs
	published bool   // the relay holds a packet of this process
}

// NewPkarrRelay returns a source and sink. It contacts nobody yet.
func NewPkarrRelay(cfg PkarrConfig) (*PkarrRelay, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Hostname() == "" {
		return nil, fmt.Errorf("discovery: the pkarr relay %q is no http or https URL", cfg.URL)
	}
	if cfg.TTL == 0 {
		cfg.TTL = pkarr.DefaultTTL * time.Second
	}
	if cfg.TTL < 0 || cfg.TTL > math.MaxInt32*time.Second {
		return nil, fmt.Errorf("discovery: the TTL %s is not between 0 and 68 years", cfg.TTL)
	}
	p := &PkarrRelay{cfg: cfg, base: base}
	client := http.Client{
		Timeout: httpTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			MaxConnsPerHost: maxConns, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxHeader,
		},
	}
	if cfg.Client != nil {
		client = *cfg.Client
	}
	// A pkarr relay answers itself; one that sends us elsewhere could make us ask hosts that nobody configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p.client = &client
	return p, nil
}

// Name implements [Source] and [Sink].
func (p *PkarrRelay) Name() string { return "pkarr" }

// Close closes idle connections. It is not needed where a Client was configured.
func (p *PkarrRelay) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// Resolve implements [Source].
func (p *PkarrRelay) Resolve(ctx context.Context, id key.EndpointID) (record.Record, error) {
	packet, err := p.Get(ctx, id)
	if err != nil {
		return record.Record{}, err
	}
	r := packet.Record()
	if r.Empty() {
		return record.Record{}, ErrNotFound
	}
	return r, nil
}

// Get returns the packet that the relay holds for an id, verified. The error matches [ErrNotFound], or the errors of
// package pkarr when the relay sent something else.
func (p *PkarrRelay) Get(ctx context.Context, id key.EndpointID) (pkarr.Packet, error) {
	body, err := p.do(ctx, http.MethodGet, id, nil)
	if err != nil {
		return pkarr.Packet{}, err
	}
	packet, err := pkarr.ParsePayload(id, body)
	if err != nil {
		return pkarr.Packet{}, fmt.Errorf("discovery: from %s: %w", p.base.Redacted(), err)
	}
	return packet, nil
}

// Put stores a packet, of any key. A relay takes an older packet than the one it holds without an error, and ignores it.
func (p *PkarrRelay) Put(ctx context.Context, packet pkarr.Packet) error {
	_, err := p.do(ctx, http.MethodPut, packet.ID(), packet.Payload())
	return err
}

// Publish implements [Sink]. Direct addresses that do not fit a packet are left out, the last ones first. While there
// is nothing to say and nothing was said before, nothing is sent.
func (p *PkarrRelay) Publish(ctx context.Context, r record.Record) error {
	if p.cfg.SecretKey.IsZero() {
		return errors.New("discovery: publishing to a pkarr relay needs the secret key")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cfg.Direct {
		r.Addr = ticket.EndpointAddr{ID: r.Addr.ID, Relays: r.Addr.Relays}
	}
	if r.Empty() && r.UserData == "" && !p.published {
		return nil
	}
	// A relay takes an older packet than the one it holds without a word, and ignores it. That one may be of an earlier
	// run, when our clock stood elsewhere, or of another program with our key. Where it cannot be told, the clock decides.
	if stored, err := p.Get(ctx, p.cfg.SecretKey.ID()); err == nil {
		p.last = max(p.last, stored.Micros())
	}
	if p.last == math.MaxUint64 {
		return errors.New("discovery: the relay holds a packet of ours with the highest timestamp there is; nothing can replace it")
	}
	micros := max(uint64(max(time.Now().UnixMicro(), 0)), p.last+1)
	packet, err := p.sign(r, micros)
	if err != nil {
		return err
	}
	p.last = micros
	if err := p.Put(ctx, packet); err != nil {
		return err
	}
	p.published = true
	return nil
}

// sign makes the packet of as much of a record as fits.
func (p *PkarrRelay) sign(r record.Record, micros uint64) (pkarr.Packet, error) {
	r = r.Clone()
	for {
		packet, err := pkarr.Sign(p.cfg.SecretKey, r, micros, uint32(p.cfg.TTL/time.Second))
		n := len(r.Addr.Direct)
		if !errors.Is(err, pkarr.ErrTooLarge) || n == 0 {
			return packet, err
		}
		r.Addr.Direct = r.Addr.Direct[:n-1]
	}
}

// do sends one request and returns the body of a success.
func (p *PkarrRelay) do(ctx context.Context, method string, id key.EndpointID, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.base.JoinPath(id.Z32()).String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-pkarr-signed-packet")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		if resp.StatusCode == http.StatusNotFound && method == http.MethodGet {
			return nil, ErrNotFound
		}
		return nil, fmt.Errorf("discovery: %s %s: status %d, %q", method, p.base.Redacted(), resp.StatusCode, text)
	}
	// One byte more than a payload may have, so that a longer one is seen to be too long.
	got, err := io.ReadAll(io.LimitReader(resp.Body, pkarr.MaxPayload+1))
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return got, nil
}
