package paths

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/ipv4"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loop is a relay to which everything that is sent comes back to the conn, as from whom it was sent to.
type loop struct {
	*relay.Client // makes what is received; it is never connected
	url           relay.URL
	mu            sync.Mutex
	sent          []relay.Datagrams
}

func (l *loop) URL() relay.URL { return l.url }

func (l *loop) Send(d relay.Datagrams) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.Data = bytes.Clone(d.Data)
	l.sent = append(l.sent, d)
	return true
}

func (l *loop) last() relay.Datagrams {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sent) == 0 {
		return relay.Datagrams{}
	}
	return l.sent[len(l.sent)-1]
}

func url(t testing.TB, s string) relay.URL {
	t.Helper()
	u, err := relay.ParseURL(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newLoop(t testing.TB, s string) *loop {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	c, err := relay.New(relay.Config{URL: url(t, s), SecretKey: secret, Receive: func(r *relay.Received) { r.Release() }})
	if err != nil {
		t.Fatal(err)
	}
	return &loop{Client: c, url: url(t, s)}
}

// inbox is where what comes through relays goes.
type inbox chan packet

type packet struct {
	from net.Addr
	data string
}

func (in inbox) Deliver(from net.Addr, datagrams []byte, segment int) {
	d := relay.Datagrams{Segment: segment, Data: datagrams}
	for len(d.Data) > 0 {
		in <- packet{from, string(d.Next())}
	}
}

// next returns n packets with their sources.
func (in inbox) next(t testing.TB, n int) (data []string, from []net.Addr) {
	t.Helper()
	late := time.After(20 * time.Second)
	for len(data) < n {
		select {
		case p := <-in:
			data, from = append(data, p.data), append(from, p.from)
		case <-late:
			t.Fatalf("nothing comes after %q", data)
		}
	}
	return data, from
}

func open(t testing.TB) (*Conn, inbox) {
	t.Helper()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	c, in := New(udp, ipv4.NewPacketConn(udp), 8), make(inbox, 4*maxHeld)
	c.DeliverTo(in)
	t.Cleanup(func() {
		c.Stop()
		c.Close()
	})
	return c, in
}

func id(n int) (k key.EndpointID) {
	binary.BigEndian.PutUint32(k[:], uint32(n))
	return k
}

func (l *loop) bring(c *Conn, from key.EndpointID, segment int, data string) {
	c.Receive(l, relay.NewReceived(relay.Datagrams{Peer: from, Segment: segment, Data: []byte(data)}))
}

func messages(n int) []ipv4.Message {
	ms := make([]ipv4.Message, n)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, 1452)}
		ms[i].OOB = make([]byte, 128)
	}
	return ms
}

func TestRelayedPacketsAreDelivered(t *testing.T) {
	c, in := open(t)
	l := newLoop(t, "https://a")
	l.bring(c, id(1), 3, "abcdefgh")
	l.bring(c, id(1), 0, "single")
	if data, _ := in.next(t, 4); fmt.Sprint(data) != "[abc def gh single]" {
		t.Errorf("got %q", data)
	}
	c.Stop()
	l.bring(c, id(1), 0, "stopped")
	if len(in) != 0 {
		t.Error("something comes after the end")
	}
}

// What comes by UDP is read, in both ways that quic-go has.
func TestUDPIsRead(t *testing.T) {
	c, _ := open(t)
	out, err := net.DialUDP("udp4", nil, c.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	out.Write([]byte("one"))
	ms := messages(3)
	if n, err := c.ReadBatch(ms, 0); err != nil || n != 1 || string(ms[0].Buffers[0][:ms[0].N]) != "one" {
		t.Errorf("%d packets, %q, %v", n, ms[0].Buffers[0][:ms[0].N], err)
	}
	out.Write([]byte("two"))
	b := make([]byte, 100)
	if n, from, err := c.ReadFrom(b); err != nil || string(b[:n]) != "two" || from.String() != out.LocalAddr().String() {
		t.Errorf("%q from %v, %v", b[:n], from, err)
	}
	c.SetReadDeadline(time.Unix(1, 0))
	if n, err := c.ReadBatch(ms, 0); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d packets, %v", n, err)
	}
}

func TestAnswersGoBackWhereTheyCameFrom(t *testing.T) {
	c, in := open(t)
	a, b := newLoop(t, "https://a"), newLoop(t, "https://b")
	a.bring(c, id(1), 0, "1 at a")
	b.bring(c, id(1), 0, "1 at b")
	a.bring(c, id(2), 0, "2 at a")
	a.bring(c, id(1), 0, "1 at a again")
	_, from := in.next(t, 4)
	if from[0].String() != from[3].String() || from[0].String() == from[1].String() || from[0].String() == from[2].String() {
		t.Errorf("sources %v", from)
	}
	prefix := func(a net.Addr) string { return string(a.(*net.UDPAddr).IP[:8]) }
	if prefix(from[0]) != prefix(from[2]) || prefix(from[0]) == prefix(from[1]) {
		t.Error("a relay is not one /64")
	}
	for i, l := range []*loop{a, b, a} {
		if _, _, err := c.WriteMsgUDP([]byte("answer"), nil, from[i].(*net.UDPAddr)); err != nil {
			t.Fatal(err)
		}
		want := id(1)
		if i == 2 {
			want = id(2)
		}
		if d := l.last(); string(d.Data) != "answer" || d.Peer != want {
			t.Errorf("answer %d: %q to %x", i, d.Data, d.Peer[:4])
		}
		if u := c.Relay(from[i]); u != l.url {
			t.Errorf("source %d is at %s", i, u)
		}
	}
	if _, err := c.WriteTo([]byte("lost"), &net.UDPAddr{IP: net.ParseIP("fd15:a51:0:1::99"), Port: 1}); err != nil {
		t.Errorf("to nobody: %v", err)
	}
}

