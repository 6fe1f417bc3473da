package presence

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// fill sets what is announced and the relays.
func fill(ic *iroh.Config, cfg config.Config) (err error) {
	if ic.Announce, err = addrPorts(cfg.Iroh.Announce); err != nil {
		return err
	}
	if ic.Relays, err = relays(cfg); err != nil {
		return err
	}
	if cfg.Relay.CAFile != "" {
		ic.RelayRoots, err = roots(cfg.Relay.CAFile)
	}
	return err
}

// relays lists the relays that are configured.
func relays(cfg config.Config) (relay.Map, error) {
	var all relay.Map
	for _, u := range cfg.RelayURLs() {
		these := relay.Public()
		if u != config.Public {
			n, err := relay.ParseNode(u)
			if err != nil {
				return nil, err
			}
			these = relay.Map{n}
		}
		for _, n := range these {
			if !all.Has(n.URL) {
				all = append(all, n)
			}
		}
	}
	return all, nil
}

// roots are those of the system and of a PEM file.
func roots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("relay.ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without certificates
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("relay.ca_file: %s holds no PEM certificate", file)
	}
	return pool, nil
}

func addrPorts(texts []string) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, s := range texts {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not an ip:port: %w", s, err)
		}
		out = append(out, a)
	}
	return out, nil
}
