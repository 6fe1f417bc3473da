package rpktls

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
)

// fixed takes the randomness away from a pair, so that every handshake has the same bytes and a fuzzer that starts from
// them gets all the way through.
func fixed(client, server *side) (*side, *side) {
	client.conn.config.Rand = strings.NewReader(strings.Repeat("c", 64))
	server.conn.config.Rand = strings.NewReader(strings.Repeat("s", 64))
	return client, server
}

// hearing is what one side hears in a handshake: one or two Initial flights, and one Handshake flight.
type hearing struct {
	first, again, rest []byte
}

// heard is what the victim hears in a good handshake of a pair.
func heard(f *testing.F, client, server *side, victimIsClient bool) (h hearing) {
	var initial [][]byte
	if err := handshake(client, server, func(toServer bool, c chunk) []chunk {
		switch {
		case toServer == victimIsClient:
		case c.level == tls.QUICEncryptionLevelInitial:
			initial = append(initial, bytes.Clone(c.data))
		default:
			h.rest = bytes.Clone(c.data)
		}
		return []chunk{c}
	}); err != nil {
		f.Fatal(err)
	}
	h.first = initial[0]
	h.again = bytes.Join(initial[1:], nil)
	if victim := map[bool]*side{true: client, false: server}[victimIsClient]; !victim.done || len(initial) > 2 {
		f.Fatalf("done %v after %d Initial flights", victim.done, len(initial))
	}
	return h
}

const seedStep = 5

// seed adds a hearing, whole, with bytes changed, and cut. Each byte is changed by TestEveryByteChanged; here every fifth is enough, and a
// short run comes to inputs of its own.
func (h hearing) seed(f *testing.F) {
	f.Add(h.first, h.again, h.rest, newTicket(40), uint16(0))
	for n, flight := range [][]byte{h.first, h.again, h.rest} {
		for i := 0; i < len(flight); i += seedStep {
			all := []([]byte){h.first, h.again, h.rest}
			all[n] = bytes.Clone(flight)
			all[n][i] ^= 0x21
			f.Add(all[0], all[1], all[2], []byte{}, uint16(i))
		}
	}
	for i := 0; i < len(h.rest); i += seedStep {
		f.Add(h.first, h.again, h.rest[:i], h.rest[i:], uint16(i))
	}
}

// fuzzFlights feeds one side its flights, each cut in two at some byte. It may complete only with those of a handshake that
// its peer really made, without a retry or with the one that concerns it.
func fuzzFlights(f *testing.F, victimIsClient bool) {
	retry := p256Pair
	if victimIsClient {
		retry = cookiePair
	}
	var good []hearing
	for _, pair := range []func() (client, server *side){newPair, retry} {
		client, server := fixed(pair())
		good = append(good, heard(f, client, server, victimIsClient))
	}
	for _, h := range good {
		h.seed(f)
	}
	f.Fuzz(func(t *testing.T, first, again, rest, after []byte, cut uint16) {
		client, server := fixed(newPair())
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
		feed(tls.QUICEncryptionLevelInitial, again)
		feed(tls.QUICEncryptionLevelHandshake, rest)
		asSent := slices.ContainsFunc(good, func(h hearing) bool {
			return bytes.Equal(first, h.first) && bytes.Equal(again, h.again) && bytes.Equal(rest, h.rest)
		})
		// The same bytes cut at other places are as good, or too early, as the cuts happen to be.
		sameBytes := slices.ContainsFunc(good, func(h hearing) bool {
			return bytes.Equal(slices.Concat(first, again), slices.Concat(h.first, h.again)) && bytes.Equal(rest, h.rest)
		})
		if victim.done && !sameBytes || !victim.done && asSent {
			t.Errorf("complete %v, though the flights are the peer's own: %v", victim.done, asSent)
		}
		feed(tls.QUICEncryptionLevelApplication, after)
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
