package rpktls

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

func certificate(spki string) string {
	n := len(spki)
	return "\x00" + string([]byte{0, 0, byte(n + 5), 0, 0, byte(n)}) + spki + "\x00\x00"
}

// spki is a DER public key of Ed25519 with these 32 bytes in hex.
func spki(t *testing.T, key string) string {
	t.Helper()
	return spkiPrefix + string(unhex(t, key))
}

// authenticationAttacks alter Certificate, CertificateVerify and Finished, in either direction.
func authenticationAttacks(t *testing.T, fromServer bool) []attack {
	return slices.Concat(keyAttacks(t, fromServer), smallOrderAttacks(t), proofAttacks(t))
}

func keyAttacks(t *testing.T, fromServer bool) []attack {
	const cert = wire.TypeCertificate
	good := string(seedKey(2).ID().SPKI())
	noKey := 116
	if fromServer {
		good = string(seedKey(1).ID().SPKI())
		noKey = 50
	}
	entry := func(spki string) string { return "\x00\x00" + string(rune(len(spki))) + spki }
	return []attack{
		{"X.509 certificate", body(cert, string(unhex(t, rfcCertificate)[wire.HeaderSize:])), 43},
		{"X25519 key", body(cert, certificate("\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00"+good[12:])), 43},
		{"Ed448 key", body(cert, certificate("\x30\x43\x30\x05\x06\x03\x2b\x65\x71\x03\x3a\x00"+strings.Repeat("k", 57))), 43},
		{"P-256 key", body(cert, certificate(string(unhex(t, "3059301306072a8648ce3d020106082a8648ce3d030107034200"))+strings.Repeat("p", 65))), 43},
		{"bare key bytes", body(cert, certificate(good[12:])), 43},
		{"one byte of key", body(cert, certificate("k")), 43},
		{"key with parameters", body(cert, certificate("\x30\x2c\x30\x07\x06\x03\x2b\x65\x70\x05\x00\x03\x21\x00"+good[12:])), 43},
		{"key and a byte", body(cert, certificate(good+"x")), 43},
		{"key short of a byte", body(cert, certificate(good[:43])), 43},
		{"not a point", body(cert, certificate(spki(t, "0200000000000000000000000000000000000000000000000000000000000000"))), 42},
		{"non-canonical point", body(cert, certificate(spki(t, "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"))), 42},
		{"no key", body(cert, "\x00\x00\x00\x00"), noKey},
		{"empty key", body(cert, "\x00\x00\x00\x05\x00\x00\x00\x00\x00"), 50},
		{"empty message", body(cert, ""), 50},
		{"context", body(cert, "\x01c"+certificate(good)[1:]), 47},
		{"two keys", body(cert, "\x00\x00\x00\x62"+entry(good)+"\x00\x00"+entry(good)+"\x00\x00"), 47},
		{"extension", body(cert, "\x00\x00\x00\x35"+entry(good)+"\x00\x04\x00\x05\x00\x00"), 110},
		{"unknown extension", body(cert, "\x00\x00\x00\x35"+entry(good)+"\x00\x04\x0a\x0a\x00\x00"), 110},
		{"foreign extension", body(cert, "\x00\x00\x00\x35"+entry(good)+"\x00\x04\x00\x33\x00\x00"), 47},
		{"half an entry", body(cert, "\x00\x00\x00\x04"+entry(good)[:4]), 50},
		{"longer Certificate", longer(cert), 50},
		{"no Certificate", drop(cert), 10},
		{"two Certificates", double(cert), 10},
		{"KeyUpdate for Certificate", replace(cert, message(wire.TypeKeyUpdate, []byte{0})), 10},
	}
}

func proofAttacks(t *testing.T) []attack {
	const verify, finished = wire.TypeCertificateVerify, wire.TypeFinished
	return []attack{
		{"wrong signature", flip(verify), 51},
		{"short signature", body(verify, "\x08\x07\x00\x3f"+strings.Repeat("s", 63)), 51},
		{"no signature", body(verify, "\x08\x07\x00\x00"), 51},
		{"zero signature", body(verify, "\x08\x07\x00\x40"+strings.Repeat("\x00", 64)), 51},
		{"identity signature", body(verify, "\x08\x07\x00\x40\x01"+strings.Repeat("\x00", 63)), 51},
		{"RSA signature", body(verify, string(unhex(t, rfcCertificateVerify)[wire.HeaderSize:])), 47},
		{"ECDSA signature", body(verify, "\x04\x03\x00\x40"+strings.Repeat("s", 64)), 47},
		{"empty CertificateVerify", body(verify, ""), 50},
		{"longer CertificateVerify", longer(verify), 50},
		{"no CertificateVerify", drop(verify), 10},
		{"two CertificateVerify", double(verify), 10},

		{"wrong Finished", flip(finished), 51},
		{"empty Finished", body(finished, ""), 50},
		{"short Finished", body(finished, strings.Repeat("f", 31)), 50},
		{"longer Finished", longer(finished), 50},
		{"KeyUpdate for Finished", replace(finished, message(wire.TypeKeyUpdate, []byte{0})), 10},
		{"no Finished", drop(finished), accepted}, // and never complete
		{"two Finished", double(finished), 10},
		{"a byte behind Finished", behind(4), 10},
		{"ticket behind Finished", behind(newTicket(20)...), 10},
		{"order reversed", func(_ *testing.T, m [][]byte) [][]byte { slices.Reverse(m); return m }, 10},
	}
}

// smallOrderAttacks are keys for which anybody can sign, in canonical and other encodings.
func smallOrderAttacks(t *testing.T) (list []attack) {
	for _, point := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		list = append(list, attack{"small order " + point[:8] + point[56:], body(wire.TypeCertificate, certificate(spki(t, point))), 42})
	}
	return list
}

func TestAuthenticationAlerts(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		runAttacks(t, true, tls.QUICEncryptionLevelHandshake, authenticationAttacks(t, true))
		other := certificate(string(seedKey(9).ID().SPKI()))
		runAttacks(t, true, tls.QUICEncryptionLevelHandshake, []attack{{"another key", body(wire.TypeCertificate, other), 48}})
	})
	t.Run("server", func(t *testing.T) {
		runAttacks(t, false, tls.QUICEncryptionLevelHandshake, authenticationAttacks(t, false))
		// A server takes any key, but only from its owner.
		other := certificate(string(seedKey(9).ID().SPKI()))
		runAttacks(t, false, tls.QUICEncryptionLevelHandshake, []attack{{"key of another", body(wire.TypeCertificate, other), 51}})
	})
}
