package portmap

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
)

// Whatever URL the gateway gives, nobody but the gateway is asked.
func TestNobodyElseIsAsked(t *testing.T) {
	type gateway struct {
		location    func(own string) string // in the answer to the search; nil: own + "/desc"
		base        string                  // URLBase
		control     string
		redirect    string // of the description
		soapForward string // of the control URL
	}
	c := newCanary(t)
	host := strings.TrimPrefix(c.url, "http://")
	fixed := func(s string) func(string) string { return func(string) string { return s } }
	for name, g := range map[string]gateway{
		"location":                    {location: fixed(c.url + "/desc")},
		"location by name":            {location: fixed("http://localhost:1/desc")},
		"location without a host":     {location: fixed("/desc")},
		"location with the own name":  {location: func(own string) string { return "http://" + strings.TrimPrefix(own, "http://") + "@" + host + "/desc" }},
		"location of another scheme":  {location: func(own string) string { return strings.Replace(own, "http:", "https:", 1) + "/desc" }},
		"location with credentials":   {location: func(own string) string { return strings.Replace(own, "//", "//a:b@", 1) + "/desc" }},
		"location in other digits":    {location: fixed("http://2130706433:1/desc")},
		"location that is long":       {location: func(own string) string { return own + "/desc?" + strings.Repeat("a", maxURL) }},
		"redirect":                    {redirect: c.url + "/desc"},
		"base":                        {base: "<URLBase>" + c.url + "</URLBase>", control: "/ctl"},
		"control URL":                 {control: c.url + "/ctl"},
		"control URL without scheme":  {control: "//" + host + "/ctl"},
		"control URL with backslash":  {control: `\\` + host + "/ctl"},
		"control URL, empty base":     {base: "<URLBase></URLBase>", control: c.url},
		"control URL that redirects":  {control: "/ctl", soapForward: c.url + "/ctl"},
		"control URL of another kind": {control: "file:///etc/passwd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ip := somewhereElse()
			own := serveHTTP(t, ip, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/desc" && g.redirect != "":
					http.Redirect(w, r, g.redirect, http.StatusFound)
				case r.URL.Path == "/desc":
					fmt.Fprint(w, description(g.base, g.control))
				case g.soapForward != "":
					http.Redirect(w, r, g.soapForward, http.StatusTemporaryRedirect)
				default:
					soapFault(w, "401")
				}
			})
			location := own + "/desc"
			if g.location != nil {
				location = g.location(own)
			}
			serveSSDP(t, ip, location)
			m := mapperAt(t, ip, Config{})
			t.Log(trouble(t, m))
			time.Sleep(400 * time.Millisecond) // and a second attempt
			if n := c.asked.Load(); n != 0 {
				t.Errorf("another host was asked %d times", n)
			}
			if m.External().IsValid() {
				t.Error("it is mapped all the same")
			}
		})
	}
}

// A proxy of the environment would see, and could answer, what is meant for the gateway.
func TestNoProxy(t *testing.T) {
	c := newCanary(t)
	t.Setenv("HTTP_PROXY", c.url)
	t.Setenv("http_proxy", c.url)
	g := newIGD(t)
	await(t, g.mapper(t, Config{}), true)
	if c.asked.Load() != 0 {
		t.Error("the proxy was asked")
	}
}

// Others on the network answer as well, and sooner.
func TestOnlyTheGatewaysAnswersAreRead(t *testing.T) {
	g := newIGD(t)
	c := newCanary(t)
	ip := somewhereElse()
	other, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(somewhereElse(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	serveUDP(t, netip.AddrPortFrom(ip, ssdpPort), func(from netip.AddrPort, _ []byte) [][]byte {
		for range 200 {
			other.WriteToUDPAddrPort(answerSSDP(g.base+"/desc"), from)
		}
		return [][]byte{[]byte("garbage"), answerSSDP(""), []byte("HTTP/1.1 404 Not Found\r\nLOCATION: " + c.url + "\r\n\r\n")}
	})
	m := mapperAt(t, ip, Config{})
	if text := trouble(t, m); !strings.Contains(text, "UPnP IGD: the gateway does not answer") {
		t.Error(text)
	}
	g.with(func() {
		if len(g.asked) != 0 || c.asked.Load() != 0 {
			t.Errorf("a forged answer was believed: %v", g.asked)
		}
	})
}

// What the gateway sends is bounded in size and time.
func TestHostileBodies(t *testing.T) {
	drip := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := fmt.Fprint(w, strings.Repeat("<device>", 1000)); err != nil {
				return
			}
		}
	}
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		fmt.Fprint(z, "<root>")
		z.Write(make([]byte, 64<<20))
		z.Close()
		return b.Bytes()
	}()
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
	}
	for name, handler := range map[string]http.HandlerFunc{
		"drips": drip, "has no end": endless,
		"says nothing": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"long header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		},
		"many early hints": func(w http.ResponseWriter, r *http.Request) {
			for range 10_000 {
				w.Header().Set("Link", "</a>")
				w.WriteHeader(http.StatusEarlyHints)
			}
		},
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		},
		"entities":      text(`<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><root xmlns="urn:schemas-upnp-org:device-1-0"><device>&b;</device></root>`),
		"deep":          text(`<root xmlns="urn:schemas-upnp-org:device-1-0">` + strings.Repeat("<device><deviceList>", 6000)),
		"wide":          text(strings.Replace(description("", "/x"), "<service>", strings.Repeat("<service/>", 12_000)+"<service>", 1)),
		"another root":  text("<html></html>"),
		"nothing":       text(""),
		"an encoding":   text(`<?xml version="1.0" encoding="utf-7"?><root/>`),
		"no services":   text(`<root xmlns="urn:schemas-upnp-org:device-1-0"><device/></root>`),
		"not found":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"too many urls": text(`<root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>` + strings.Repeat(`<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/desc</controlURL></service>`, 500) + `</serviceList></device></root>`),
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			ip := somewhereElse()
			own := serveHTTP(t, ip, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				handler(w, r)
			})
			serveSSDP(t, ip, own+"/desc")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			m := mapperAt(t, ip, Config{})
			text := trouble(t, m)
			if took := time.Since(began); took > 2*(searchWait+2*requestWait) {
				t.Errorf("it took %s", took)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 48<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
			if n := asked.Load(); n > 2*(1+maxServices) {
				t.Errorf("the gateway was asked %d times", n)
			}
			t.Log(text)
		})
	}
}

