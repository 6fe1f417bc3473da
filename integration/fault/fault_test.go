package fault

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo sends every packet back until the test ends.
func echo(t *testing.T) netip.AddrPort {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, maxPacket)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(buf[:n], from)
		}
	})
	t.Cleanup(func() { conn.Close(); wg.Wait() })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// volley sends numbered packets through a proxy and returns what came back, in order, until nothing came for a while.
func volley(t *testing.T, p *Proxy, packets int) [][]byte {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadBuffer(1 << 20); err != nil { // nothing is lost that was not to be
		t.Fatal(err)
	}
	var back [][]byte
	receive := func(wait time.Duration) bool {
		buf := make([]byte, maxPacket)
		conn.SetReadDeadline(time.Now().Add(wait))
		n, err := conn.Read(buf)
		if err == nil {
			back = append(back, buf[:n])
		}
		return err == nil
	}
	for i := range packets {
		packet := bytes.Repeat([]byte{0xaa}, 64)
		binary.BigEndian.PutUint32(packet, uint32(i))
		conn.Write(packet)
		receive(time.Millisecond)
	}
	for receive(time.Second) {
	}
	return back
}

func newProxy(t *testing.T, link Link) *Proxy {
	t.Helper()
	p, err := NewProxy(echo(t), link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestGoodLinkChangesNothing(t *testing.T) {
	p := newProxy(t, Link{})
	back := volley(t, p, 200)
	if len(back) != 200 {
		t.Fatalf("%d of 200 packets came back", len(back))
	}
	for i, packet := range back {
		if len(packet) != 64 || binary.BigEndian.Uint32(packet) != uint32(i) {
			t.Fatalf("packet %d came back as %x", i, packet)
		}
	}
	if c := p.Counts(); c.Packets != 400 || c.Dropped+c.Corrupted+c.Duplicated+c.Reordered != 0 || c.ToTarget != 200*64 || c.ToClients != 200*64 {
		t.Errorf("counts %+v", c)
	}
}

func TestEachFaultHappens(t *testing.T) {
	const packets = 400
	for name, test := range map[string]struct {
		link  Link
		check func(back [][]byte, c Counts) bool
	}{
		"drop": {Link{Drop: 0.2}, func(back [][]byte, c Counts) bool {
			return c.Dropped > 80 && len(back) < 320 && len(back) > 200
		}},
		"duplicate": {Link{Duplicate: 0.2}, func(back [][]byte, c Counts) bool {
			return c.Duplicated > 80 && len(back) > 480
		}},
		"corrupt": {Link{Corrupt: 0.2}, func(back [][]byte, c Counts) bool {
			bad := 0
			for i, packet := range back {
				want := bytes.Repeat([]byte{0xaa}, 64)
				binary.BigEndian.PutUint32(want, uint32(i))
				if !bytes.Equal(packet, want) {
					bad++
				}
			}
			return len(back) == packets && bad > 80 && bad < 240
		}},
		"reorder": {Link{Reorder: 0.2}, func(back [][]byte, c Counts) bool {
			late := 0
			for i := 1; i < len(back); i++ {
				if binary.BigEndian.Uint32(back[i]) < binary.BigEndian.Uint32(back[i-1]) {
					late++
				}
			}
			return len(back) == packets && late > 10
		}},
		"delay": {Link{Delay: 50 * time.Millisecond}, func(back [][]byte, c Counts) bool {
			for i, packet := range back {
				if binary.BigEndian.Uint32(packet) != uint32(i) {
					return false
				}
			}
			return len(back) == packets
		}},
	} {
		t.Run(name, func(t *testing.T) {
			test.link.Seed = 7
			p := newProxy(t, test.link)
			back := volley(t, p, packets)
			if !test.check(back, p.Counts()) {
				t.Errorf("%d packets came back, counts %+v", len(back), p.Counts())
			}
		})
	}
}

// A link with a rate passes what fits, in order, and loses what does not.
func TestRate(t *testing.T) {
	p := newProxy(t, Link{Rate: 64 * 100})
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// 100 packets a second, so that about ten fit into the backlog; their answers come on top.
	began := time.Now()
	for i := range 50 {
		conn.Write(binary.BigEndian.AppendUint32(make([]byte, 60), uint32(i)))
	}
	sent := time.Since(began)
	var last uint32
	came, buf := 0, make([]byte, 64)
	for {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		i := binary.BigEndian.Uint32(buf[60:n])
		if came > 0 && i <= last {
			t.Errorf("packet %d after %d", i, last)
		}
		came, last = came+1, i
	}
	if most := 20 + int(sent/(10*time.Millisecond)); came == 0 || came > most {
		t.Errorf("%d of 50 packets came back, that were sent in %s", came, sent)
	}
}

func TestCutRestoreAndRebind(t *testing.T) {
	p := newProxy(t, Link{})
	p.Cut()
	if back := volley(t, p, 20); len(back) != 0 {
		t.Errorf("%d packets came through a cut link", len(back))
	}
	p.Restore()
	if back := volley(t, p, 20); len(back) != 20 {
		t.Errorf("%d of 20 packets came back after the cut", len(back))
	}
	p.Rebind()
	if back := volley(t, p, 20); len(back) != 20 {
		t.Errorf("%d of 20 packets came back after rebinding", len(back))
	}
}

func TestSameSeedSameDecisions(t *testing.T) {
	decide := func() []fate {
		p := &Proxy{link: Link{Drop: .1, Duplicate: .1, Corrupt: .1, Reorder: .1}, rng: rand.New(rand.NewPCG(42, 1))}
		fates := make([]fate, 1000)
		for i := range fates {
			fates[i] = p.decide(100)
		}
		return fates
	}
	first, second := decide(), decide()
	for i := range first {
		if first[i] != second[i] {
			t.Fatalf("packet %d: %+v, then %+v", i, first[i], second[i])
		}
	}
}

type victim struct {
	done chan struct{}
	once sync.Once
}

func (v *victim) Kill()                 { v.once.Do(func() { close(v.done) }) }
func (v *victim) Done() <-chan struct{} { return v.done }

func TestKillWithin(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const span = 10 * time.Millisecond
	for range 20 {
		v := &victim{done: make(chan struct{})}
		if after, killed := KillWithin(t.Context(), rng, v, nil, span); !killed || after > 1000*span {
			t.Fatalf("a living process was not killed within its span: %v, %v", after, killed)
		}
		if _, killed := KillWithin(t.Context(), rng, v, nil, time.Second); killed {
			t.Fatal("a dead process was killed")
		}
		if _, killed := KillWithin(t.Context(), rng, v, func() bool { return false }, time.Second); killed {
			t.Fatal("a process that never was at work was killed")
		}
	}
}

// TestKillWithinWaitsForWork: the span does not begin before the process is at work.
func TestKillWithinWaitsForWork(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		v := &victim{done: make(chan struct{})}
		began := time.Now()
		const idle = 20 * time.Millisecond
		_, killed := KillWithin(t.Context(), rng, v, func() bool { return time.Since(began) > idle }, time.Millisecond)
		if took := time.Since(began); !killed || took < idle {
			t.Fatalf("killed %v after %v", killed, took)
		}
	}
}
