package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// ProbeConfig says how relays are probed.
type ProbeConfig struct {
	Roots   *x509.CertPool // trusted to certify relays; nil are those of the system
	Timeout time.Duration  // for each relay; zero is 3 s
}

// Latency is what a probe found.
type Latency struct {
	URL   URL
	Value time.Duration // there and back, on a connection that there is already
	Date  time.Time     // what the relay's clock said, cut to a second; zero if it did not say
	At    time.Time     // what ours said then, give or take half of Value
	Err   error         // why it is not known
}

// Probe measures how far away each relay of m is: by a GET of /ping, the second one on the same connection, so that neither
// TLS nor names count. The results are in the order of m.
func Probe(ctx context.Context, m Map, cfg ProbeConfig) []Latency {
	if cfg.Timeout == 0 {
		cfg.Timeout = 3 * time.Second
	}
	out := make([]Latency, len(m))
	places := make(chan struct{}, maxProbes)
	var all sync.WaitGroup
	for i, n := range m {
		u := n.URL
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
			defer cancel()
			out[i] = probe(ctx, u, cfg.Roots)
		})
	}
	all.Wait()
	return out
}

func probe(ctx context.Context, u URL, roots *x509.CertPool) Latency {
	l := Latency{URL: u}
	_, host, base := u.place()
	base.Path = "/ping"
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for range 2 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
		if err != nil {
			return l.failed(err)
		}
		began := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			return l.failed(err)
		}
		l.Value = time.Since(began)
		l.At = began.Add(l.Value / 2)
		l.Date, _ = http.ParseTime(resp.Header.Get("Date"))
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)) // so that the connection can be used again
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s answers %s", u, resp.Status)
		}
		if err != nil {
			return l.failed(err)
		}
	}
	return l
}

func (l Latency) failed(err error) Latency {
	l.Value, l.Err = 0, fmt.Errorf("relay: probe: %w", err)
	return l
}

// Nearest chooses the relay to make one's home, which is zero if none answered. Who has one already stays there unless
// another is closer by more than a third, as iroh does it: a home that changes has to be published anew.
func Nearest(found []Latency, home URL) URL {
	var best, current *Latency
	for i := range found {
		l := &found[i]
		if l.Err != nil {
			continue
		}
		if l.URL == home {
			current = l
		}
		if best == nil || l.Value < best.Value {
			best = l
		}
	}
	switch {
	case best == nil:
		return URL{}
	case current != nil && best.Value > current.Value*2/3:
		return home
	}
	return best.URL
}