// What the gateway says does not reach a terminal as it is.
func TestHostileTexts(t *testing.T) {
	dirty := "\x1b[2J\x07\u202e" + strings.Repeat("evil ", 1000)
	var clean bytes.Buffer
	xml.EscapeText(&clean, []byte(strings.ReplaceAll(dirty, "\x1b", "\u009b")))
	for name, answer := range map[string]string{
		"fault":      envelope + `<s:Fault><faultcode>` + clean.String() + `</faultcode><faultstring>` + clean.String() + `</faultstring><detail>` + clean.String() + `</detail></s:Fault>` + end,
		"not soap":   dirty,
		"an address": envelope + `<u:GetExternalIPAddressResponse xmlns:u="x"><NewExternalIPAddress>` + clean.String() + `</NewExternalIPAddress></u:GetExternalIPAddressResponse>` + end,
		"IPv6":       envelope + `<u:GetExternalIPAddressResponse xmlns:u="x"><NewExternalIPAddress>2001:db8::1%` + clean.String() + `</NewExternalIPAddress></u:GetExternalIPAddressResponse>` + end,
		"unbalanced": envelope + `<u:` + clean.String(),
		"too long":   envelope + strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ip := somewhereElse()
			own := serveHTTP(t, ip, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/desc" {
					fmt.Fprint(w, description("", "/ctl"))
					return
				}
				fmt.Fprint(w, answer)
			})
			serveSSDP(t, ip, own+"/desc")
			m := mapperAt(t, ip, Config{})
			text := trouble(t, m)
			t.Log(text)
			if len(text) > 2*maxText+100 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("the error is %d bytes: %q", len(text), text)
			}
			if m.External().IsValid() {
				t.Error("it is mapped all the same")
			}
		})
	}
}

// Close does not wait for a gateway that has stopped to answer.
func TestCloseIsBounded(t *testing.T) {
	for _, when := range []string{"searching", "asking", "mapped"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			bound := time.Second
			if when == "mapped" {
				bound += closeWait
			}
			for tries := 1; ; tries++ { // a machine that has other things to do is late now and then, but not always
				took := closing(t, when)
				if took <= bound {
					break
				}
				if tries == 5 {
					t.Fatalf("it took %s", took)
				}
			}
		})
	}
}

// closing is how long Close takes while the gateway does not answer.
func closing(t *testing.T, when string) time.Duration {
	t.Helper()
	var hang atomic.Bool
	hang.Store(when == "asking")
	var asked sync.WaitGroup
	asked.Add(1)
	once := sync.OnceFunc(asked.Done)
	g := newIGD(t)
	ip := somewhereElse()
	if when == "searching" {
		serveUDP(t, netip.AddrPortFrom(ip, ssdpPort), func(netip.AddrPort, []byte) [][]byte { once(); return nil })
	} else {
		own := serveHTTP(t, ip, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case hang.Load():
				once()
				<-r.Context().Done()
			case r.URL.Path == "/desc":
				fmt.Fprint(w, description("", "/ctl"))
			default:
				g.soap(w, r)
			}
		})
		serveSSDP(t, ip, own+"/desc")
	}
	m := mapperAt(t, ip, Config{})
	if when == "mapped" {
		await(t, m, true)
		hang.Store(true)
	} else {
		asked.Wait()
	}
	began := time.Now()
	err := m.Close()
	took := time.Since(began)
	if (err != nil) != (when == "mapped") {
		t.Errorf("the error is %v", err)
	}
	if m.External().IsValid() {
		t.Error("there is an address after Close")
	}
	return took
}
