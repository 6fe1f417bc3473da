package portmap

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/dcps/internetgateway2"
	"github.com/huin/goupnp/soap"
)

// A wan is a service of a gateway that maps ports: one of the library's clients, which are alike in this.
type wan interface {
	GetExternalIPAddressCtx(ctx context.Context) (ip string, err error)
	GetSpecificPortMappingEntryCtx(ctx context.Context, remote string, external uint16, protocol string) (
		internal uint16, client string, enabled bool, description string, lease uint32, err error)
	AddPortMappingCtx(ctx context.Context, remote string, external uint16, protocol string, internal uint16, client string,
		enabled bool, description string, lease uint32) error
	DeletePortMappingCtx(ctx context.Context, remote string, external uint16, protocol string) error
}

// udp is the protocol in the words of UPnP.
const udp = "UDP"

// upnp is a gateway that is spoken to by UPnP.
type upnp struct {
	wan         wan
	local       netip.Addr
	port        uint16 // ours
	description string
	permanent   bool   // the gateway knows no leases
	external    uint16 // the port that was asked for last; 0 for none
}

// findUPnP searches for the gateway's service that maps ports: the first with an external address.
func findUPnP(ctx context.Context, r route, cfg Config) (*upnp, error) {
	locations, err := search(ctx, r)
	if err != nil {
		return nil, err
	}
	client := newClient(r)
	err = errors.New("the gateway has no service that maps ports")
	for _, location := range locations {
		services, e := describe(ctx, client, r.gateway, location)
		if e != nil {
			err = e
			continue
		}
		for _, service := range services {
			u := &upnp{wan: service, local: r.local, port: cfg.Port, description: cfg.Description}
			if _, e := u.address(ctx); e != nil {
				err = e
				continue
			}
			return u, nil
		}
	}
	return nil, err
}

// describe fetches a description and returns the services in it that map ports.
func describe(ctx context.Context, client *http.Client, gateway netip.Addr, location string) ([]wan, error) {
	u, err := at(gateway, location)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, plain(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gateway answers with HTTP status %d", res.StatusCode)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, plain(err)
	}
	return readDescription(b, gateway, u, client)
}

// readDescription returns the services that map ports, the best kind first. Those whose control URL is not at the
// gateway are none.
func readDescription(b []byte, gateway netip.Addr, location *url.URL, client *http.Client) ([]wan, error) {
	var root goupnp.RootDevice
	if err := xml.Unmarshal(b, &root); err != nil {
		return nil, errors.New("the gateway's description of itself cannot be read")
	}
	base := location
	if root.URLBaseStr != "" {
		var err error
		if base, err = at(gateway, root.URLBaseStr); err != nil {
			return nil, err
		}
	}
	root.SetURLBase(base)
	var out []wan
	elsewhere := false
	for _, kind := range []string{
		internetgateway2.URN_WANIPConnection_2, internetgateway2.URN_WANIPConnection_1, internetgateway2.URN_WANPPPConnection_1,
	} {
		for _, s := range root.Device.FindService(kind) {
			if !s.ControlURL.Ok || !allowed(gateway, &s.ControlURL.URL) {
				elsewhere = true
				continue
			}
			if len(out) < maxServices {
				out = append(out, newWAN(kind, s.ControlURL.URL, client))
			}
		}
	}
	if len(out) == 0 && elsewhere {
		return nil, errElsewhere
	}
	return out, nil
}

// newWAN returns the library's client of a service.
func newWAN(kind string, control url.URL, client *http.Client) wan {
	service := goupnp.ServiceClient{SOAPClient: &soap.SOAPClient{EndpointURL: control, HTTPClient: *client}}
	switch kind {
	case internetgateway2.URN_WANIPConnection_2:
		return &internetgateway2.WANIPConnection2{ServiceClient: service}
	case internetgateway2.URN_WANIPConnection_1:
		return &internetgateway2.WANIPConnection1{ServiceClient: service}
	default:
		return &internetgateway2.WANPPPConnection1{ServiceClient: service}
	}
}

func (u *upnp) protocol() Protocol { return UPnP }

func (u *upnp) mapped() uint16 { return u.external }

func (u *upnp) mapPort(ctx context.Context, want uint16, lifetime time.Duration) (lease, error) {
	ip, err := u.address(ctx)
	if err != nil {
		return lease{}, err
	}
	err = errors.New("the external ports that were tried are taken")
	for range maxPorts {
		if u.owner(ctx, want) == others {
			want = anyPort()
			continue
		}
		e := u.add(ctx, want, &lifetime)
		if e == nil {
			return lease{netip.AddrPortFrom(ip, want), lifetime}, nil
		}
		err = upnpWords(e)
		if c := code(e); c != conflict && c != otherMechanism {
			return lease{}, err
		}
		want = anyPort()
	}
	return lease{}, err
}

// add maps one external port, without an end if the gateway knows no leases: it sets the lifetime to zero then.
func (u *upnp) add(ctx context.Context, external uint16, lifetime *time.Duration) error {
	u.external = external
	for {
		if u.permanent {
			*lifetime = 0
		}
		err := u.wan.AddPortMappingCtx(ctx, "", external, udp, u.port, u.local.String(), true, u.description,
			uint32(*lifetime/time.Second))
		if code(err) != permanentOnly || u.permanent {
			return err
		}
		u.permanent = true
	}
}

// anyPort returns a port of the dynamic range.
func anyPort() uint16 { return 49152 + uint16(rand.N(65536-49152)) }

// An owner of an external port.
type owner int

const (
	unknown owner = iota // some gateways do not tell
	nobody
	ours
	others
)

// owner returns whose mapping of an external port the gateway has. Some gateways let one machine take the port of another
// without a word, so it is asked for before.
func (u *upnp) owner(ctx context.Context, external uint16) owner {
	port, client, enabled, _, _, err := u.wan.GetSpecificPortMappingEntryCtx(ctx, "", external, udp)
	switch {
	case code(err) == noSuchEntry:
		return nobody
	case err != nil:
		return unknown
	}
	ip, err := netip.ParseAddr(client)
	switch {
	case err != nil:
		return unknown
	case ip != u.local || port != u.port:
		return others
	case !enabled:
		return nobody
	}
	return ours
}

func (u *upnp) check(ctx context.Context) (netip.Addr, error) {
	switch u.owner(ctx, u.external) {
	case nobody, others:
		return netip.Addr{}, errLost
	default:
		return u.address(ctx)
	}
}

func (u *upnp) unmap(ctx context.Context) error {
	if u.external == 0 {
		return nil
	}
	switch u.owner(ctx, u.external) {
	case nobody, others:
		u.external = 0
		return nil
	}
	if err := u.wan.DeletePortMappingCtx(ctx, "", u.external, udp); err != nil && code(err) != noSuchEntry {
		return fmt.Errorf("portmap: removing the mapping: %w", upnpWords(err))
	}
	u.external = 0
	return nil
}

// address returns the external address; zero when the gateway has none now.
func (u *upnp) address(ctx context.Context) (netip.Addr, error) {
	text, err := u.wan.GetExternalIPAddressCtx(ctx)
	if err != nil {
		return netip.Addr{}, upnpWords(err)
	}
	if text == "" {
		return netip.IPv4Unspecified(), nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || !ip.Is4() {
		return netip.Addr{}, errors.New("the gateway's external address cannot be read")
	}
	return ip, nil
}
