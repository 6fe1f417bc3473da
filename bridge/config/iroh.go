package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// Words that stand in the place of an address.
const (
	// Public stands for the public services that n0, the makers of iroh, run for everybody. For a local bridge it is none.
	Public = "default"
	// Disabled is none.
	Disabled = "disabled"
)

// What a switch may be.
const (
	// Auto is on, except for a local bridge.
	Auto = "auto"
	// On is on, for a local bridge as well.
	On = "on"
	// Off is off.
	Off = "off"
)

// What is published of where the endpoint is.
const (
	// PublishRelay publishes the home relay alone, as iroh does: others reach us through it and learn our addresses then.
	PublishRelay = "relay"
	// PublishAddresses publishes IP addresses as well: who knows the endpoint's id can tell where the machine is.
	PublishAddresses = "addresses"
	// PublishNothing publishes nothing: only who has a ticket with addresses finds the endpoint.
	PublishNothing = "nothing"
)

// Iroh configures the iroh endpoint.
type Iroh struct {
	// Listen is the UDP address, host:port; port 0 takes a free one.
	Listen string `toml:"listen"`
	// Announce lists addresses (ip:port) that tickets name besides the ones found on local interfaces.
	Announce []string `toml:"announce"`
	// PortMapping asks the router for a port, by UPnP or NAT-PMP: Auto, On or Off. A listen port of 0 is not mapped.
	PortMapping string `toml:"port_mapping"`
}

// Relay configures through which relays others reach the iroh endpoint.
type Relay struct {
	// URLs lists relays, of which the closest becomes the home; Public stands for those of n0, and Disabled, alone, for none.
	// Empty is Public. A relay tells us our address (QUIC address discovery) at UDP port 7842, unless its URL is followed by a
	// space and qad=PORT or qad=off; one without TLS does so only if it is followed by a port.
	URLs []string `toml:"urls"`
	// CAFile names a PEM file with certificates that are trusted to certify relays, besides those of the system.
	CAFile string `toml:"ca_file"`
}

// Discovery configures how iroh endpoints are found by their id, and how this one is.
type Discovery struct {
	// Pkarr is the URL of a pkarr relay to publish to and ask, Public or Disabled.
	Pkarr string `toml:"pkarr"`
	// DNSOrigin is the domain below which endpoints have their names, Public or Disabled.
	DNSOrigin string `toml:"dns_origin"`
	// DNSServers lists name servers (ip:port) to ask for these names; empty asks those of the system.
	DNSServers []string `toml:"dns_servers"`
	// MDNS finds and announces endpoints on the local network: Auto, On or Off.
	MDNS string `toml:"mdns"`
	// Publish says what others can find out: PublishRelay, PublishAddresses or PublishNothing. On the local network it is
	// always addresses, unless nothing.
	Publish string `toml:"publish"`
}

// Push configures who may bring blobs here. The zero value lets nobody.
type Push struct {
	// Peers lists endpoint ids.
	Peers []string `toml:"peers"`
	// Quota is how many bytes all of them together may leave here.
	Quota uint64 `toml:"quota"`
}

// Provider bounds what iroh peers get. A zero is the default, a negative number no limit.
type Provider struct {
	// Memory is the bytes that answers may take for buffers.
	Memory int64 `toml:"memory"`
	// MinRate is the bytes per second below which a peer that takes an answer is given up.
	MinRate int64 `toml:"min_rate"`
	// All holds for all peers together, Peer for each endpoint id.
	All  Limit `toml:"all"`
	Peer Limit `toml:"peer"`
}

// Limit is what one peer, or all of them, may have. Zeros are as in [Provider].
type Limit struct {
	Connections int64   `toml:"connections"`  // at once
	Requests    int64   `toml:"requests"`     // at once
	Observers   int64   `toml:"observers"`    // requests that follow a blob, at once
	RequestRate float64 `toml:"request_rate"` // per second; zero is no limit
	ByteRate    int64   `toml:"byte_rate"`    // bytes per second; zero is no limit
}

// RelayURLs is what Relay.URLs comes to: Public stands for itself, and a bridge without relays has none.
func (c Config) RelayURLs() []string {
	urls := c.Relay.URLs
	if len(urls) == 0 {
		urls = []string{Public}
	}
	return slices.DeleteFunc(slices.Clone(urls), func(u string) bool { return u == Disabled || c.Local && u == Public })
}

// Service is what a setting comes to that is an address, Public or Disabled: the address, public's, or empty.
func (c Config) Service(setting, public string) string {
	switch {
	case setting == Disabled, setting == Public && c.Local:
		return ""
	case setting == Public:
		return public
	}
	return setting
}

// Switched tells whether a switch is on.
func (c Config) Switched(setting string) bool { return setting == On || setting == Auto && !c.Local }

// validateIroh looks at the switches, and at what is of the iroh side.
func (c Config) validateIroh() error {
	for _, s := range []struct{ name, value string }{
		{"iroh.port_mapping", c.Iroh.PortMapping}, {"libp2p.port_mapping", c.Libp2p.PortMapping}, {"discovery.mdns", c.Discovery.MDNS},
	} {
		if !slices.Contains([]string{Auto, On, Off}, s.value) {
			return fmt.Errorf("config: %s %q is neither auto, on nor off", s.name, s.value)
		}
	}
	if p := c.Discovery.Publish; p != PublishRelay && p != PublishAddresses && p != PublishNothing {
		return fmt.Errorf("config: discovery.publish %q is neither relay, addresses nor nothing", p)
	}
	for _, u := range c.Relay.URLs {
		if u == Disabled && len(c.Relay.URLs) > 1 {
			return fmt.Errorf("config: relay.urls: %q goes with no other relay", Disabled)
		}
		if u == Disabled || u == Public {
			continue
		}
		_, err := relay.ParseNode(u)
		switch {
		case err != nil && strings.Contains(u, "@"): // what is before it may be a password, and is in err as well
			return fmt.Errorf("config: relay.urls: %q is no relay: its URL may have no user", withoutUser(u))
		case err != nil:
			return fmt.Errorf("config: relay.urls: %q is neither %q, %q nor a relay: %w", u, Public, Disabled, err)
		}
	}
	if p := c.Discovery.Pkarr; p != Public && p != Disabled && !isURL(p) {
		return fmt.Errorf("config: discovery.pkarr %q is neither a URL, %q nor %q", withoutUser(p), Public, Disabled)
	}
	if c.Discovery.DNSOrigin == "" {
		return fmt.Errorf("config: discovery.dns_origin is empty; %q asks no name server", Disabled)
	}
	if origin := c.Service(c.Discovery.DNSOrigin, ""); origin != "" {
		if _, err := discovery.NewDNS(discovery.DNSConfig{Origin: origin}); err != nil {
			return fmt.Errorf("config: discovery.dns_origin: %w", err)
		}
	}
	for _, s := range c.Discovery.DNSServers {
		if a, err := netip.ParseAddrPort(s); err != nil || a.Port() == 0 {
			return fmt.Errorf("config: discovery.dns_servers: %q is not an ip:port", s)
		}
	}
	for _, p := range c.Push.Peers {
		if _, err := key.ParseEndpointID(p); err != nil {
			return fmt.Errorf("config: push.peers: %q: %w", p, err)
		}
	}
	return nil
}

// withoutUser is what may be shown of a URL, which does not have to be one.
func withoutUser(u string) string {
	if i := strings.LastIndexByte(u, '@'); i >= 0 {
		return "…" + u[i:]
	}
	return u
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && strings.Trim(u.Hostname(), ".") != ""
}
