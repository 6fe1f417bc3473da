package rpktls

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/rpktls/internal/wire"
)

// accepted is the alert of no error.
const accepted = -1

// attack is one way in which a peer can misbehave: it alters the messages of one flight on their way to the victim.
type attack struct {
	name  string
	alter func(t *testing.T, messages [][]byte) [][]byte
	alert int
}

// runAttacks checks for each attack that the victim fails with the alert wanted, stays failed, and believes nothing.
func runAttacks(t *testing.T, victimIsClient bool, level tls.QUICEncryptionLevel, attacks []attack) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			client, server := newPair()
			victim := server
			if victimIsClient {
				victim = client
			}
			altered := false
			_ = handshake(client, server, func(toServer bool, c chunk) []chunk {
				if toServer == victimIsClient || c.level != level {
					return []chunk{c}
				}
				altered = true
				return []chunk{{c.level, bytes.Join(a.alter(t, messagesIn(c.data)), nil)}}
			}) // whose error is the victim's or, when the victim accepted what the other side never sent, the other's
			if !altered {
				t.Fatal("the flight never came")
			}
			checkVictim(t, victim, a.alert)
		})
	}
}

func checkVictim(t *testing.T, victim *side, alert int) {
	t.Helper()
	err := victim.conn.err
	if alertOf(err) != alert {
		t.Fatalf("alert %d, want %d: %v", alertOf(err), alert, err)
	}
	if err == nil {
		return
	}
	state := victim.conn.ConnectionState()
	if !victim.done && (state.HandshakeComplete || len(state.PeerCertificates) > 0) {
		t.Errorf("state after failure: %+v", state)
	}
	if again := victim.conn.HandleData(victim.conn.readLevel, nil); again != err {
		t.Errorf("second error %v", again)
	}
	e := victim.conn.NextEvent()
	if e.Kind != tls.QUICErrorEvent || e.Err != err {
		t.Errorf("event %v", e)
	}
	text := err.Error()
	if !strings.HasPrefix(text, "rpktls: ") || strings.Contains(text, "ATTACKER") ||
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("error text %q", text)
	}
}

// Ways to alter a flight.

type alter = func(t *testing.T, messages [][]byte) [][]byte

func editClientHello(f func(m *wire.ClientHello)) alter {
	return func(t *testing.T, messages [][]byte) [][]byte {
		m, err := wire.ParseClientHello(messages[0][wire.HeaderSize:])
		if err != nil {
			t.Fatal(err)
		}
		f(m)
		raw, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{raw}
	}
}

func editServerHello(f func(m *wire.ServerHello)) alter {
	return func(t *testing.T, messages [][]byte) [][]byte {
		m, err := wire.ParseServerHello(messages[0][wire.HeaderSize:])
		if err != nil {
			t.Fatal(err)
		}
		f(m)
		raw, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{raw}
	}
}

func editParameters(f func(m *wire.EncryptedExtensions)) alter {
	return func(t *testing.T, messages [][]byte) [][]byte {
		m, err := wire.ParseEncryptedExtensions(messages[0][wire.HeaderSize:])
		if err != nil {
			t.Fatal(err)
		}
		f(m)
		raw, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return append([][]byte{raw}, messages[1:]...)
	}
}

// setExtension replaces, adds or (with nil) removes an extension.
func setExtension(list []wire.Extension, typ uint16, data []byte) []wire.Extension {
	e := wire.Find(list, typ)
	switch {
	case data == nil:
		return slices.DeleteFunc(list, func(e wire.Extension) bool { return e.Type == typ })
	case e == nil:
		return append(list, wire.Extension{Type: typ, Data: data})
	}
	e.Data = data
	return list
}

func helloWith(typ uint16, data string) alter {
	return editClientHello(func(m *wire.ClientHello) { m.Extensions = setExtension(m.Extensions, typ, []byte(data)) })
}

func helloWithout(typ uint16) alter {
	return editClientHello(func(m *wire.ClientHello) { m.Extensions = setExtension(m.Extensions, typ, nil) })
}

func serverHelloWith(typ uint16, data string) alter {
	return editServerHello(func(m *wire.ServerHello) { m.Extensions = setExtension(m.Extensions, typ, []byte(data)) })
}

func parametersWith(typ uint16, data string) alter {
	return editParameters(func(m *wire.EncryptedExtensions) { m.Extensions = setExtension(m.Extensions, typ, []byte(data)) })
}

func parametersWithout(typ uint16) alter {
	return editParameters(func(m *wire.EncryptedExtensions) { m.Extensions = setExtension(m.Extensions, typ, nil) })
}

// where is the index of the first message of a type.
func where(t *testing.T, messages [][]byte, typ wire.Type) int {
	i := slices.IndexFunc(messages, func(m []byte) bool { return wire.Type(m[0]) == typ })
	if i < 0 {
		t.Fatalf("no %s", typ)
	}
	return i
}

// replace puts other messages in the place of one.
func replace(typ wire.Type, with ...[]byte) alter {
	return func(t *testing.T, messages [][]byte) [][]byte {
		i := where(t, messages, typ)
		return slices.Replace(messages, i, i+1, with...)
	}
}

// body replaces a message's body.
func body(typ wire.Type, b string) alter { return replace(typ, message(typ, []byte(b))) }

func drop(typ wire.Type) alter { return replace(typ) }

func double(typ wire.Type) alter {
	return func(t *testing.T, messages [][]byte) [][]byte {
		i := where(t, messages, typ)
		return slices.Insert(messages, i, messages[i])
	}
}

// longer appends a byte to a message's body.
func longer(typ wire.Type) alter {
	return func(t *testing.T, messages [][]byte) [][]byte {
		i := where(t, messages, typ)
		messages[i] = message(typ, append(messages[i][wire.HeaderSize:], 0))
		return messages
	}
}

// flip changes a bit of a message's last byte.
func flip(typ wire.Type) alter {
	return func(t *testing.T, messages [][]byte) [][]byte {
		m := messages[where(t, messages, typ)]
		m[len(m)-1] ^= 0x10
		return messages
	}
}

// behind appends bytes to the flight.
func behind(data ...byte) alter {
	return func(_ *testing.T, messages [][]byte) [][]byte { return append(messages, data) }
}
