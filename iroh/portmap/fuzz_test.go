package portmap

import (
	"net/netip"
	"net/url"
	"os"
	"testing"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/dcps/internetgateway2"
)

// What miniupnpd 2.3.1 answers to a search and says of itself.
const miniupnpd = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n" +
	"USN: uuid:8f1d4c3e-4b8e-4a44-9c55-6d7b7e1f2a30::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nEXT:\r\n" +
	"SERVER: Debian/6.18.44 UPnP/1.1 MiniUPnPd/2.3.1\r\nLOCATION: http://192.168.77.1:5000/rootDesc.xml\r\n" +
	"OPT: \"http://schemas.upnp.org/upnp/1/0/\"; ns=01\r\n01-NLS: 1795809724\r\nBOOTID.UPNP.ORG: 1795809724\r\nCONFIGID.UPNP.ORG: 1337\r\n\r\n"

const miniupnpdDescription = "testdata/miniupnpd-2.3.1.xml"

func miniupnpdGateway() netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 77, 1}) }

func TestReadAnswer(t *testing.T) {
	if l, ok := readAnswer([]byte(miniupnpd)); !ok || l != "http://192.168.77.1:5000/rootDesc.xml" {
		t.Errorf("%q, %v", l, ok)
	}
}

func TestReadDescription(t *testing.T) {
	b, err := os.ReadFile(miniupnpdDescription)
	if err != nil {
		t.Fatal(err)
	}
	location, err := at(miniupnpdGateway(), "http://192.168.77.1:5000/rootDesc.xml")
	if err != nil {
		t.Fatal(err)
	}
	services, err := readDescription(b, miniupnpdGateway(), location, newClient(route{gateway: miniupnpdGateway()}))
	if err != nil || len(services) != 1 {
		t.Fatalf("%v, %v", services, err)
	}
	s, ok := services[0].(*internetgateway2.WANIPConnection2)
	if !ok || s.SOAPClient.EndpointURL.String() != "http://192.168.77.1:5000/ctl/IPConn" {
		t.Errorf("%T %+v", services[0], services[0])
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(miniupnpd))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nLocation: http://192.168.77.1/\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Add([]byte("NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nLOCATION: http://192.168.77.1/\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		location, ok := readAnswer(b)
		if !ok {
			return
		}
		if location == "" || len(location) > maxURL {
			t.Errorf("location %q", location)
		}
		checkURL(t, location)
	})
}

// checkURL holds that a URL that passes is at the gateway, whoever reads it.
func checkURL(t *testing.T, text string) {
	u, err := at(miniupnpdGateway(), text)
	if err != nil {
		return
	}
	again, err := url.Parse(u.String())
	if err != nil || again.Scheme != "http" || again.User != nil || again.Hostname() != "192.168.77.1" {
		t.Errorf("%q passes as %q: %v", text, u, err)
	}
}

func FuzzDescription(f *testing.F) {
	b, err := os.ReadFile(miniupnpdDescription)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for _, control := range []string{"/ctl", "ctl", "http://192.0.2.1/ctl", "//192.0.2.1/", "http://192.168.77.1:1/x", "http://a@192.168.77.1/"} {
		for _, base := range []string{"", "http://192.168.77.1:5000/", "http://192.0.2.1/"} {
			f.Add([]byte(`<root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>` + base + `</URLBase><device><serviceList><service><serviceType>` +
				internetgateway2.URN_WANPPPConnection_1 + `</serviceType><controlURL>` + control + `</controlURL></service></serviceList></device></root>`))
		}
	}
	gateway := miniupnpdGateway()
	location, err := at(gateway, "http://192.168.77.1:5000/rootDesc.xml")
	if err != nil {
		f.Fatal(err)
	}
	client := newClient(route{gateway: gateway})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxBody {
			return
		}
		services, err := readDescription(b, gateway, location, client)
		if err == nil && len(services) > maxServices {
			t.Errorf("%d services", len(services))
		}
		for _, s := range services {
			c := s.(interface {
				GetServiceClient() *goupnp.ServiceClient
			}).GetServiceClient().SOAPClient
			if c.HTTPClient.Transport != client.Transport || c.HTTPClient.Timeout == 0 || c.HTTPClient.CheckRedirect == nil {
				t.Error("a service is asked without the guard")
			}
			if u := c.EndpointURL; u.Scheme != "http" || u.User != nil || u.Hostname() != gateway.String() {
				t.Errorf("a service is at %s", &u)
			}
		}
	})
}
