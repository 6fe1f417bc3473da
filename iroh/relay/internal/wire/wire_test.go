package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// vectors are frames that iroh-relay 1.4.1 made, in hex by name.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/relay.json")
	if err != nil {
		t.Fatal(err)
	}
	var text map[string]string
	if err := json.Unmarshal(data, &text); err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for name, s := range text {
		if b, err := hex.DecodeString(s); err == nil {
			out[name] = b
		}
	}
	return out
}

const hello = "Hello World!"

func peer2(v map[string][]byte) key.EndpointID { return key.EndpointID(v["endpoint_gone_pk2"][1:]) }

func TestFramesAreThoseOfIroh(t *testing.T) {
	v := vectors(t)
	auth, err := ParseAuth(v["client_auth_frame"][1:])
	if err != nil {
		t.Fatal(err)
	}
	material, err := ParseAuth(v["key_material_client_auth_postcard_hex"][:97])
	if err != nil {
		t.Fatal(err)
	}
	one := Datagrams{Peer: peer2(v), ECN: 3, Data: []byte(hello)}
	many := Datagrams{Peer: peer2(v), ECN: 3, Segment: 6, Data: []byte(hello)}
	ping := PingData{42, 42, 42, 42, 42, 42, 42, 42}
	for name, got := range map[string][]byte{
		"server_challenge_frame":                       AppendChallenge(nil, [16]byte(v["challenge_hex"])),
		"client_auth_frame":                            AppendAuth(nil, auth),
		"key_material_client_auth_postcard_hex":        AppendKeyMaterialAuth(nil, material, [16]byte(v["exported_keying_material_example_hex"][16:])),
		"server_confirms_frame":                        AppendConfirmation(nil),
		"server_denies_frame_not_authorized":           AppendDenial(nil, "not authorized"),
		"client_datagram_frame_to_pk2_ecn3":            AppendToRelay(nil, one),
		"client_datagram_batch_frame_to_pk2_ecn3_seg6": AppendToRelay(nil, many),
		"endpoint_gone_pk2":                            AppendGone(nil, peer2(v)),
		"ping":                                         AppendPing(nil, ping),
		"pong":                                         AppendPong(nil, ping),
		"restarting_10ms_20ms":                         AppendRestart(nil, Restart{10 * time.Millisecond, 20 * time.Millisecond}),
		"status_same_endpoint":                         AppendStatus(nil, SameEndpoint),
		"status_rate_limited":                          AppendStatus(nil, RateLimited),
	} {
		if len(v[name]) == 0 || !bytes.Equal(got, v[name]) {
			t.Errorf("%s: got %x, want %x", name, got, v[name])
		}
	}
}

// what parses a body of any type, and appends the frame anew; nil for what no client hears or says.
func again(typ Type, body []byte) (frame []byte, err error) {
	switch typ {
	case ServerChallenge:
		c, err := ParseChallenge(body)
		return AppendChallenge(nil, c), err
	case ClientAuth:
		a, err := ParseAuth(body)
		return AppendAuth(nil, a), err
	case ServerConfirmsAuth:
		return AppendConfirmation(nil), nil
	case ServerDeniesAuth:
		s, err := ParseDenial(body)
		return AppendDenial(nil, s), err
	case ClientToRelayDatagram, ClientToRelayBatch:
		d, err := ParseDatagrams(typ, body)
		return AppendToRelay(nil, d), err
	case RelayToClientDatagram, RelayToClientBatch:
		d, err := ParseDatagrams(typ, body)
		return AppendFromRelay(nil, d), err
	case EndpointGone:
		id, err := ParseGone(body)
		return AppendGone(nil, id), err
	case Ping:
		p, err := ParsePing(body)
		return AppendPing(nil, p), err
	case Pong:
		p, err := ParsePing(body)
		return AppendPong(nil, p), err
	case Health:
		s, err := ParseHealth(body)
		return AppendHealth(nil, s), err
	case Restarting:
		r, err := ParseRestart(body)
		return AppendRestart(nil, r), err
	}
	c, err := ParseStatus(body)
	return AppendStatus(nil, c), err
}

func TestRoundTrips(t *testing.T) {
	id := peer2(vectors(t))
	for _, frame := range [][]byte{
		AppendHealth(nil, ""), AppendHealth(nil, "another endpoint connected"),
		AppendFromRelay(nil, Datagrams{Peer: id, Data: []byte{0}}),
		AppendFromRelay(nil, Datagrams{Peer: id, ECN: 2, Segment: 1200, Data: make([]byte, MaxDatagrams)}),
		AppendToRelay(nil, Datagrams{Peer: id, Segment: 1, Data: []byte("ab")}),
		AppendRestart(nil, Restart{0, time.Duration(1<<32-1) * time.Millisecond}),
	} {
		typ, body, err := ParseType(frame)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again(typ, body); err != nil || !bytes.Equal(got, frame) {
			t.Errorf("%.40x came back as %.40x, %v", frame, got, err)
		}
	}
}

