package rpktls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// Forgery is a way to authenticate that must be refused. All the rest of such a handshake is right: the Finished covers what was
// really sent, so that only the check of the key and of its proof stands between the forger and the application.
type Forgery struct {
	Name string
	// ToClient and ToServer are the alerts by which either refuses it; a negative one is none.
	ToClient, ToServer int

	make func(own ed25519.PrivateKey) (forged, error)
}

// forged is what a forgery sends in the place of Certificate and CertificateVerify.
type forged struct {
	body string                                                      // of the Certificate
	sign func(content []byte) (scheme uint16, sig []byte, err error) // nil: there is no CertificateVerify
	role bool                                                        // signs as the other side does
}

func byKey(secret ed25519.PrivateKey) func([]byte) (uint16, []byte, error) {
	return func(content []byte) (uint16, []byte, error) {
		return wire.SchemeEd25519, ed25519.Sign(secret, content), nil
	}
}

// otherKey is another key than the forger's own, the one that its victim expects.
func otherKey() ed25519.PrivateKey {
	_, secret, _ := ed25519.GenerateKey(nil) // never fails
	return secret
}

func spkiOf(secret ed25519.PrivateKey) string {
	return spkiPrefix + string(secret.Public().(ed25519.PublicKey))
}

// Forgeries are all kinds, the first of which is honest: it shows that the forger's handshakes would be accepted.
func Forgeries() []Forgery {
	return []Forgery{
		{"none", accepted, accepted, func(own ed25519.PrivateKey) (forged, error) {
			return forged{body: certificate(spkiOf(own)), sign: byKey(own)}, nil
		}},
		{"key of another, signed by the forger", 51, 51, func(own ed25519.PrivateKey) (forged, error) {
			return forged{body: certificate(spkiOf(own)), sign: byKey(otherKey())}, nil
		}},
		{"X.509 certificate of the right key", 43, 43, func(own ed25519.PrivateKey) (forged, error) {
			template := &x509.Certificate{SerialNumber: big.NewInt(1)}
			der, err := x509.CreateCertificate(rand.Reader, template, template, own.Public(), own)
			return forged{body: certificate(string(der)), sign: byKey(own)}, err
		}},
		{"empty key", 50, 50, func(own ed25519.PrivateKey) (forged, error) {
			return forged{body: certificate(""), sign: byKey(own)}, nil
		}},
		{"no key", 50, 116, func(own ed25519.PrivateKey) (forged, error) {
			return forged{body: "\x00\x00\x00\x00", sign: byKey(own)}, nil
		}},
		{"P-256 key, which did sign", 43, 43, func(ed25519.PrivateKey) (forged, error) {
			secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return forged{}, err
			}
			spki, err := x509.MarshalPKIXPublicKey(secret.Public())
			return forged{body: certificate(string(spki)), sign: func(content []byte) (uint16, []byte, error) {
				sum := sha256.Sum256(content)
				sig, err := ecdsa.SignASN1(rand.Reader, secret, sum[:])
				return 0x0403, sig, err
			}}, err
		}},
		{"bit of the signature flipped", 51, 51, func(own ed25519.PrivateKey) (forged, error) {
			return forged{body: certificate(spkiOf(own)), sign: func(content []byte) (uint16, []byte, error) {
				_, sig, err := byKey(own)(content)
				sig[int(sig[0])%len(sig)] ^= 1 << (sig[1] % 8)
				return wire.SchemeEd25519, sig, err
			}}, nil
		}},
		{"signature of the other role", 51, 51, func(own ed25519.PrivateKey) (forged, error) {
			return forged{body: certificate(spkiOf(own)), sign: byKey(own), role: true}, nil
		}},
		{"no CertificateVerify", 10, 10, func(own ed25519.PrivateKey) (forged, error) {
			return forged{body: certificate(spkiOf(own))}, nil
		}},
		{"key of small order", 42, 42, func(ed25519.PrivateKey) (forged, error) {
			point := append([]byte{1}, make([]byte, 31)...)
			return forged{body: certificate(spkiPrefix + string(point)), sign: func([]byte) (uint16, []byte, error) {
				return wire.SchemeEd25519, append(point, make([]byte, 32)...), nil // R + h·A = s·B for any message
			}}, nil
		}},
	}
}

