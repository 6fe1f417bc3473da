package gro

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// controlMessage is one in the layout of the machine: length (a C size_t), level and type (C ints), data, padding.
func controlMessage(level, typ uint32, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	head := unix.CmsgLen(0)
	if head-8 == 8 {
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(len(data))))
	}
	binary.NativeEndian.PutUint32(b[head-8:], level)
	binary.NativeEndian.PutUint32(b[head-4:], typ)
	copy(b[head:], data)
	return b
}

// groMessage is what the kernel adds to a coalesced datagram, tosMessage one that has nothing to do with it.
func groMessage(size int32) []byte {
	return controlMessage(unix.SOL_UDP, unix.UDP_GRO, binary.NativeEndian.AppendUint32(nil, uint32(size))...)
}

func tosMessage(tos byte) []byte { return controlMessage(unix.IPPROTO_IP, unix.IP_TOS, tos) }

func TestSegmentSize(t *testing.T) {
	for _, c := range []struct {
		name    string
		control []byte
		want    int
	}{
		{"nothing", nil, 0},
		{"alone", groMessage(1280), 1280},
		{"after another", slices.Concat(tosMessage(2), groMessage(1280)), 1280},
		{"before another", slices.Concat(groMessage(7), tosMessage(2)), 7},
		{"other message only", tosMessage(2), 0},
		{"negative", groMessage(-1), -1},
		{"cut", groMessage(1280)[:12], 0},
	} {
		if got := segmentSize(c.control); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// packets is the obvious way to take a coalesced datagram apart.
func packets(datagram []byte, size int) [][]byte {
	if size <= 0 {
		size = len(datagram)
	}
	var out [][]byte
	for i := 0; i < len(datagram); i += size {
		out = append(out, datagram[i:min(i+size, len(datagram))])
	}
	return out
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("aaabbbc"), 3)
	f.Add([]byte("aaabbb"), 3)
	f.Add([]byte("aaa"), 0)
	f.Add([]byte("aaa"), -5)
	f.Add([]byte("aaa"), 1<<30)
	f.Add([]byte{}, 3)
	f.Fuzz(func(t *testing.T, datagram []byte, size int) {
		var got [][]byte
		for rest := datagram; len(rest) > 0; {
			var p []byte
			p, rest = cut(rest, size)
			got = append(got, p)
		}
		if want := packets(datagram, size); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("size %d: got %q, want %q", size, got, want)
		}
	})
}

func FuzzSegmentSize(f *testing.F) {
	f.Add(groMessage(1280))
	f.Add(slices.Concat(tosMessage(2), groMessage(1280)))
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, control []byte) { segmentSize(control) })
}

// A scripted reader hands out prepared datagrams, as many at once as its batches say.
type scripted struct {
	batches [][]datagram
}

type datagram struct {
	data    []byte
	control []byte
	flags   int
}

var errScriptEnd = errors.New("no more datagrams")

func (s *scripted) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	if len(s.batches) == 0 {
		return 0, errScriptEnd
	}
	batch := s.batches[0]
	s.batches = s.batches[1:]
	for i, d := range batch {
		ms[i].N = copy(ms[i].Buffers[0], d.data)
		ms[i].NN = copy(ms[i].OOB, d.control)
		ms[i].Flags = d.flags
		ms[i].Addr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, byte(i+1)), Port: 1}
	}
	return len(batch), nil
}

// quicMessages are buffers as quic-go brings them.
func quicMessages(n int) []ipv4.Message {
	ms := make([]ipv4.Message, n)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, 1452)}
		ms[i].OOB = make([]byte, 128)
	}
	return ms
}

// readAll reads c to its error, n packets at a time at most, and returns copies of the packets.
func readAll(t *testing.T, c *groConn, n int) (got [][]byte, last ipv4.Message) {
	t.Helper()
	for {
		ms := quicMessages(n)
		k, err := c.ReadBatch(ms, 0)
		if err != nil {
			if !errors.Is(err, errScriptEnd) || k != 0 {
				t.Fatalf("%d packets and %v", k, err)
			}
			return got, last
		}
		if k == 0 {
			t.Fatal("neither packet nor error")
		}
		for _, m := range ms[:k] {
			got = append(got, bytes.Clone(m.Buffers[0][:m.N]))
			last = m
		}
	}
}

func TestCoalescedDatagramsAreTakenApart(t *testing.T) {
	random := make([]byte, 60_000)
	rand.Read(random)
	script := func() *scripted {
		return &scripted{[][]datagram{
			{{data: random[:10], control: tosMessage(1)}},
			{{data: random[:3000], control: groMessage(1000)}, {data: random[:2500], control: slices.Concat(tosMessage(2), groMessage(1000))}},
			{{data: nil, control: nil}},
			{{data: random[:60_000], control: groMessage(1200)}, {data: nil}, {data: random[:7]}, {data: random[:64], control: groMessage(1)}},
			{{data: random[:5000], control: groMessage(1000), flags: unix.MSG_CTRUNC}, {data: random[:1452], control: groMessage(1452)}},
		}}
	}
	var want [][]byte
	for _, batch := range script().batches {
		for _, d := range batch {
			if d.flags == 0 {
				want = append(want, packets(d.data, segmentSize(d.control))...)
			}
		}
	}
	for _, n := range []int{1, 2, 3, 8, 200} {
		got, last := readAll(t, newGROConn(nil, script()), n)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%d at a time: %d packets, want %d", n, len(got), len(want))
		}
		if last.Addr.String() != "10.0.0.2:1" || !bytes.Equal(last.OOB[:last.NN], groMessage(1452)) {
			t.Errorf("%d at a time: last packet from %v with control %x", n, last.Addr, last.OOB[:last.NN])
		}
	}
}

func TestTooLargePacketsAreCut(t *testing.T) {
	big := make([]byte, 4000)
	rand.Read(big)
	c := newGROConn(nil, &scripted{[][]datagram{{{data: big}, {data: big, control: groMessage(2000)}}}})
	got, _ := readAll(t, c, 8)
	want := [][]byte{big[:1452], big[:1452], big[2000:3452]}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("got %d packets", len(got))
	}
}

// The kernel of the machine coalesces what was sent as one batch, and the socket gives back the packets.
func TestOffloadOnARealSocket(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		wrapped, offload := Wrap(socket)
		if !offload {
			t.Skip("this kernel has no UDP_GRO")
		}
		from, err := net.DialUDP("udp", nil, socket.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		data := make([]byte, 12_345)
		rand.Read(data)
		segment := controlMessage(unix.SOL_UDP, unix.UDP_SEGMENT, binary.NativeEndian.AppendUint16(nil, 1200)...)
		if _, _, err := from.WriteMsgUDP(data, segment, nil); err != nil {
			t.Skipf("this kernel has no UDP_SEGMENT: %v", err)
		}
		if _, err := from.Write([]byte("end")); err != nil {
			t.Fatal(err)
		}
		want := append(packets(data, 1200), []byte("end"))
		conn := wrapped.(*groConn)
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		var got [][]byte
		calls := 0
		for len(got) < len(want) {
			ms := quicMessages(64)
			n, err := conn.ReadBatch(ms, 0)
			if err != nil {
				t.Fatal(err)
			}
			calls++
			for _, m := range ms[:n] {
				got = append(got, m.Buffers[0][:m.N])
				if m.Addr.String() != from.LocalAddr().String() {
					t.Errorf("packet from %v", m.Addr)
				}
			}
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: other packets than were sent", ip)
		}
		if calls > 2 {
			t.Errorf("%s: %d calls for %d packets", ip, calls, len(want))
		}
	}
}
