package rpktls

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

func TestServerHelloAlerts(t *testing.T) {
	const hello = wire.TypeServerHello
	share := func(group byte, n int, fill string) string {
		return string([]byte{0, group, 0, byte(n)}) + strings.Repeat(fill, n)
	}
	random := func(tail string) func(m *wire.ServerHello) {
		return func(m *wire.ServerHello) { copy(m.Random[32-len(tail):], tail) }
	}
	old := func(tail string) alter {
		return editServerHello(func(m *wire.ServerHello) {
			random(tail)(m)
			m.Extensions = setExtension(m.Extensions, wire.ExtSupportedVersions, nil)
		})
	}
	runAttacks(t, true, tls.QUICEncryptionLevelInitial, []attack{
		{"legacy version", editServerHello(func(m *wire.ServerHello) { m.LegacyVersion = 0x0304 }), 47},
		{"version TLS 1.2", serverHelloWith(wire.ExtSupportedVersions, "\x03\x03"), 47},
		{"version of a draft", serverHelloWith(wire.ExtSupportedVersions, "\x7f\x1c"), 47},
		{"version too long", serverHelloWith(wire.ExtSupportedVersions, "\x02\x03\x04"), 50},
		{"no version", old(""), 70},
		{"no extensions", func(t *testing.T, m [][]byte) [][]byte { return [][]byte{message(hello, m[0][4:4+38])} }, 70},
		{"downgraded to TLS 1.2", old("DOWNGRD\x01"), 47},
		{"downgraded to TLS 1.1", old("DOWNGRD\x00"), 47},
		{"sentinel in TLS 1.3", editServerHello(random("DOWNGRD\x01")), 47},
		{"no sentinel", editServerHello(random("DOWNGRD\x02")), 51}, // fine, were it signed
		{"session id", editServerHello(func(m *wire.ServerHello) { m.SessionID = []byte("s") }), 47},
		{"session id too long", editServerHello(func(m *wire.ServerHello) { m.SessionID = make([]byte, 33) }), 50},
		{"compression", editServerHello(func(m *wire.ServerHello) { m.Compression = 1 }), 47},
		{"suite of TLS 1.3", editServerHello(func(m *wire.ServerHello) { m.Suite = 0x1304 }), 47},
		{"suite of TLS 1.2", editServerHello(func(m *wire.ServerHello) { m.Suite = 0xc02f }), 47},
		{"no share", editServerHello(func(m *wire.ServerHello) { m.Extensions = setExtension(m.Extensions, wire.ExtKeyShare, nil) }), 47},
		{"P-256 share", serverHelloWith(wire.ExtKeyShare, share(0x17, 65, "\x04")), 47},
		{"short share", serverHelloWith(wire.ExtKeyShare, share(0x1d, 31, "x")), 47},
		{"long share", serverHelloWith(wire.ExtKeyShare, share(0x1d, 33, "x")), 47},
		{"empty share", serverHelloWith(wire.ExtKeyShare, share(0x1d, 0, "")), 50},
		{"share of order 1", serverHelloWith(wire.ExtKeyShare, share(0x1d, 32, "\x00")), 47},
		{"share of order 8", serverHelloWith(wire.ExtKeyShare, "\x00\x1d\x00\x20"+string(unhex(t, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"))), 47},
		{"bare group", serverHelloWith(wire.ExtKeyShare, "\x00\x1d"), 50},
		{"share with a tail", serverHelloWith(wire.ExtKeyShare, share(0x1d, 32, "x")+"x"), 50},
		{"PSK", serverHelloWith(wire.ExtPreSharedKey, "\x00\x00"), 110},
		{"unknown extension", serverHelloWith(0x0a0a, "ATTACKER"), 110},
		{"early_data", serverHelloWith(wire.ExtEarlyData, ""), 47},
		{"ALPN", serverHelloWith(wire.ExtALPN, "\x00\x09\x08ATTACKER"), 47},
		{"cookie", serverHelloWith(wire.ExtCookie, "\x00\x01c"), 47},
		{"duplicate", editServerHello(func(m *wire.ServerHello) { m.Extensions = append(m.Extensions, m.Extensions[0]) }), 47},
		{"longer", longer(hello), 50},
		{"empty", body(hello, ""), 50},
		{"twice", double(hello), 10},
		{"a byte behind", behind(8), 10},
		{"EncryptedExtensions behind", behind(message(wire.TypeEncryptedExtensions, []byte{0, 0})...), 10},
		{"ClientHello", replace(hello, unhex(t, rfcClientHello)), 10},
		{"Finished", replace(hello, message(wire.TypeFinished, make([]byte, 32))), 10},
		{"HelloRequest", replace(hello, message(0, nil)), 10},
		{"ticket", replace(hello, newTicket(20)), 10},
		{"KeyUpdate", replace(hello, message(wire.TypeKeyUpdate, []byte{0})), 10},
		{"message_hash", replace(hello, message(wire.TypeMessageHash, make([]byte, 32))), 10},
		{"too long", replace(hello, []byte{2, 0, 0x40, 0}), 50},
		{"far too long", replace(hello, []byte{2, 0xff, 0xff, 0xff}), 50},
		{"nothing but one byte", replace(hello, []byte{2}), 10}, // at the next level
	})
}

func TestEncryptedExtensionsAlerts(t *testing.T) {
	const parameters, request = wire.TypeEncryptedExtensions, wire.TypeCertificateRequest
	ed25519 := "\x00\x0d\x00\x04\x00\x02\x08\x07" // signature_algorithms
	runAttacks(t, true, tls.QUICEncryptionLevelHandshake, []attack{
		{"no ALPN", parametersWithout(wire.ExtALPN), 120},
		{"ALPN not offered", parametersWith(wire.ExtALPN, "\x00\x09\x08ATTACKER"), 120},
		{"two protocols", parametersWith(wire.ExtALPN, "\x00\x1c\x0d/iroh-bytes/4\x0d/iroh-bytes/4"), 50},
		{"no protocol in ALPN", parametersWith(wire.ExtALPN, "\x00\x00"), 50},
		{"empty protocol", parametersWith(wire.ExtALPN, "\x00\x01\x00"), 50},
		{"ALPN with a tail", parametersWith(wire.ExtALPN, "\x00\x02\x01xx"), 50},
		{"no transport parameters", parametersWithout(wire.ExtTransportParameters), 109},
		{"no client certificate type", parametersWithout(wire.ExtClientCertType), 40},
		{"no server certificate type", parametersWithout(wire.ExtServerCertType), 40},
		{"client with X.509", parametersWith(wire.ExtClientCertType, "\x00"), 47},
		{"server with X.509", parametersWith(wire.ExtServerCertType, "\x00"), 47},
		{"empty certificate type", parametersWith(wire.ExtServerCertType, ""), 50},
		{"list of certificate types", parametersWith(wire.ExtClientCertType, "\x01\x02"), 50},
		{"early_data", parametersWith(wire.ExtEarlyData, ""), 110},
		{"server_name", parametersWith(wire.ExtServerName, ""), 110},
		{"unknown extension", parametersWith(0xfe0d, "ATTACKER"), 110},
		{"key_share", parametersWith(wire.ExtKeyShare, "\x00\x1d"), 47},
		{"supported_versions", parametersWith(wire.ExtSupportedVersions, "\x03\x04"), 47},
		{"supported_groups", parametersWith(wire.ExtSupportedGroups, "\x00\x02\x00\x17"), 51}, // fine, were it signed
		{"odd supported_groups", parametersWith(wire.ExtSupportedGroups, "\x00\x03\x00\x17\x00"), 50},
		{"duplicate", editParameters(func(m *wire.EncryptedExtensions) { m.Extensions = append(m.Extensions, m.Extensions[3]) }), 47},
		{"longer", longer(parameters), 50},
		{"empty", body(parameters, ""), 50},
		{"missing", drop(parameters), 10},
		{"twice", double(parameters), 10},
		{"ServerHello again", replace(parameters, unhex(t, rfcServerHello)), 10},
		{"KeyUpdate", replace(parameters, message(wire.TypeKeyUpdate, []byte{1})), 10},

		{"no CertificateRequest", drop(request), 10},
		{"two CertificateRequests", double(request), 10},
		{"request with a context", body(request, "\x01c\x00\x08"+ed25519), 47},
		{"request without extensions", body(request, "\x00\x00\x00"), 109},
		{"request without schemes", body(request, "\x00\x00\x08\x00\x2f\x00\x04\x00\x02\x00\x00"), 109},
		{"request for RSA", body(request, "\x00\x00\x08\x00\x0d\x00\x04\x00\x02\x08\x04"), 40},
		{"request with no scheme", body(request, "\x00\x00\x06\x00\x0d\x00\x02\x00\x00"), 50},
		{"request with half a scheme", body(request, "\x00\x00\x07\x00\x0d\x00\x03\x00\x01\x08"), 50},
		{"request with an unknown extension", body(request, "\x00\x00\x0c"+ed25519+"\x0a\x0a\x00\x00"), 51}, // fine, were it signed
		{"request with a foreign extension", body(request, "\x00\x00\x0c"+ed25519+"\x00\x33\x00\x00"), 47},
		{"request with schemes twice", body(request, "\x00\x00\x10"+ed25519+ed25519), 47},
		{"longer request", longer(request), 50},
		{"empty request", body(request, ""), 50},
	})
}

// TestPeerMismatch: a thousand times another endpoint than the one that was dialed. The client's error says what
// happened, and the alert is the one that iroh sends.
func TestPeerMismatch(t *testing.T) {
	for i := range 1000 {
		client, server := newPair()
		id := key.SecretKeyFromSeed([32]byte{7, byte(i), byte(i >> 8)}).ID()
		client.conn.config.PeerID = &id
		err := handshake(client, server, nil)
		if !errors.Is(err, ErrPeerMismatch) || alertOf(err) != 48 || client.done || server.done {
			t.Fatalf("%d: error %v", i, err)
		}
	}
}

// TestSignatureOfTheOtherRole: the server's own signature, over the right transcript, but made as a client makes it.
func TestSignatureOfTheOtherRole(t *testing.T) {
	for _, byServer := range []bool{true, false} {
		client, server := newPair()
		err := handshake(client, server, func(toServer bool, c chunk) []chunk {
			if toServer || c.level != tls.QUICEncryptionLevelHandshake {
				return []chunk{c}
			}
			messages := messagesIn(c.data)
			i := where(t, messages, wire.TypeCertificateVerify)
			for _, m := range messages[:i] {
				if err := client.handle(c.level, m); err != nil {
					t.Fatal(err)
				}
			}
			signature := seedKey(1).Sign(wire.SignedContent(byServer, client.conn.keys.sum()))
			forged, err := wire.AppendCertificateVerify(nil, signature)
			if err != nil {
				t.Fatal(err)
			}
			return []chunk{{c.level, forged}, {c.level, slices.Concat(messages[i+1:]...)}}
		})
		if want := map[bool]int{true: accepted, false: 51}[byServer]; alertOf(err) != want || client.done != byServer {
			t.Errorf("signed as a server %v: %v", byServer, err)
		}
	}
}
