package rpktls

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

func TestClientHelloBasics(t *testing.T) {
	runAttacks(t, false, tls.QUICEncryptionLevelInitial, []attack{
		{"unchanged", editClientHello(func(m *wire.ClientHello) {}), accepted},
		{"legacy version", editClientHello(func(m *wire.ClientHello) { m.LegacyVersion = 0x0301 }), 47},
		{"session id", editClientHello(func(m *wire.ClientHello) { m.SessionID = make([]byte, 32) }), 47},
		{"session id too long", editClientHello(func(m *wire.ClientHello) { m.SessionID = make([]byte, 33) }), 50},
		{"compression offered", editClientHello(func(m *wire.ClientHello) { m.Compression = []byte{1, 0} }), 47},
		{"compression only", editClientHello(func(m *wire.ClientHello) { m.Compression = []byte{1} }), 47},
		{"no compression method", editClientHello(func(m *wire.ClientHello) { m.Compression = nil }), 50},
		{"no suite", editClientHello(func(m *wire.ClientHello) { m.Suites = nil }), 50},
		{"suites of TLS 1.2", editClientHello(func(m *wire.ClientHello) { m.Suites = []uint16{0xc02b, 0x00ff} }), 40},
		{"suites with GREASE", editClientHello(func(m *wire.ClientHello) { m.Suites = append([]uint16{0x0a0a}, m.Suites...) }), accepted},
	})
}

func TestClientHelloNegotiation(t *testing.T) {
	const hello = wire.TypeClientHello
	share := func(fill string, n int) string {
		return string([]byte{0, byte(n + 4), 0, 0x1d, 0, byte(n)}) + strings.Repeat(fill, n)
	}
	shares := func(n int) string {
		list := string([]byte{0, byte(n * 5)})
		for i := range n {
			list += string([]byte{0x01, byte(i), 0, 1, 1})
		}
		return list
	}
	runAttacks(t, false, tls.QUICEncryptionLevelInitial, []attack{
		{"no extensions", func(t *testing.T, m [][]byte) [][]byte {
			return [][]byte{message(hello, m[0][4:4+2+32+1+2+2*len(preferredSuites())+2])}
		}, 70},
		{"no versions", helloWithout(wire.ExtSupportedVersions), 70},
		{"TLS 1.2 only", helloWith(wire.ExtSupportedVersions, "\x02\x03\x03"), 70},
		{"TLS 1.2 as well", helloWith(wire.ExtSupportedVersions, "\x04\x03\x04\x03\x03"), 70},
		{"versions with GREASE", helloWith(wire.ExtSupportedVersions, "\x04\x0a\x0a\x03\x04"), accepted},
		{"empty versions", helloWith(wire.ExtSupportedVersions, "\x00"), 50},
		{"odd versions", helloWith(wire.ExtSupportedVersions, "\x03\x03\x04\x03"), 50},
		{"no groups", helloWithout(wire.ExtSupportedGroups), 109},
		{"no key_share", helloWithout(wire.ExtKeyShare), 109},
		{"no signature_algorithms", helloWithout(wire.ExtSignatureAlgorithms), 109},
		{"no transport parameters", helloWithout(wire.ExtTransportParameters), 109},
		{"only RSA signatures", helloWith(wire.ExtSignatureAlgorithms, "\x00\x02\x08\x04"), 40},
		{"empty signature_algorithms", helloWith(wire.ExtSignatureAlgorithms, "\x00\x00"), 50},
		{"only P-256", editClientHello(func(m *wire.ClientHello) {
			m.Extensions = setExtension(m.Extensions, wire.ExtSupportedGroups, []byte("\x00\x02\x00\x17"))
			m.Extensions = setExtension(m.Extensions, wire.ExtKeyShare, []byte("\x00\x05\x00\x17\x00\x01\x04"))
		}), 40},
		{"share for an unsupported group", helloWith(wire.ExtSupportedGroups, "\x00\x02\x00\x17"), 47},
		{"groups with a tail", helloWith(wire.ExtSupportedGroups, "\x00\x02\x00\x1d\x00"), 50},
		{"two X25519 shares", helloWith(wire.ExtKeyShare, "\x00\x48"+share("x", 32)[2:]+share("y", 32)[2:]), 47},
		{"16 shares", helloWith(wire.ExtKeyShare, shares(16)), 47},
		{"17 shares", helloWith(wire.ExtKeyShare, shares(17)), 50},
		{"short share", helloWith(wire.ExtKeyShare, share("x", 31)), 47},
		{"long share", helloWith(wire.ExtKeyShare, share("x", 33)), 47},
		{"empty share", helloWith(wire.ExtKeyShare, share("", 0)), 50},
		{"share of order 1", helloWith(wire.ExtKeyShare, share("\x00", 32)), 47},
		{"share of order 2", helloWith(wire.ExtKeyShare, "\x00\x24\x00\x1d\x00\x20\xec"+strings.Repeat("\xff", 30)+"\x7f"), 47},
		{"shares with a tail", helloWith(wire.ExtKeyShare, share("x", 32)+"x"), 50},
	})
}

