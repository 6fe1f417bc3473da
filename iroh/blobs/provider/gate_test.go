package provider

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

func peerNumber(n int) (id key.EndpointID) {
	binary.LittleEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

func TestGateCounts(t *testing.T) {
	g := newGate(Limits{
		All:  Limit{Connections: 3, Requests: 5, Observers: 2},
		Peer: Limit{Connections: 2, Requests: 4, Observers: 1},
	}.withDefaults())
	a, b := peerNumber(1), peerNumber(2)
	one, two := g.connect(a), g.connect(a)
	if one == nil || one != two || g.connect(a) != nil {
		t.Fatal("a peer has two connections and one share")
	}
	other := g.connect(b)
	if other == nil || g.connect(peerNumber(3)) != nil {
		t.Fatal("three connections in all")
	}
	var leave []func()
	ask := func(s *share, observer bool, want bool) {
		t.Helper()
		done, err := g.request(s, observer)
		if (err == nil) != want {
			t.Fatalf("%v, want it to be let in: %v", err, want)
		}
		if err == nil {
			leave = append(leave, done)
		}
	}
	for range 4 {
		ask(one, false, true)
	}
	ask(one, false, false)
	ask(other, false, true)
	ask(other, false, false)
	ask(one, true, true)
	ask(one, true, false)
	ask(other, true, true)
	for _, done := range leave {
		done()
	}
	ask(other, false, true)
	g.disconnect(a, one)
	g.disconnect(a, two)
	g.disconnect(b, other)
	if g.all.connections != 0 || len(g.peers) != 0 {
		t.Errorf("%d connections, %d peers are left", g.all.connections, len(g.peers))
	}
}

// TestGateRemembers has a peer come back: its rate is the one it left with. Peers beyond the bound are forgotten.
func TestGateRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{All: Limit{Connections: -1, Requests: -1}, Peer: Limit{RequestRate: 3, Requests: -1}}.withDefaults())
		allowed := 0
		for range 10 {
			s := g.connect(peerNumber(1))
			if _, err := g.request(s, false); err == nil {
				allowed++
			}
			g.disconnect(peerNumber(1), s)
		}
		if allowed != 3 {
			t.Errorf("%d requests at once, want 3", allowed)
		}
		time.Sleep(time.Second)
		s := g.connect(peerNumber(1))
		if _, err := g.request(s, false); err != nil {
			t.Error("after a second:", err)
		}
		for n := range 3 * maxPeers {
			s := g.connect(peerNumber(n + 2))
			_, _ = g.request(s, false)
			g.disconnect(peerNumber(n+2), s)
		}
		if len(g.peers) > maxPeers || g.peers[peerNumber(1)] != s {
			t.Errorf("%d peers are remembered", len(g.peers))
		}
	})
}

// TestGatePace moves bytes at both rates.
func TestGatePace(t *testing.T) {
	for name, c := range map[string]struct {
		all, peer int64
		want      time.Duration // for 1 MiB
	}{
		"none":        {0, 0, 0},
		"peer":        {0, 128 << 10, 8 * time.Second},
		"all":         {64 << 10, 0, 16 * time.Second},
		"both":        {1 << 20, 128 << 10, 8 * time.Second},
		"slower all":  {64 << 10, 1 << 20, 16 * time.Second},
		"a few bytes": {0, 100, 1 << 20 / 100 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(Limits{All: Limit{ByteRate: c.all}, Peer: Limit{ByteRate: c.peer}}.withDefaults())
			s := g.connect(peerNumber(1))
			start := time.Now()
			for moved := 0; moved < 1<<20; {
				n := min(g.slice(s), 1<<20-moved)
				if err := g.pace(context.Background(), s, n); err != nil {
					t.Fatal(err)
				}
				moved += n
			}
			took := time.Since(start)
			if slack := max(time.Second/2, c.want/20); took > c.want || took < c.want-slack-2*time.Second*minSlice/100 && c.peer == 100 ||
				c.peer != 100 && took < c.want-slack {
				t.Errorf("%s: %v, want %v", name, took, c.want)
			}
			if took > 0 {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if err := g.pace(ctx, s, g.slice(s)); err == nil {
					t.Errorf("%s: waits for nobody", name)
				}
			}
		})
	}
}

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{rate: 1000, window: 10 * time.Second}
		move := func(n int, took time.Duration) bool {
			m.begin()
			time.Sleep(took)
			return m.end(n)
		}
		if move(500, 5*time.Second) {
			t.Error("slow before the window has passed")
		}
		time.Sleep(time.Hour) // nobody waits
		if !move(500, 5*time.Second) {
			t.Error("100 bytes per second are not slow")
		}
		if move(20_000, 11*time.Second) {
			t.Error("2,000 bytes per second are slow")
		}
		// Two at once share the time that passes.
		m.begin()
		if move(6000, 9*time.Second) {
			t.Error("too early")
		}
		time.Sleep(2 * time.Second)
		if m.end(6000) {
			t.Error("12,000 bytes in 11 seconds are slow")
		}
		m.rate = -1
		if move(0, time.Minute) {
			t.Error("slow without a limit")
		}
	})
}

func TestSpanBytes(t *testing.T) {
	const most = 1<<64 - 1
	for _, c := range []struct {
		ranges bao.Ranges
		size   uint64
		want   uint64
	}{
		{nil, 5000, 0},
		{bao.All(), 5000, 5000},
		{bao.Span(0, 4), 5000, 4096},
		{bao.Span(0, 5), 5000, 5000},
		{bao.Span(0, 16), 5000, 5000},
		{bao.Span(4, 16), 5000, 904},
		{bao.Span(5, 16), 5000, 0},
		{bao.Ranges{0, 1, 2, 3, 4}, 5000, 1024 + 1024 + 904},
		{bao.All(), 0, 0},
		{bao.All(), most, most},
		{bao.Span(0, 16), most, 16384},
		{bao.LastChunk(), most, 0},
	} {
		if got := spanBytes(c.ranges, c.size); got != c.want {
			t.Errorf("%v of %d: %d bytes, want %d", c.ranges, c.size, got, c.want)
		}
	}
}

func TestKindNames(t *testing.T) {
	seen := map[string]bool{}
	for kind := Connected; kind <= Aborted; kind++ {
		seen[kind.String()] = true
	}
	if len(seen) != int(Aborted) || seen["unknown"] || Kind(0).String() != "unknown" || (Aborted+1).String() != "unknown" {
		t.Errorf("%v", seen)
	}
}
