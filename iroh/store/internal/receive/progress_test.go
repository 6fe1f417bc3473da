package receive

import (
	"math/rand/v2"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

func TestCoversAsTheSlowWay(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var r bao.Ranges
		for at := uint64(rnd.IntN(3)); at < 20 && rnd.IntN(6) > 0; at += 1 + uint64(rnd.IntN(4)) {
			r = append(r, at)
		}
		start := rnd.Uint64N(22)
		end := start + rnd.Uint64N(8)
		want := true
		for c := start; c < end; c++ {
			want = want && r.Contains(c)
		}
		if got := Covers(r, start, end); got != want {
			t.Fatalf("%v covers [%d, %d): %v", r, start, end, got)
		}
	}
}

func TestSpans(t *testing.T) {
	for _, c := range []struct{ off, n, start, end uint64 }{
		{0, 0, 0, 0}, {0, 1, 0, 1}, {0, 1024, 0, 1}, {0, 1025, 0, 2}, {1023, 2, 0, 2}, {1024, 1, 1, 2}, {16384, 16384, 16, 32},
	} {
		if start, end := ChunkSpan(c.off, c.n); start != c.start || end != c.end {
			t.Errorf("%+v: %d %d", c, start, end)
		}
	}
	for size, want := range map[uint64]uint64{0: 1, 1: 1, 1024: 1, 1025: 2, 1 << 60: 1 << 50} {
		if Chunks(size) != want {
			t.Errorf("%d bytes have %d chunks", size, Chunks(size))
		}
	}
}
