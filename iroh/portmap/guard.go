package portmap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
)

// errElsewhere is why a URL is not asked.
var errElsewhere = errors.New("the gateway names a URL that is not its own")

// at returns the URL that a gateway gives, if it is one of plain HTTP at the gateway's own address, in digits.
func at(gateway netip.Addr, text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, errElsewhere
	}
	u, err := url.Parse(text)
	if err != nil || !allowed(gateway, u) {
		return nil, errElsewhere
	}
	return u, nil
}

func allowed(gateway netip.Addr, u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip == gateway && u.Scheme == "http" && u.User == nil && u.Opaque == "" && len(u.String()) <= maxURL
}

// A guard carries HTTP to one gateway and nowhere else, whatever URLs it is given, and bounds what comes back.
type guard struct {
	gateway   netip.Addr
	transport *http.Transport
}

// newClient returns an HTTP client for one gateway.
func newClient(r route) *http.Client {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.local, 0))}
	g := &guard{gateway: r.gateway, transport: &http.Transport{
		Proxy: nil, // no proxy of the environment
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(addr)
			if err != nil || to.Addr() != r.gateway {
				return nil, errElsewhere
			}
			return dialer.DialContext(ctx, "tcp4", addr)
		},
		DisableKeepAlives:      true, // a request in an hour
		DisableCompression:     true, // a kilobyte must not become a gigabyte
		MaxResponseHeaderBytes: maxHeader,
	}}
	return &http.Client{
		Transport:     g,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       requestWait,
	}
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if !allowed(g.gateway, req.URL) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, errElsewhere
	}
	res, err := g.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = &capped{res.Body, maxBody}
	return res, nil
}

// A capped body is one that fails when it is longer than it may be.
type capped struct {
	io.ReadCloser
	left int
}

func (c *capped) Read(b []byte) (int, error) {
	// One byte more than is left tells a body that ends here from one that goes on.
	n, err := c.ReadCloser.Read(b[:min(len(b), c.left+1)])
	if n > c.left {
		return 0, fmt.Errorf("the gateway sends more than %d bytes", maxBody)
	}
	c.left -= n
	return n, err
}
