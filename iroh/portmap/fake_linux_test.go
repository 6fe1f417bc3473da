package portmap

import (
	"context"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a real gateway does not do is done by servers on loopback addresses, of which Linux has as many as one wants.

// somewhereElse returns an address of this machine that no other test has.
func somewhereElse() netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.N(250)), byte(rand.N(256)), byte(1 + rand.N(250))})
}

// serveUDP answers datagrams with what answer returns for each.
func serveUDP(t *testing.T, at netip.AddrPort, answer func(from netip.AddrPort, b []byte) [][]byte) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			for _, a := range answer(from, b[:n]) {
				conn.WriteToUDPAddrPort(a, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
}

// serveHTTP serves at some port of an address.
func serveHTTP(t *testing.T, at netip.Addr, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp4", netip.AddrPortFrom(at, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	// A handler that hangs does so until the context of its request ends.
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	server := &http.Server{ReadHeaderTimeout: time.Minute, BaseContext: func(net.Listener) context.Context { return ctx }}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		handler(w, r)
	})
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	t.Cleanup(func() { cancel(); server.Close(); <-done; running.Wait() })
	return "http://" + listener.Addr().String()
}

// A canary is a server that nobody may ask.
type canary struct {
	url   string
	asked atomic.Int32
}

func newCanary(t *testing.T) *canary {
	c := &canary{}
	c.url = serveHTTP(t, somewhereElse(), func(w http.ResponseWriter, _ *http.Request) { c.asked.Add(1) })
	return c
}

// answerSSDP is what a gateway answers to a search.
func answerSSDP(location string) []byte {
	return []byte("HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: " + gateway1 + "\r\nEXT:\r\nLOCATION: " + location + "\r\n\r\n")
}

// serveSSDP answers every search with the location.
func serveSSDP(t *testing.T, at netip.Addr, location string) {
	serveUDP(t, netip.AddrPortFrom(at, ssdpPort), func(netip.AddrPort, []byte) [][]byte { return [][]byte{answerSSDP(location)} })
}

// description is that of a gateway of version 1.
func description(base, control string) string {
	return `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">` + base +
		`<device><deviceType>` + gateway1 + `</deviceType><deviceList><device><deviceList><device><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>` + control + `</controlURL>
</service></serviceList></device></deviceList></device></deviceList></device></root>`
}

// An entry is a mapping of a fake gateway.
type entry struct {
	client   string
	internal string
	seconds  string
}

// A fakeIGD is a gateway that maps ports as badly as the test wants.
type fakeIGD struct {
	ip   netip.Addr
	base string

	mu       sync.Mutex
	external string           // its address outside
	entries  map[string]entry // by external port
	asked    map[string]int   // how often, by action
	fault    func(action string, args map[string]string) int
}

func newIGD(t *testing.T) *fakeIGD {
	g := &fakeIGD{ip: somewhereElse(), external: "8.8.4.4", entries: map[string]entry{}, asked: map[string]int{}}
	g.base = serveHTTP(t, g.ip, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/desc" {
			fmt.Fprint(w, description("", "/ctl"))
			return
		}
		g.soap(w, r)
	})
	serveSSDP(t, g.ip, g.base+"/desc")
	return g
}

// with changes the gateway, or looks at it.
func (g *fakeIGD) with(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *fakeIGD) soap(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, action, _ := strings.Cut(strings.Trim(r.Header.Get("SOAPAction"), `"`), "#")
	args := arguments(r)
	g.asked[action]++
	if g.fault != nil {
		if code := g.fault(action, args); code != 0 {
			soapFault(w, strconv.Itoa(code))
			return
		}
	}
	port := args["NewExternalPort"]
	switch e, there := g.entries[port]; action {
	case "GetExternalIPAddress":
		soapAnswer(w, action, "<NewExternalIPAddress>"+g.external+"</NewExternalIPAddress>")
	case "GetSpecificPortMappingEntry":
		if !there {
			soapFault(w, "714")
			return
		}
		soapAnswer(w, action, "<NewInternalPort>"+e.internal+"</NewInternalPort><NewInternalClient>"+e.client+
			"</NewInternalClient><NewEnabled>1</NewEnabled><NewPortMappingDescription/><NewLeaseDuration>"+e.seconds+"</NewLeaseDuration>")
	case "AddPortMapping":
		g.entries[port] = entry{args["NewInternalClient"], args["NewInternalPort"], args["NewLeaseDuration"]}
		soapAnswer(w, action, "")
	case "DeletePortMapping":
		delete(g.entries, port)
		soapAnswer(w, action, "")
	}
}

// arguments are the elements of a request that have nothing but text.
func arguments(r *http.Request) map[string]string {
	args := map[string]string{}
	name := ""
	for d := xml.NewDecoder(r.Body); ; {
		token, err := d.Token()
		if err != nil {
			return args
		}
		switch token := token.(type) {
		case xml.StartElement:
			name = token.Name.Local
		case xml.CharData:
			args[name] = string(token)
		}
	}
}

const (
	envelope = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>`
	end      = `</s:Body></s:Envelope>`
)

func soapAnswer(w http.ResponseWriter, action, args string) {
	fmt.Fprintf(w, `%s<u:%sResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">%s</u:%sResponse>%s`, envelope, action, args, action, end)
}

func soapFault(w http.ResponseWriter, code string) {
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `%s<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>
<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%s</errorCode><errorDescription>oh</errorDescription></UPnPError></detail></s:Fault>%s`,
		envelope, code, end)
}

// mapper starts a mapper for the gateway.
func (g *fakeIGD) mapper(t *testing.T, cfg Config) *Mapper { return mapperAt(t, g.ip, cfg) }

func mapperAt(t *testing.T, gateway netip.Addr, cfg Config) *Mapper {
	t.Helper()
	return mapperAtPace(t, gateway, cfg, quick())
}

func mapperAtPace(t *testing.T, gateway netip.Addr, cfg Config, p pace) *Mapper {
	t.Helper()
	cfg.Gateway, cfg.Port, cfg.Logger = gateway, 4022, logger(t)
	m, err := start(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// trouble waits for an error in the status.
func trouble(t *testing.T, m *Mapper) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if err := m.Status().Err; err != nil {
			return err.Error()
		}
		if time.Now().After(end) {
			t.Fatalf("there is no error: %+v", m.Status())
		}
	}
}