// Who is forgotten gets the same address again.
func TestManyStrangersAreForgotten(t *testing.T) {
	c, _ := open(t)
	l := newLoop(t, "https://a")
	first := c.book.heard(l, id(1)).addr.String()
	for i := range 3 * generation {
		c.book.heard(l, id(i+2))
	}
	if n := len(c.book.young) + len(c.book.old) + len(c.book.youngByAddr) + len(c.book.oldByAddr); n > 4*generation {
		t.Errorf("%d entries", n)
	}
	again := c.book.heard(l, id(1))
	if again.addr.String() != first || c.book.at(&again.addr) != again {
		t.Errorf("%s became %s", first, again.addr.String())
	}
	again = c.book.heard(newLoop(t, "https://a"), id(1)) // the relay's client is another one
	if c.book.at(&again.addr) != again || again.addr.String() != first {
		t.Error("an answer would go to a client that is gone")
	}
}

// initial is the beginning of a first packet with a destination id of n bytes.
func initial(n byte, rest string) string { return "\xc3\x00\x00\x00\x01" + string(n) + rest }

func TestFirstPacketsWaitForTheirTwins(t *testing.T) {
	c, in := open(t)
	l := newLoop(t, "https://a")
	for late := true; late; { // a machine that is busy may not bring the others in time
		began := time.Now()
		l.bring(c, id(1), 0, initial(20, "first"))
		l.bring(c, id(1), 0, initial(8, "to an id of ours"))
		l.bring(c, id(1), 0, "\x40short header")
		late = time.Since(began) >= holdFirst
		data, _ := in.next(t, 3)
		if took := time.Since(began); !late && data[2] != initial(20, "first") || took < holdFirst {
			t.Errorf("after %v: %q", took, data)
		}
	}
	for range 2 * maxHeld { // more are not kept, and Stop drops them all
		go l.bring(c, id(1), 0, initial(20, "flood"))
	}
	in.next(t, 10)
}

func FuzzFirstPacket(f *testing.F) {
	// What an iroh endpoint really begins a connection with.
	text, err := os.ReadFile("../../rpktls/testdata/iroh_client_initial.hex")
	if err != nil {
		f.Fatal(err)
	}
	real, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || !firstPacket(real, 8) {
		f.Fatalf("a real first packet is not taken for one: %v", err)
	}
	f.Add(real)
	f.Add(real[:6])
	f.Add([]byte(initial(20, "x")))
	f.Add([]byte(initial(8, "to an id of ours")))
	f.Add([]byte("\x40short header"))
	f.Add([]byte("\xd0\x00\x00\x00\x01\x08 0-RTT"))
	f.Add([]byte("\x80\x00\x00\x00\x00\x08version negotiation"))
	f.Add([]byte("\xc0\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if firstPacket(p, 8) && (len(p) < 6 || p[0]>>4 != 0xc || p[5] == 8) {
			t.Errorf("%x is taken for a first packet", p)
		}
	})
}

func TestDetour(t *testing.T) {
	c, _ := open(t)
	l := newLoop(t, "https://a")
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	r := c.Dial(l, id(7))
	d := c.Detour()
	d.WriteMsgUDP([]byte("nowhere"), nil, r.Addr())
	r.SetDirect(peer.LocalAddr().(*net.UDPAddr))
	d.WriteMsgUDP([]byte("directly"), nil, r.Addr())
	d.WriteTo([]byte("as well"), r.Addr())
	c.WriteMsgUDP([]byte("by relay"), nil, r.Addr())
	peer.SetReadDeadline(time.Now().Add(20 * time.Second))
	for _, want := range []string{"directly", "as well"} {
		buf := make([]byte, 100)
		n, from, err := peer.ReadFrom(buf)
		if err != nil || string(buf[:n]) != want || from.String() != c.LocalAddr().String() {
			t.Errorf("%q from %v, %v", buf[:n], from, err)
		}
	}
	if s := l.last(); string(s.Data) != "by relay" || s.Peer != id(7) || len(l.sent) != 1 {
		t.Errorf("%q", s.Data)
	}
	r.Close()
	c.WriteTo([]byte("closed"), r.Addr())
	if len(l.sent) != 1 {
		t.Errorf("%q went by a closed route", l.last().Data)
	}
	read := make(chan error, 1)
	go func() {
		_, err := d.ReadBatch(nil, 0)
		read <- err
	}()
	d.SetReadDeadline(time.Now())
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
}

func TestRelayedAddresses(t *testing.T) {
	for text, want := range map[string]bool{"fd15:a51::1": true, "fd15:a51:ffff:ffff::": true, "fd15:a52::1": false, "::1": false, "127.0.0.1": false} {
		if Relayed(netip.MustParseAddr(text)) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
	ms := messages(2)
	for i, ip := range []string{"fd15:a51::1", "fd15:a52::1"} {
		ms[i].N, ms[i].Addr = 5, &net.UDPAddr{IP: net.ParseIP(ip), Port: 1}
	}
	c, _ := open(t)
	if c.sift(ms); ms[0].N != 0 || ms[1].N != 5 {
		t.Errorf("%d and %d bytes are left", ms[0].N, ms[1].N)
	}
}
