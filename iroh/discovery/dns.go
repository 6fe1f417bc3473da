package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/iroh-ipfs/bridge/iroh/discovery/pkarr"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// DNSConfig says where to look records up.
type DNSConfig struct {
	// Origin is the domain below which endpoints have their names, such as [N0Origin]. Required; "." is the root.
	Origin string
	// Servers are the name servers to ask, over UDP and, where an answer does not fit, TCP. Empty: the system's resolver.
	Servers []netip.AddrPort
}

// DNS is a source that asks name servers. It uses the standard library's resolver, which matches answers to questions
// and bounds what it reads.
type DNS struct {
	origin    string
	resolvers []resolver    // asked in turn
	slots     chan struct{} // holds a value for each query that runs
}

// A resolver asks one name server, or those of the system if there is none.
type resolver struct {
	*net.Resolver
	server netip.AddrPort
}

// stagger is when a query is sent again while no answer is there (iroh 1.4): datagrams get lost, and a resolver's own
// time-out is longer than anybody wants to wait.
var stagger = [...]time.Duration{
	0, 200 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second,
}

// NewDNS returns a source. It contacts nobody yet.
func NewDNS(cfg DNSConfig) (*DNS, error) {
	d := &DNS{origin: strings.Trim(cfg.Origin, "."), slots: make(chan struct{}, maxQueries)}
	if cfg.Origin == "" {
		return nil, errors.New("discovery: dns: name an origin, such as dns.iroh.link")
	}
	if _, err := dnsmessage.NewName(d.name(key.EndpointID{})); err != nil || !isDomain(d.origin) {
		return nil, fmt.Errorf("discovery: dns: the origin %q is no domain", cfg.Origin)
	}
	for _, server := range cfg.Servers {
		if !server.IsValid() || server.Port() == 0 {
			return nil, fmt.Errorf("discovery: dns: name server %s: want IP:port", server)
		}
		d.resolvers = append(d.resolvers, resolver{&net.Resolver{PreferGo: true, Dial: dialTo(server)}, server})
	}
	if len(d.resolvers) == 0 {
		d.resolvers = []resolver{{Resolver: &net.Resolver{Dial: dialTo(netip.AddrPort{})}}}
	}
	return d, nil
}

// isDomain tells whether a name, which may be the root's, is one that a resolver asks for.
func isDomain(name string) bool {
	strange := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	for label := range strings.SplitSeq(name, ".") {
		if name != "" && (label == "" || len(label) > 63 || strings.ContainsFunc(label, strange)) {
			return false
		}
	}
	return true
}

// dialTo reaches one name server whichever the system would have asked, or that one where server is invalid. The
// standard library waits for an answer until a deadline; a lookup that is cancelled should end at once.
func dialTo(server netip.AddrPort) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if server.IsValid() {
			address = server.String()
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// The resolver ends ctx when it is done with the connection.
		context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
		return conn, nil
	}
}

// Name implements [Source].
func (d *DNS) Name() string { return "dns" }

// name is the name that owns an endpoint's records.
func (d *DNS) name(id key.EndpointID) string {
	if d.origin == "" {
		return pkarr.Name(id)
	}
	return pkarr.Name(id) + d.origin + "."
}

// Resolve implements [Source].
func (d *DNS) Resolve(ctx context.Context, id key.EndpointID) (record.Record, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan txtResult)
	for i, delay := range stagger {
		go func() { results <- d.attempt(ctx, d.resolvers[i%len(d.resolvers)], d.name(id), delay) }()
	}
	var found *txtResult
	var failures []error
	for range stagger {
		r := <-results
		switch {
		case found != nil:
		case r.err == nil || errors.Is(r.err, ErrNotFound):
			found = &r
			cancel()
		default:
			failures = append(failures, r.err)
		}
	}
	cancel()
	switch {
	case found == nil:
		return record.Record{}, fmt.Errorf("discovery: dns: %w", failures[0])
	case found.err != nil:
		return record.Record{}, found.err
	}
	r := record.Parse(id, found.texts)
	if r.Empty() {
		return record.Record{}, ErrNotFound
	}
	return r, nil
}

type txtResult struct {
	texts []string
	err   error
}

// attempt asks once, after a delay.
func (d *DNS) attempt(ctx context.Context, resolver resolver, name string, delay time.Duration) txtResult {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return txtResult{err: ctx.Err()}
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return txtResult{err: ctx.Err()}
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	texts, err := resolver.LookupTXT(ctx, name)
	var dnsErr *net.DNSError
	if errors.As(err, &dnsErr) && dnsErr.IsNotFound {
		return txtResult{err: ErrNotFound}
	}
	if dnsErr != nil && resolver.server.IsValid() {
		dnsErr.Server = resolver.server.String() // it has that of the system, which was not asked
	}
	return txtResult{texts, err}
}
