package qad

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/quic-go/quic-go/quicvarint"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var suites = map[uint16]int{tls.TLS_AES_128_GCM_SHA256: 32, tls.TLS_AES_256_GCM_SHA384: 48, tls.TLS_CHACHA20_POLY1305_SHA256: 32}

// The example of RFC 9001, section A.5: a short header without connection id, number 654360564, a PING.
func TestPacketOfRFC9001(t *testing.T) {
	p, err := newProtection(tls.TLS_CHACHA20_POLY1305_SHA256, unhex(t, "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b"))
	if err != nil {
		t.Fatal(err)
	}
	if next := hex.EncodeToString(p.next.secret); next != "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9" {
		t.Errorf("the next secret is %s", next)
	}
	p.largest = 654360563
	packet := unhex(t, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb")
	o, err := p.open(packet, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(o.payload, []byte{framePing}) || p.largest != 654360564 {
		t.Errorf("payload %x of packet %d", o.payload, p.largest)
	}
	again := make([]byte, len(packet))
	if p.seal(o, again); !bytes.Equal(again, packet) {
		t.Errorf("sealed again it is %x", again)
	}
}

func TestParameter(t *testing.T) {
	given := unhex(t, "01048000ea60"+"0f08a1a2a3a4a5a6a7a8"+"0801"+"00")
	with := appendParameter(bytes.Clone(given))
	if want := "c00000009f81a1760101"; hex.EncodeToString(with[len(given):]) != want {
		t.Errorf("added %x, want %s", with[len(given):], want)
	}
	if id, ok := sourceID(with); !ok || hex.EncodeToString(id) != "a1a2a3a4a5a6a7a8" {
		t.Errorf("source id %x, %v", id, ok)
	}
	for _, bad := range []string{"", "0f", "0f09a1", "0104", "8000"} {
		if id, ok := sourceID(unhex(t, bad)); ok {
			t.Errorf("%q: source id %x", bad, id)
		}
	}
}

// observed is an OBSERVED_ADDR frame.
func observed(seq uint64, addr string) []byte {
	a := netip.MustParseAddrPort(addr)
	typ := uint64(frameObservedV4)
	if a.Addr().Is6() {
		typ = frameObservedV6
	}
	b := quicvarint.Append(quicvarint.Append(nil, typ), seq)
	b = append(b, a.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// All frames that may come before the one that we look for (RFC 9000, section 19), each on its own and behind each other.
func TestReportBehindOtherFrames(t *testing.T) {
	frames := map[string]string{
		"padding": "000000", "ping": "01", "ack": "024064053f020a0102030405"[:18] + "0203", "ack ecn": "030501000102030c",
		"reset stream": "04010203", "stop sending": "050102", "crypto": "060003aabbcc", "new token": "0702aabb",
		"stream with all": "0f044001" + "02" + "aabb", "stream with a length": "0a0402aabb", "max data": "1044ff",
		"max stream data": "11044001", "max streams": "1203", "max streams uni": "1303", "data blocked": "1401",
		"stream blocked": "150102", "streams blocked": "1601", "streams blocked uni": "1701",
		"new id": "18010008" + "0102030405060708" + "000102030405060708090a0b0c0d0e0f", "retire id": "1900",
		"path challenge": "1a0102030405060708", "path response": "1b0102030405060708", "close": "1c0a0602aabb", "app close": "1d0102aabb",
		"handshake done": "1e",
	}
	frames["ack"] = "02" + "0a" + "00" + "01" + "02" + "03" + "04" // largest, delay, one more range, first; gap, length
	want := netip.MustParseAddrPort("203.0.113.9:4022")
	var all []byte
	for name, text := range frames {
		before := unhex(t, text)
		all = append(all, before...)
		got := reports(append(before, observed(7, want.String())...))
		if len(got) != 1 || got[0].addr != want || got[0].seq != 7 || got[0].start != len(before) || got[0].end != len(before)+11 {
			t.Errorf("%s: %+v", name, got)
		}
		for cut := 1; cut < len(before); cut++ {
			reports(before[:cut]) // must not panic
		}
	}
	payload := append(append(observed(1, "[2001:db8::1]:1"), all...), observed(2, want.String())...)
	if got := reports(payload); len(got) != 2 || got[0].addr.String() != "[2001:db8::1]:1" || got[1].addr != want {
		t.Errorf("among all others: %+v", got)
	}
	for name, before := range map[string]string{
		"a frame of multipath": "3e0102", "a stream without length": "080401", "a datagram": "300102", "too many ranges": "020a00ff01",
		"a frame that is cut": "0640ff01", "an unknown type": "9f81a8",
	} {
		if got := reports(append(unhex(t, before), observed(7, want.String())...)); len(got) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for cut := range observed(7, want.String()) {
		if got := reports(observed(7, want.String())[:cut]); len(got) != 0 {
			t.Errorf("cut to %d bytes: %+v", cut, got)
		}
	}
}

// server is the other side of a Session: it protects packets as a QAD server does.
type server struct {
	*protection
	id     []byte
	number uint32
}

// packet is the next packet with a payload.
func (s *server) packet(payload []byte) []byte {
	first := byte(0x40 | 3)
	if s.phase {
		first |= 0x04
	}
	header := append([]byte{first}, s.id...)
	header = binary.BigEndian.AppendUint32(header, s.number)
	o := &opened{keys: s.current, nonce: s.current.iv, header: header, payload: append(payload, 0, 0, 0, 0)}
	binary.BigEndian.PutUint64(o.nonce[4:], binary.BigEndian.Uint64(o.nonce[4:])^uint64(s.number))
	s.number++
	packet := make([]byte, len(header)+len(o.payload)+16)
	s.seal(o, packet)
	return packet
}

func session(t testing.TB, suite uint16) (*Session, *server, func()) {
	t.Helper()
	secret := make([]byte, suites[suite])
	rand.Read(secret)
	p, err := newProtection(suite, bytes.Clone(secret))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSession("relay.test", nil)
	s.begin(append([]byte{paramSourceID, 8}, "12345678"...))
	return s, &server{protection: p, id: []byte("12345678")}, func() {
		if err := s.unlock(suite, secret); err != nil {
			t.Fatal(err)
		}
	}
}

// initial is a long-header packet that may come before in the same datagram.
var initial = append([]byte{0xc3, 0, 0, 0, 1, 8, '1', '2', '3', '4', '5', '6', '7', '8', 4, 1, 2, 3, 4, 0, 0x40, 0x50}, make([]byte, 0x50)...)

func TestSession(t *testing.T) {
	for suite := range suites {
		s, from, unlock := session(t, suite)
		other := append([]byte("@87654321"), make([]byte, 40)...)
		if n := s.Inspect(other); n != len(other) || len(s.held) != 0 {
			t.Error("a packet of another connection is kept")
		}
		early := append(bytes.Clone(initial), from.packet(observed(0, "203.0.113.9:4022"))...)
		if n := s.Inspect(early); n != len(initial) {
			t.Errorf("%d bytes of a packet are handed on that nobody can read yet", n-len(initial))
		}
		unlock()
		if addr, _ := s.Seen(); addr.String() != "203.0.113.9:4022" {
			t.Errorf("sees %s", addr)
		}
		_, changed := s.Seen()

		// What is for quic-go reaches it: a PING has the place of the frame.
		datagram := append(bytes.Clone(initial), from.packet(append([]byte{0x10, 5}, observed(1, "203.0.113.9:4023")...))...)
		if n := s.Inspect(datagram); n != len(datagram) {
			t.Fatalf("%d bytes of %d are left", n, len(datagram))
		}
		quicGo, err := newProtection(suite, from.current.secret)
		if err != nil {
			t.Fatal(err)
		}
		o, err := quicGo.open(datagram[len(initial):], 8)
		if err != nil || !bytes.Equal(o.payload[:3], []byte{0x10, 5, framePing}) || !bytes.Equal(o.payload[3:], make([]byte, len(o.payload)-3)) {
			t.Errorf("quic-go gets %x, %v", o.payload, err)
		}
		select {
		case <-changed:
		default:
			t.Error("nobody is told of the change")
		}

		// The server uses other connection ids later.
		from.id = []byte("another1")
		datagram = from.packet(observed(2, "203.0.113.9:4024"))
		s.Inspect(datagram)
		if o, err := quicGo.open(datagram, 8); err != nil || o.payload[0] != framePing {
			t.Errorf("with another id quic-go gets %x, %v", o.payload, err)
		}
		if addr, _ := s.Seen(); addr.String() != "203.0.113.9:4024" {
			t.Errorf("sees %s", addr)
		}

		// Packets without it stay as they are, and so does what is from somebody else.
		for name, packet := range map[string][]byte{
			"other frames": from.packet([]byte{0x10, 5}), "another id": append([]byte("@87654321"), make([]byte, 40)...),
			"forged": append([]byte("@12345678"), make([]byte, 40)...), "short": []byte("@1234"), "nothing": nil, "retry": append([]byte{0xf0}, initial[1:]...),
		} {
			was := bytes.Clone(packet)
			if n := s.Inspect(packet); n != len(was) || !bytes.Equal(packet, was) {
				t.Errorf("%s: %d bytes of %d, %x became %x", name, n, len(was), was, packet)
			}
		}
		// An older report does not undo a newer one, and nonsense is not taken.
		for _, nonsense := range [][]byte{observed(0, "203.0.113.9:1"), observed(5, "0.0.0.0:1"), observed(6, "203.0.113.9:0"), observed(7, "224.0.0.1:5")} {
			s.Inspect(from.packet(nonsense))
		}
		if addr, _ := s.Seen(); addr.String() != "203.0.113.9:4024" {
			t.Errorf("sees %s", addr)
		}
	}
}

func TestSessionFollowsKeyUpdates(t *testing.T) {
	s, from, unlock := session(t, tls.TLS_AES_128_GCM_SHA256)
	unlock()
	for i := range 5 {
		want := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), uint16(i+1))
		s.Inspect(from.packet(observed(uint64(i), want.String())))
		if addr, _ := s.Seen(); addr != want {
			t.Errorf("after %d updates it sees %s", i, addr)
		}
		if err := from.update(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	s, from, unlock := session(t, tls.TLS_AES_128_GCM_SHA256)
	for range 100 {
		s.Inspect(append([]byte("@12345678"), make([]byte, 1000)...))
	}
	s.Inspect(append([]byte("@12345678"), make([]byte, maxPacket)...))
	if len(s.held) != maxHeld {
		t.Errorf("%d packets are kept", len(s.held))
	}
	unlock()
	if addr, _ := s.Seen(); addr.IsValid() || s.held != nil {
		t.Errorf("sees %s, keeps %d packets", addr, len(s.held))
	}
	s.Inspect(from.packet(observed(0, "203.0.113.9:1")))
	if addr, _ := s.Seen(); !addr.IsValid() {
		t.Error("it sees nothing afterwards")
	}
	if err := s.unlock(0x1305, make([]byte, 32)); err == nil {
		t.Error("a cipher suite is taken that nobody knows")
	}
}

// Whatever comes, nothing panics, nothing is read that is not there, and only what opens is changed.
func FuzzInspect(f *testing.F) {
	_, from, _ := session(f, tls.TLS_AES_128_GCM_SHA256)
	f.Add(from.packet(observed(1, "203.0.113.9:1")))
	f.Add(append(bytes.Clone(initial), from.packet([]byte{1})...))
	f.Add(initial)
	f.Add([]byte("@12345678"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		s, _, unlock := session(t, tls.TLS_CHACHA20_POLY1305_SHA256)
		was := bytes.Clone(datagram)
		if n := s.Inspect(datagram); n < 0 || n > len(datagram) || !bytes.Equal(datagram, was) {
			t.Fatalf("%d of %d bytes", n, len(datagram))
		}
		unlock()
		if n := s.Inspect(datagram); n != len(datagram) || !bytes.Equal(datagram, was) {
			t.Fatalf("what does not open is changed")
		}
	})
}

// FuzzReports reads payloads that are open: a relay may write anything into them.
func FuzzReports(f *testing.F) {
	f.Add(observed(1, "203.0.113.9:1"))
	f.Add(append([]byte{0, 0, 1, 2, 10, 0, 0, 3}, observed(2, "[2001:db8::1]:1")...))
	f.Add([]byte{0x18, 1, 0, 255})
	f.Add([]byte{0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		end := 0
		for _, r := range reports(payload) {
			if r.start < end || r.end <= r.start || r.end > len(payload) || r.end-r.start > 4+8+16+2+4 {
				t.Fatalf("%+v in %d bytes", r, len(payload))
			}
			end = r.end
		}
	})
}