// Another is the forgery of a server that is in its right, but not the one that was dialed. To a server all keys are good.
func Another() Forgery {
	return Forgery{"another key", 48, accepted, func(ed25519.PrivateKey) (forged, error) {
		secret := otherKey()
		return forged{body: certificate(spkiOf(secret)), sign: byKey(secret)}, nil
	}}
}

// forger makes the last flight of a side anew.
type forger struct {
	Forgery
	own      ed25519.PrivateKey
	isServer bool
	said     bytes.Buffer // all messages before the flight, from both sides
	secret   []byte       // handshake traffic secret of the forger's side
}

// flight returns the forged flight, and the key schedule's transcript after it.
func (f *forger) flight(suite uint16, honest []byte) ([]byte, *schedule, error) {
	keys, err := newSchedule(suite)
	if err != nil {
		return nil, nil, err
	}
	keys.write(f.said.Bytes())
	var out []byte
	add := func(raw []byte) {
		keys.write(raw)
		out = append(out, raw...)
	}
	for _, m := range messagesIn(honest) {
		if wire.Type(m[0]) == wire.TypeCertificate {
			break
		}
		add(m)
	}
	fake, err := f.make(f.own)
	if err != nil {
		return nil, nil, err
	}
	add(message(wire.TypeCertificate, []byte(fake.body)))
	if fake.sign != nil {
		scheme, sig, err := fake.sign(wire.SignedContent(f.isServer != fake.role, keys.sum()))
		if err != nil {
			return nil, nil, err
		}
		body := binary.BigEndian.AppendUint16(nil, scheme)
		body = binary.BigEndian.AppendUint16(body, uint16(len(sig)))
		add(message(wire.TypeCertificateVerify, append(body, sig...)))
	}
	mac, err := keys.finished(f.secret)
	if err != nil {
		return nil, nil, err
	}
	add(message(wire.TypeFinished, mac))
	return out, keys, nil
}

// TestForgeries: a thousand handshakes with each side as the victim, of all kinds. None completes, and none yields the secret by
// which QUIC could read a byte of application data.
func TestForgeries(t *testing.T) {
	for _, victimIsClient := range []bool{true, false} {
		kinds := append(Forgeries(), Another())
		if !victimIsClient {
			kinds = kinds[:len(kinds)-1]
		}
		refused := 0
		for i := 0; refused < 1000; i++ {
			if forgeOnce(t, kinds[i%len(kinds)], victimIsClient) {
				refused++
			}
			if t.Failed() {
				t.Fatalf("handshake %d", i)
			}
		}
	}
}

// forgeOnce reports whether a forgery was refused, as it should be, or accepted if it is none.
func forgeOnce(t *testing.T, kind Forgery, victimIsClient bool) (refused bool) {
	_, own, _ := ed25519.GenerateKey(nil)
	client, server := newPair()
	liar, victim, want := client, server, kind.ToServer
	if victimIsClient {
		id := key.EndpointID(own.Public().(ed25519.PublicKey))
		client.conn.config.PeerID = &id
		liar, victim, want = server, client, kind.ToClient
	}
	f := &forger{Forgery: kind, own: own, isServer: victimIsClient}
	forgeries := 0
	err := handshake(client, server, func(toServer bool, c chunk) []chunk {
		if toServer != victimIsClient && c.level == tls.QUICEncryptionLevelHandshake {
			forgeries++
			f.secret = liar.write[tls.QUICEncryptionLevelHandshake]
			flight, _, err := f.flight(liar.suite, c.data)
			if err != nil {
				t.Fatal(err)
			}
			c.data = flight
		}
		f.said.Write(c.data)
		return []chunk{c}
	})
	if forgeries != 1 {
		t.Fatalf("%s: %d forged flights", kind.Name, forgeries)
	}
	if want == accepted {
		if !victim.done {
			t.Errorf("%s: refused: %v", kind.Name, err)
		}
		return false
	}
	if alertOf(victim.conn.err) != want || !errors.Is(err, victim.conn.err) {
		t.Errorf("%s: alert %d, want %d: %v", kind.Name, alertOf(err), want, err)
	}
	if victim.done || slices.Contains(victim.kinds, tls.QUICHandshakeDone) || victim.read[tls.QUICEncryptionLevelApplication] != nil {
		t.Errorf("%s: complete %v, events %v", kind.Name, victim.done, victim.kinds)
	}
	if id, err := PeerID(victim.conn.ConnectionState()); err == nil {
		t.Errorf("%s: believed to be %v", kind.Name, id)
	}
	checkVictim(t, victim, want)
	return true
}