func TestClientHelloCertTypesAndALPN(t *testing.T) {
	runAttacks(t, false, tls.QUICEncryptionLevelInitial, []attack{
		{"no client certificate type", helloWithout(wire.ExtClientCertType), 40},
		{"no server certificate type", helloWithout(wire.ExtServerCertType), 40},
		{"client with X.509 only", helloWith(wire.ExtClientCertType, "\x01\x00"), 43},
		{"server with X.509 only", helloWith(wire.ExtServerCertType, "\x01\x00"), 43},
		{"raw key as second choice", helloWith(wire.ExtServerCertType, "\x02\x00\x02"), accepted},
		{"empty certificate types", helloWith(wire.ExtClientCertType, "\x00"), 50},
		{"certificate types with a tail", helloWith(wire.ExtServerCertType, "\x01\x02\x02"), 50},
		{"no ALPN", helloWithout(wire.ExtALPN), 120},
		{"other ALPN", helloWith(wire.ExtALPN, "\x00\x09\x08ATTACKER"), 120},
		{"ALPN among others", helloWith(wire.ExtALPN, "\x00\x11\x02h3\x0d/iroh-bytes/4"), accepted},
		{"ALPN of a longer name", helloWith(wire.ExtALPN, "\x00\x0f\x0e/iroh-bytes/40"), 120},
		{"empty ALPN", helloWith(wire.ExtALPN, "\x00\x00"), 50},
		{"empty protocol", helloWith(wire.ExtALPN, "\x00\x01\x00"), 50},
	})
}

func TestClientHelloExtensions(t *testing.T) {
	many := func(n int) alter {
		return editClientHello(func(m *wire.ClientHello) {
			for i := len(m.Extensions); i < n; i++ {
				m.Extensions = append(m.Extensions, wire.Extension{Type: 0x7000 + uint16(i)})
			}
		})
	}
	runAttacks(t, false, tls.QUICEncryptionLevelInitial, []attack{
		{"server_name", helloWith(wire.ExtServerName, "\x00\x0b\x00\x00\x08ATTACKER"), accepted},
		{"empty server_name", helloWith(wire.ExtServerName, ""), 50},
		{"server_name without a name", helloWith(wire.ExtServerName, "\x00\x03\x00\x00\x00"), 50},
		{"server_name with a tail", helloWith(wire.ExtServerName, "\x00\x04\x00\x00\x01xx"), 50},
		{"cookie", helloWith(wire.ExtCookie, "\x00\x01c"), 47},
		{"PSK without modes", helloWith(wire.ExtPreSharedKey, "\x00"), 109},
		{"PSK not last", editClientHello(func(m *wire.ClientHello) {
			m.Extensions = slices.Insert(m.Extensions, 0, wire.Extension{Type: wire.ExtPreSharedKey})
		}), 47},
		{"empty PSK modes", helloWith(wire.ExtPSKModes, "\x00"), 50},
		{"early data without PSK", helloWith(wire.ExtEarlyData, ""), 47},
		{"early data with data", helloWith(wire.ExtEarlyData, "\x00\x00\x00\x01"), 50},
		{"unknown extension", helloWith(0x7777, "ATTACKER"), accepted},
		{"extension of another message", helloWith(48, ""), 47},
		{"64 extensions", many(64), accepted},
		{"65 extensions", many(65), 50},
		{"duplicate", editClientHello(func(m *wire.ClientHello) { m.Extensions = append(m.Extensions, m.Extensions[2]) }), 47},
		{"unknown duplicate", editClientHello(func(m *wire.ClientHello) {
			m.Extensions = append(m.Extensions, wire.Extension{Type: 0x0a0a}, wire.Extension{Type: 0x0a0a})
		}), 47},
	})
}

func TestClientHelloFraming(t *testing.T) {
	const hello = wire.TypeClientHello
	runAttacks(t, false, tls.QUICEncryptionLevelInitial, []attack{
		{"longer", longer(hello), 50},
		{"empty", body(hello, ""), 50},
		{"twice", double(hello), 10},
		{"a byte behind", behind(1), 10},
		{"Certificate behind", behind(message(wire.TypeCertificate, []byte{0, 0, 0, 0})...), 10},
		{"ServerHello", replace(hello, unhex(t, rfcServerHello)), 10},
		{"EndOfEarlyData", replace(hello, message(5, nil)), 10},
		{"KeyUpdate", replace(hello, message(wire.TypeKeyUpdate, []byte{0})), 10},
		{"message_hash", replace(hello, message(wire.TypeMessageHash, make([]byte, 32))), 10},
		{"too long", replace(hello, []byte{1, 0, 0x3f, 0xfd}), 50},
		{"as long as may be, so far", replace(hello, []byte{1, 0, 0x3f, 0xfc}), accepted},
		{"far too long", replace(hello, []byte{1, 0xff, 0xff, 0xff}), 50},
		{"too much at once", behind(make([]byte, maxBuffered)...), 50},
	})
}