func TestRefused(t *testing.T) {
	id := strings.Repeat("i", 32)
	for _, c := range []struct {
		name  string
		frame string
		want  error
	}{
		{"nothing", "", ErrEmpty},
		{"type 14", "\x0e", ErrType},
		{"type in two bytes", "\x40\x0912345678", ErrType},
		{"short challenge", "\x00" + strings.Repeat("c", 15), ErrSize},
		{"long challenge", "\x00" + strings.Repeat("c", 17), ErrSize},
		{"short auth", "\x01" + id + "\x40" + strings.Repeat("s", 63), ErrSize},
		{"auth of another length", "\x01" + id + "\x3f" + strings.Repeat("s", 64), ErrSize},
		{"denial without length", "\x03", ErrSize},
		{"denial that claims more", "\x03\x05abc", ErrSize},
		{"denial with more", "\x03\x02abc", ErrSize},
		{"endless denial", "\x03\x81\x08" + strings.Repeat("r", 1025), ErrSize},
		{"denial in no text", "\x03\x01\xff", ErrText},
		{"datagram without data", "\x06" + id + "\x00", ErrSize},
		{"batch without data", "\x07" + id + "\x00\x00\x05", ErrSize},
		{"batch without size", "\x07" + id + "\x00\x00", ErrSize},
		{"datagram that is too large", "\x06" + id + strings.Repeat("d", MaxFrame-32), ErrSize},
		{"short gone", "\x08" + id[1:], ErrSize},
		{"long ping", "\x09123456789", ErrSize},
		{"short pong", "\x0a1234567", ErrSize},
		{"endless health", "\x0b" + strings.Repeat("h", 1025), ErrSize},
		{"health in no text", "\x0b\xc0", ErrText},
		{"short restarting", "\x0c1234567", ErrSize},
		{"empty status", "\x0d", ErrSize},
	} {
		typ, body, err := ParseType([]byte(c.frame))
		if err == nil {
			_, err = again(typ, body)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := ParseDatagrams(Ping, make([]byte, 40)); !errors.Is(err, ErrType) {
		t.Errorf("a ping as datagrams: %v", err)
	}
}

func TestDatagramsAreTakenApart(t *testing.T) {
	for _, c := range []struct {
		segment int
		want    []string
	}{
		{0, []string{"abcdefg"}}, {3, []string{"abc", "def", "g"}}, {7, []string{"abcdefg"}}, {9, []string{"abcdefg"}}, {1, strings.Split("abcdefg", "")},
	} {
		d := Datagrams{Segment: c.segment, Data: []byte("abcdefg")}
		var got []string
		for len(d.Data) > 0 {
			got = append(got, string(d.Next()))
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("segment %d: %q", c.segment, got)
		}
	}
}

func TestAppendingAllocatesNothing(t *testing.T) {
	d := Datagrams{Segment: 1200, Data: make([]byte, 12_000)}
	buf := make([]byte, 0, MaxFrame)
	if n := testing.AllocsPerRun(100, func() {
		frame := AppendFromRelay(buf, d)
		if got, err := ParseDatagrams(Type(frame[0]), frame[1:]); err != nil || got.Segment != 1200 {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever is accepted comes back as the same bytes, but for what the protocol says is not looked at.
func FuzzFrame(f *testing.F) {
	for _, frame := range vectors(f) {
		f.Add(frame)
	}
	f.Add(AppendHealth(nil, "problem"))
	f.Add(AppendFromRelay(nil, Datagrams{ECN: 1, Segment: 4, Data: []byte("0123456789")}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		typ, body, err := ParseType(frame)
		if err != nil {
			return
		}
		first, err := again(typ, body)
		if err != nil {
			return
		}
		_, body, err = ParseType(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := again(Type(first[0]), body)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%x became %x, then %x, %v", frame, first, second, err)
		}
	})
}

// Taking a batch apart gives all of its bytes, in pieces of one size but for the last.
func FuzzDatagrams(f *testing.F) {
	f.Add(AppendFromRelay(nil, Datagrams{Segment: 4, Data: []byte("0123456789")})[1:])
	f.Add(AppendFromRelay(nil, Datagrams{Segment: 5, Data: []byte("0123456789")})[1:])
	f.Add(make([]byte, 36))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := ParseDatagrams(RelayToClientBatch, body)
		if err != nil {
			return
		}
		whole, segment := d.Data, d.Segment
		var got []byte
		for len(d.Data) > 0 {
			p := d.Next()
			if len(p) == 0 || len(d.Data) > 0 && len(p) != segment {
				t.Fatalf("a piece of %d bytes of segment %d", len(p), segment)
			}
			got = append(got, p...)
		}
		if !bytes.Equal(got, whole) {
			t.Error("other bytes")
		}
	})
}
