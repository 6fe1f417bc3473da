package mdns

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// What iroh 1.4.1 with iroh-mdns-address-lookup 0.6.1 sends: its query, and the answer of the endpoint whose seed is 32
// times 01 and which is bound to 127.0.0.1:4433.
const (
	rustQuery  = "000000000001000000000000075f69726f687631045f756470056c6f63616c00000c0001"
	rustAnswer = "000084000000000200000001075f69726f687631045f756470056c6f63616c00000c000100000078003734726b656f68786c756268797a6c376b73" +
		"336d77747a6f73356f6c66676f636e3764776b62656737746f736561646e61706e356f61c00cc02a0021000100000078004700000000115139726b65" +
		"6f68786c756268797a6c376b73336d77747a6f73356f6c66676f636e3764776b62656737746f736561646e61706e356f612d34343333056c6f63616c" +
		"00c073000100010000007800047f000001"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testWire(t testing.TB) wire {
	t.Helper()
	w, err := newWire("irohv1")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func owner() key.EndpointID {
	return key.SecretKeyFromSeed([32]byte(bytes.Repeat([]byte{1}, 32))).ID()
}

func sample(direct ...string) record.Record {
	r := record.New(ticket.EndpointAddr{ID: owner()})
	for _, d := range direct {
		r.Addr.Direct = append(r.Addr.Direct, netip.MustParseAddrPort(d))
	}
	return r
}

func TestWhatIrohSends(t *testing.T) {
	w := testWire(t)
	query, err := w.query()
	if got := hex.EncodeToString(query); err != nil || got != rustQuery {
		t.Errorf("our query\n%s, iroh's\n%s, %v", got, rustQuery, err)
	}
	if m := w.read(query); !m.query || m.seen != nil {
		t.Errorf("the query was read as %+v", m)
	}
	m := w.read(unhex(t, rustAnswer))
	if m.query || len(m.seen) != 1 || !m.seen[0].Equal(sample("127.0.0.1:4433")) {
		t.Errorf("the answer was read as %+v", m)
	}
}

// Ours has the same records as iroh's, in the same order, with the same classes and times.
func TestOurAnswerIsLikeIrohs(t *testing.T) {
	w := testWire(t)
	ours, err := w.answer(sample("127.0.0.1:4433"))
	if err != nil {
		t.Fatal(err)
	}
	var a, b dnsmessage.Message
	if err := a.Unpack(ours); err != nil {
		t.Fatal(err)
	}
	if err := b.Unpack(unhex(t, rustAnswer)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*dnsmessage.Message{&a, &b} {
		for _, section := range [][]dnsmessage.Resource{m.Answers, m.Additionals} {
			for i := range section {
				section[i].Header.Length = 0
			}
		}
	}
	if a.GoString() != b.GoString() {
		t.Errorf("ours\n%s\niroh's\n%s", a.GoString(), b.GoString())
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	w := testWire(t)
	full := sample("192.0.2.1:1", "[2001:db8::1]:2", "192.0.2.2:1")
	full.Addr.Relays, full.UserData = []string{"https://relay.example./"}, strings.Repeat("x", record.MaxUserData)
	b, err := w.answer(full)
	if err != nil {
		t.Fatal(err)
	}
	// Addresses come back by port.
	want := full.Clone()
	want.Addr.Direct = sample("192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:2").Addr.Direct
	if m := w.read(b); len(m.seen) != 1 || !m.seen[0].Equal(want) {
		t.Errorf("read back as %+v", m)
	}
	for i := range 60 {
		full.Addr.Direct = append(full.Addr.Direct, netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(i)}), uint16(i+9)))
	}
	b, err = w.answer(full)
	m := w.read(b)
	if err != nil || len(b) > maxAnswer || len(b) < maxAnswer-250 || len(m.seen) != 1 || m.seen[0].UserData == "" {
		t.Errorf("many addresses: %d bytes, %v, %+v", len(b), err, m)
	}
	relayOnly := sample()
	relayOnly.Addr.Relays = full.Addr.Relays
	if b, err := w.answer(relayOnly); b != nil || err != nil {
		t.Errorf("a relay alone is announced: %x, %v", b, err)
	}
	if _, err := newWire("a.b"); err == nil {
		t.Error("a service of two labels")
	}
}

// edit unpacks iroh's answer, changes it and packs it again.
func edit(t testing.TB, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(unhex(t, rustAnswer)); err != nil {
		t.Fatal(err)
	}
	change(&m)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessagesOfOthers(t *testing.T) {
	name := dnsmessage.MustNewName
	answer := unhex(t, rustAnswer)
	for what, test := range map[string]struct {
		in   []byte
		want string
	}{
		"nothing":        {nil, ""},
		"cut":            {answer[:len(answer)-1], ""},
		"counts too big": {append([]byte{0, 0, 0x84, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, answer[12:]...), ""},
		"pointer loop":   {[]byte{0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 30, 0, 0}, ""},
		"cache-flush bit, address among the answers": {edit(t, func(m *dnsmessage.Message) {
			m.Answers[1].Header.Class |= unique
			m.Answers = append(m.Answers, m.Additionals...)
			m.Additionals = nil
		}), "[127.0.0.1:4433]"},
		"upper case": {edit(t, func(m *dnsmessage.Message) {
			m.Answers[1].Header.Name = name(strings.ToUpper(m.Answers[1].Header.Name.String()))
			m.Additionals[0].Header.Name = name(strings.ToUpper(m.Additionals[0].Header.Name.String()))
		}), "[127.0.0.1:4433]"},
		"question to be answered by unicast": {edit(t, func(m *dnsmessage.Message) {
			m.Questions = []dnsmessage.Question{{Name: testWire(t).service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET | unique}}
		}), "query"},
		"question about another service": {edit(t, func(m *dnsmessage.Message) {
			m.Questions = []dnsmessage.Question{{Name: name("_ipp._tcp.local."), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}}
		}), "[127.0.0.1:4433]"},
		"no address": {edit(t, func(m *dnsmessage.Message) { m.Additionals = nil }), ""},
		"address of another target": {edit(t, func(m *dnsmessage.Message) {
			m.Additionals[0].Header.Name = name("printer.local.")
		}), ""},
		"target elsewhere": {edit(t, func(m *dnsmessage.Message) {
			m.Answers[1].Body = &dnsmessage.SRVResource{Port: 1, Target: name("victim.example.com.")}
			m.Additionals[0].Header.Name = name("victim.example.com.")
		}), ""},
		"unusable address": {edit(t, func(m *dnsmessage.Message) {
			m.Additionals[0].Body = &dnsmessage.AResource{A: [4]byte{224, 0, 0, 251}}
		}), ""},
		"another class": {edit(t, func(m *dnsmessage.Message) { m.Answers[1].Header.Class = dnsmessage.ClassCHAOS }), ""},
		"no endpoint id": {edit(t, func(m *dnsmessage.Message) {
			m.Answers[1].Header.Name = name("printer._irohv1._udp.local.")
		}), ""},
		"too many addresses": {edit(t, func(m *dnsmessage.Message) {
			for i := range 200 {
				extra := m.Additionals[0]
				extra.Body = &dnsmessage.AResource{A: [4]byte{192, 0, 2, byte(i + 1)}}
				m.Additionals = append(m.Additionals, extra)
			}
		}), "32 addresses"},
	} {
		t.Run(what, func(t *testing.T) {
			m := testWire(t).read(test.in)
			got := ""
			switch {
			case m.query:
				got = "query"
			case len(m.seen) == 1 && len(m.seen[0].Addr.Direct) > 2:
				got = fmt.Sprint(len(m.seen[0].Addr.Direct), " addresses")
			case len(m.seen) > 0:
				got = fmt.Sprint(m.seen[0].Addr.Direct)
			}
			if got != test.want {
				t.Errorf("read as %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(unhex(f, rustQuery))
	f.Add(unhex(f, rustAnswer))
	full := sample("192.0.2.1:1", "[2001:db8::1]:2")
	full.Addr.Relays, full.UserData = []string{"https://relay.example./"}, "x"
	b, err := testWire(f).answer(full)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	w := testWire(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := w.read(b)
		if m.query && m.seen != nil {
			t.Fatalf("both a query and an answer: %+v", m)
		}
		for _, r := range m.seen {
			if !r.Equal(r.Usable()) || len(r.Addr.Direct) == 0 {
				t.Fatalf("not usable: %+v", r)
			}
			again, err := w.answer(r)
			if err != nil || len(again) > maxAnswer {
				t.Fatalf("%+v cannot be announced: %d bytes, %v", r, len(again), err)
			}
			if back := w.read(again); len(back.seen) != 1 || back.seen[0].ID() != r.ID() {
				t.Fatalf("%+v became %+v", r, back)
			}
		}
	})
}
