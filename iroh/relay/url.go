package relay

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode/utf8"
)

// URL names a relay. It is comparable: two that are equal name the same relay. The zero value names none.
type URL struct{ text string }

// ErrURL is wrapped by the errors of ParseURL.
var ErrURL = errors.New("not the URL of a relay")

// ParseURL reads a URL such as https://relay.example./ or http://127.0.0.1:3340. Its normal form has the host in lower
// case, no default port, and a path. The dot at the end of a host name stays, as iroh has it. User names, queries, fragments
// and the zones of IPv6 addresses, which mean something on one machine only, are refused.
func ParseURL(s string) (URL, error) {
	if len(s) > maxURL || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return URL{}, fmt.Errorf("relay: %w", ErrURL)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return URL{}, fmt.Errorf("relay: %w: %w", ErrURL, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return URL{}, fmt.Errorf("relay: %w: %q does not begin with https://", ErrURL, s)
	case strings.Trim(u.Hostname(), ".") == "" || strings.Contains(u.Hostname(), "%") || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return URL{}, fmt.Errorf("relay: %w: %q is more or less than a host and a port", ErrURL, s)
	}
	u.Host = strings.ToLower(u.Host)
	if u.Port() == "" || u.Port() == defaultPort(u.Scheme) {
		u.Host = strings.TrimSuffix(strings.TrimSuffix(u.Host, u.Port()), ":")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	text := u.String()
	if len(text) > maxURL { // what is not ASCII takes three times the room
		return URL{}, fmt.Errorf("relay: %w: it is too long", ErrURL)
	}
	return URL{text}, nil
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// String is the normal form, and empty for the zero value.
func (u URL) String() string { return u.text }

// IsZero reports whether u names no relay.
func (u URL) IsZero() bool { return u.text == "" }

// place is where the relay listens, what its certificate must be for, and where its paths begin. u is not zero.
func (u URL) place() (address, host string, base url.URL) {
	base, err := parsed(u.text)
	if err != nil {
		return "", "", base // no ParseURL made u
	}
	port := base.Port()
	if port == "" {
		port = defaultPort(base.Scheme)
	}
	return net.JoinHostPort(base.Hostname(), port), strings.TrimSuffix(base.Hostname(), "."), base
}

func parsed(text string) (url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return url.URL{}, err
	}
	return *u, nil
}
