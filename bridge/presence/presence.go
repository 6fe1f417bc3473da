// Package presence is the iroh node's place in its network, as configured: the endpoint, the relays by which others reach
// it, whom it asks where others are, whom it tells where it is itself, and the port at the gateway.
//
// # What is told to whom
//
//	relays      our id and the address that we come from, to each relay that is used
//	pkarr       a signed record under our id: the home relay; addresses only if that is configured. Anybody who knows the id
//	            can read it. Asked: the ids of those that we dial
//	DNS         asked: the same ids
//	mDNS        our id, relay and addresses, to the local network
//	gateway     our port, by UPnP or NAT-PMP
//
// With publishing off nothing of it is told by pkarr and mDNS; both are still asked. A local bridge has none of this unless it
// is named.
//
// # Trust
//
// Whatever these say leads a dialer at worst to the wrong place: a handshake proves the id.
package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/mdns"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/portmap"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Presence is an endpoint and what surrounds it. Close ends all of it.
type Presence struct {
	Endpoint *iroh.Endpoint
	Resolver *discovery.Resolver

	local     *mdns.Node            // nil: none
	pkarr     *discovery.PkarrRelay // nil: none
	publisher *discovery.Publisher  // nil: none
	static    discovery.Static
	mapper    *portmap.Mapper // nil: none
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// Open starts an endpoint that accepts the given protocols. What the configuration names and cannot be used is an error,
// except that a network without multicast has no mDNS.
func Open(cfg config.Config, secret key.SecretKey, alpns []string, log *slog.Logger) (_ *Presence, err error) {
	p := &Presence{stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	sources, sinks, err := p.discovery(cfg, secret, log)
	if err != nil {
		return nil, err
	}
	p.Resolver = discovery.NewResolver(discovery.ResolverConfig{Sources: sources, Logger: log})
	ic := iroh.Config{
		SecretKey: secret, Listen: cfg.Iroh.Listen, ALPNs: alpns, Resolver: p.Resolver, Logger: log,
		HideAddrs: cfg.Discovery.Publish == config.PublishNothing,
	}
	if err := fill(&ic, cfg); err != nil {
		return nil, err
	}
	if err := p.mapPort(&ic, cfg, log); err != nil {
		return nil, err
	}
	if p.Endpoint, err = iroh.Listen(ic); err != nil {
		return nil, fmt.Errorf("iroh endpoint on %s: %w", cfg.Iroh.Listen, err)
	}
	if len(sinks) > 0 {
		p.publisher = discovery.NewPublisher(discovery.PublisherConfig{Sinks: sinks, Logger: log})
		var ctx context.Context
		ctx, p.stop = context.WithCancel(context.Background())
		p.running.Go(func() { p.publish(ctx) })
	}
	return p, nil
}

// discovery makes the sources and sinks that the configuration names, the quickest first.
func (p *Presence) discovery(cfg config.Config, secret key.SecretKey, log *slog.Logger) (sources []discovery.Source, sinks []discovery.Sink, err error) {
	sources = []discovery.Source{&p.static}
	d := cfg.Discovery
	if cfg.Switched(d.MDNS) {
		p.local, err = mdns.Listen(mdns.Config{ID: secret.ID(), Logger: log})
		switch {
		case err == nil:
			sources, sinks = append(sources, p.local), append(sinks, p.local)
		case d.MDNS == config.On:
			return nil, nil, err
		default:
			log.Warn("no mDNS: endpoints of the local network are not found by it", "err", err)
		}
	}
	if origin := cfg.Service(d.DNSOrigin, discovery.N0Origin); origin != "" {
		servers, err := addrPorts(d.DNSServers)
		if err != nil {
			return nil, nil, err
		}
		dns, err := discovery.NewDNS(discovery.DNSConfig{Origin: origin, Servers: servers})
		if err != nil {
			return nil, nil, err
		}
		sources = append(sources, dns)
	}
	if url := cfg.Service(d.Pkarr, discovery.N0PkarrRelay); url != "" {
		p.pkarr, err = discovery.NewPkarrRelay(discovery.PkarrConfig{URL: url, SecretKey: secret, Direct: d.Publish == config.PublishAddresses})
		if err != nil {
			return nil, nil, err
		}
		sources, sinks = append(sources, p.pkarr), append(sinks, p.pkarr)
	}
	if d.Publish == config.PublishNothing {
		sinks = nil
	}
	return sources, sinks, nil
}

// publish tells the publisher where the endpoint is, whenever that changes.
func (p *Presence) publish(ctx context.Context) {
	for {
		changed := p.Endpoint.AddrChanged()
		p.publisher.Update(p.Endpoint.Addr())
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Learn remembers where an endpoint was said to be, for when it is named by its id alone.
func (p *Presence) Learn(addr ticket.EndpointAddr) {
	if len(addr.Direct)+len(addr.Relays) > 0 {
		p.static.Add(addr)
	}
}

// Published says how publishing goes; it is empty when nothing is published.
func (p *Presence) Published() []discovery.SinkStatus {
	if p.publisher == nil {
		return nil
	}
	return p.publisher.Status()
}

// Neighbours is how many endpoints the local network has shown by mDNS; ok is false without mDNS.
func (p *Presence) Neighbours() (n int, ok bool) {
	if p.local == nil {
		return 0, false
	}
	return len(p.local.Peers()), true
}

// Close ends publishing, then the endpoint, then what the endpoint has used, and waits for all of it.
func (p *Presence) Close() error {
	p.stop()
	p.running.Wait()
	var errs []error
	if p.publisher != nil {
		errs = append(errs, p.publisher.Close())
	}
	if p.Endpoint != nil {
		errs = append(errs, p.Endpoint.Close())
	}
	if p.Resolver != nil {
		errs = append(errs, p.Resolver.Close())
	}
	if p.local != nil {
		errs = append(errs, p.local.Close())
	}
	if p.pkarr != nil {
		errs = append(errs, p.pkarr.Close())
	}
	if p.mapper != nil {
		errs = append(errs, p.mapper.Close())
	}
	return errors.Join(errs...)
}

// mapPort starts to map the endpoint's port, if it is a fixed one that the gateway can reach.
func (p *Presence) mapPort(ic *iroh.Config, cfg config.Config, log *slog.Logger) error {
	if !cfg.Switched(cfg.Iroh.PortMapping) {
		return nil
	}
	host, text, err := net.SplitHostPort(cfg.Iroh.Listen)
	if err != nil {
		return fmt.Errorf("iroh.listen: %w", err)
	}
	ip, _ := netip.ParseAddr(host)
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || ip.IsLoopback() {
		return nil
	}
	if p.mapper, err = portmap.New(portmap.Config{Port: uint16(port), Description: "iroh-ipfs-bridge", Logger: log}); err != nil {
		return fmt.Errorf("port mapping: %w", err)
	}
	ic.PortMapper = p.mapper
	return nil
}

// Mapping says how the mapping of the port does; ok is false when none is wanted.
func (p *Presence) Mapping() (status portmap.Status, ok bool) {
	if p.mapper == nil {
		return portmap.Status{}, false
	}
	return p.mapper.Status(), true
}