// TestLongestClientHello: 16 KiB are taken, in small pieces as well.
func TestLongestClientHello(t *testing.T) {
	client, server := newPair()
	if err := errors.Join(client.start(), server.start()); err != nil {
		t.Fatal(err)
	}
	hello := client.conn.hello
	hello.Extensions = append(hello.Extensions, wire.Extension{Type: wire.ExtPadding})
	raw, err := hello.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	hello.Extensions[len(hello.Extensions)-1].Data = make([]byte, maxBuffered-len(raw))
	if raw, err = hello.Append(nil); err != nil || len(raw) != maxBuffered {
		t.Fatal(len(raw), err)
	}
	client.conn.firstHello = raw
	client.take()
	for _, half := range [][]byte{raw[:9000], raw[9000:]} {
		client.out = append(client.out, chunk{tls.QUICEncryptionLevelInitial, half})
	}
	if err := exchange(client, server, nil); err != nil {
		t.Fatal(err)
	}
	checkPair(t, client, server)
}

// TestWrongLevel: data at every level but the right one, at each point of the handshake, for both sides.
func TestWrongLevel(t *testing.T) { eachShape(t, testWrongLevel) }

func testWrongLevel(t *testing.T, s shape) {
	levels := []tls.QUICEncryptionLevel{tls.QUICEncryptionLevelInitial, tls.QUICEncryptionLevelEarly,
		tls.QUICEncryptionLevelHandshake, tls.QUICEncryptionLevelApplication, 4, -1}
	tried := 0
	for step := range s.flights {
		for _, level := range levels {
			client, server := s.pair()
			n, right := 0, false
			err := handshake(client, server, func(toServer bool, c chunk) []chunk {
				if n++; n == step+1 {
					tried++
					right = c.level == level
					return []chunk{{level, c.data}}
				}
				return []chunk{c}
			})
			if right {
				checkPair(t, client, server)
			} else if alertOf(err) != 10 || client.done && server.done {
				t.Errorf("step %d at level %v: %v", step, level, err)
			}
		}
	}
	if tried != s.flights*len(levels) {
		t.Errorf("tried %d", tried)
	}
}

// TestAfterTheHandshake: nothing but tickets, and those for a client only.
func TestAfterTheHandshake(t *testing.T) {
	const application = tls.QUICEncryptionLevelApplication
	ticket := newTicket(100)
	for _, c := range []struct {
		name           string
		level          tls.QUICEncryptionLevel
		data           []byte
		client, server int
	}{
		{"nothing", application, nil, accepted, accepted},
		{"ticket", application, ticket, accepted, 10},
		{"largest ticket", application, newTicket(maxTicketSize - 33), accepted, 10},
		{"larger ticket", application, newTicket(maxTicketSize - 32), 50, 10},
		{"header of a huge ticket", application, []byte{4, 0, 0x10, 0}, 50, 10},
		{"KeyUpdate", application, message(wire.TypeKeyUpdate, []byte{0}), 10, 10},
		{"first byte of a KeyUpdate", application, []byte{24}, 10, 10},
		{"KeyUpdate behind a ticket", application, slices.Concat(ticket, message(wire.TypeKeyUpdate, []byte{1})), 10, 10},
		{"CertificateRequest", application, message(wire.TypeCertificateRequest, []byte("\x01c\x00\x08\x00\x0d\x00\x04\x00\x02\x08\x07")), 10, 10},
		{"Certificate", application, message(wire.TypeCertificate, []byte(certificate(string(seedKey(2).ID().SPKI())))), 10, 10},
		{"Finished", application, message(wire.TypeFinished, make([]byte, 32)), 10, 10},
		{"ClientHello", application, unhex(t, rfcClientHello), 10, 10},
		{"ServerHello", application, unhex(t, rfcServerHello), 10, 10},
		{"HelloRequest", application, message(0, nil), 10, 10},
		{"message_hash", application, message(wire.TypeMessageHash, make([]byte, 32)), 10, 10},
		{"malformed ticket", application, message(wire.TypeNewSessionTicket, make([]byte, 12)), 50, 10},
		{"empty ticket message", application, message(wire.TypeNewSessionTicket, nil), 50, 10},
		{"ticket with a tail", application, message(wire.TypeNewSessionTicket, append(ticket[4:], 0)), 50, 10},
		{"ticket of RFC 8448", application, unhex(t, rfcTicket), 47, 10},
		{"ticket at Handshake", tls.QUICEncryptionLevelHandshake, ticket, 10, 10},
		{"nothing at Handshake", tls.QUICEncryptionLevelHandshake, nil, 10, 10},
		{"early data", tls.QUICEncryptionLevelEarly, []byte{5, 0, 0, 0}, 10, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := newPair()
			if err := handshake(client, server, nil); err != nil {
				t.Fatal(err)
			}
			if err := client.conn.HandleData(c.level, c.data); alertOf(err) != c.client {
				t.Errorf("client: alert %d, want %d: %v", alertOf(err), c.client, err)
			}
			if err := server.conn.HandleData(c.level, c.data); alertOf(err) != c.server {
				t.Errorf("server: alert %d, want %d: %v", alertOf(err), c.server, err)
			}
			checkVictim(t, client, c.client)
			checkVictim(t, server, c.server)
		})
	}
}
