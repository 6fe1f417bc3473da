package rpktls

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
)

// fixedPair is newPair without randomness, so that every handshake has the same bytes and a fuzzer that starts from them
// gets all the way through.
func fixedPair() (client, server *side) {
	client, server = newPair()
	client.conn.config.Rand = strings.NewReader(strings.Repeat("c", 64))
	server.conn.config.Rand = strings.NewReader(strings.Repeat("s", 64))
	return client, server
}

// fuzzFlights feeds one side a flight at each level, cut in two at some byte. It may complete only with the flights of
// the handshake that its peer really made.
func fuzzFlights(f *testing.F, victimIsClient bool) {
	client, server := fixedPair()
	var initial, rest []byte
	if err := handshake(client, server, func(toServer bool, c chunk) []chunk {
		if toServer != victimIsClient {
			if c.level == tls.QUICEncryptionLevelInitial {
				initial = bytes.Clone(c.data)
			} else {
				rest = bytes.Clone(c.data)
			}
		}
		return []chunk{c}
	}); err != nil {
		f.Fatal(err)
	}
	f.Add(initial, rest, newTicket(40), uint16(0))
	for i := range initial {
		changed := bytes.Clone(initial)
		changed[i] ^= 0x21
		f.Add(changed, rest, []byte{}, uint16(i))
	}
	for i := range rest {
		changed := bytes.Clone(rest)
		changed[i] ^= 0x21
		f.Add(initial, changed, []byte{}, uint16(i))
		f.Add(initial, rest[:i], rest[i:], uint16(i))
	}
	f.Fuzz(func(t *testing.T, first, second, third []byte, cut uint16) {
		client, server := fixedPair()
		victim := server
		if victimIsClient {
			victim = client
		}
		if err := victim.start(); err != nil {
			t.Fatal(err)
		}
		var err error
		feed := func(level tls.QUICEncryptionLevel, data []byte) {
			at := min(int(cut), len(data))
			for _, part := range [][]byte{data[:at], data[at:]} {
				if err == nil && len(part) > 0 {
					err = victim.handle(level, part)
				}
			}
		}
		feed(tls.QUICEncryptionLevelInitial, first)
		feed(tls.QUICEncryptionLevelHandshake, second)
		good := bytes.Equal(first, initial) && bytes.Equal(second, rest)
		if victim.done != good {
			t.Errorf("complete %v, though the flights are the peer's own: %v", victim.done, good)
		}
		feed(tls.QUICEncryptionLevelApplication, third)
		if err != nil && (alertOf(err) < 10 || alertOf(err) == 80) {
			t.Errorf("error %v", err)
		}
		if n := cap(victim.conn.in); n > 2*maxBuffered {
			t.Errorf("%d bytes buffered", n)
		}
	})
}

func FuzzClientFlights(f *testing.F) { fuzzFlights(f, true) }
func FuzzServerFlights(f *testing.F) { fuzzFlights(f, false) }
