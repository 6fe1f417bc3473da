package mdns

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// A town is many cadences on one lossless network, with a clock of its own.
type town struct {
	now              time.Time
	all              []*cadence
	heard            []time.Time // when each was last heard of
	queries, answers int
	longest          time.Duration // between two times that one was heard of
}

func newTown(size int) *town {
	random := rand.New(rand.NewPCG(1, uint64(size)))
	n := &town{now: time.Unix(1_700_000_000, 0)}
	for range size {
		c := &cadence{tau: DefaultCadence, random: random.Float64}
		c.wait(n.now, 1)
		n.all, n.heard = append(n.all, c), append(n.heard, n.now)
	}
	return n
}

// run lets a time go by.
func (n *town) run(d time.Duration) {
	size := len(n.all)
	for end := n.now.Add(d); ; {
		next := 0
		for i, c := range n.all {
			if c.deadline.Before(n.all[next].deadline) {
				next = i
			}
		}
		if n.all[next].deadline.After(end) {
			n.now = end
			return
		}
		n.now = n.all[next].deadline
		what := n.all[next].fire(n.now, size, true)
		if what == ask {
			n.queries++
		} else {
			n.answers++
			n.longest = max(n.longest, n.now.Sub(n.heard[next]))
			n.heard[next] = n.now
		}
		for i, c := range n.all {
			switch {
			case i == next:
			case what == ask:
				c.query(n.now, size)
			default:
				c.answers(n.now, size, 1)
			}
		}
	}
}

// However many endpoints there are, the traffic stays the same, and each is heard of before it is forgotten.
func TestTrafficDoesNotGrowWithTheNetwork(t *testing.T) {
	for _, size := range []int{1, 2, 3, 10, 100, 500} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			n := newTown(size)
			const span = 10 * time.Minute
			n.run(span)
			seconds := span.Seconds()
			queries, answers := float64(n.queries)/seconds, float64(n.answers)/seconds
			t.Logf("%.2f queries and %.2f answers a second, heard of at least every %s, remembered for %s",
				queries, answers, n.longest, n.all[0].life(size))
			if queries > 2 || answers > 5 || n.queries == 0 || n.answers == 0 {
				t.Errorf("%.2f queries and %.2f answers a second", queries, answers)
			}
			for _, at := range n.heard {
				n.longest = max(n.longest, n.now.Sub(at))
			}
			if n.longest > n.all[0].life(size) {
				t.Errorf("one was not heard of for %s and forgotten after %s", n.longest, n.all[0].life(size))
			}
		})
	}
}

func TestAFloodOfQueriesGetsFewAnswers(t *testing.T) {
	c := &cadence{tau: DefaultCadence, random: func() float64 { return 0 }}
	now, answers := time.Unix(1_700_000_000, 0), 0
	c.wait(now, 1)
	for range 100_000 {
		now = now.Add(100 * time.Microsecond)
		c.query(now, 1)
		if !now.Before(c.deadline) && c.fire(now, 1, true) == answer {
			answers++
		}
	}
	if answers < 10 || answers > 51 {
		t.Errorf("%d answers in ten seconds", answers)
	}
}

func TestOthersAnswersAreEnough(t *testing.T) {
	c := &cadence{tau: DefaultCadence, random: func() float64 { return 0.5 }}
	now := time.Unix(1_700_000_000, 0)
	c.wait(now, 10)
	if c.answers(now, 10, 5); c.answering {
		t.Error("answers without a query")
	}
	c.query(now, 10)
	if !c.answering || c.deadline.Sub(now) != 250*time.Millisecond {
		t.Errorf("waits for %s", c.deadline.Sub(now))
	}
	c.query(now.Add(time.Millisecond), 10)
	if c.answers(now, 10, 1); !c.answering || c.deadline.Sub(now) != 250*time.Millisecond {
		t.Error("one answer was enough, or a second query moved the deadline")
	}
	if c.answers(now, 10, 1); c.answering || c.deadline.Sub(now) != 700*time.Millisecond+350*time.Millisecond {
		t.Errorf("after two answers it waits for %s", c.deadline.Sub(now))
	}
	if got := c.fire(now, 10, false); got != ask || !c.answering {
		t.Error("it does not ask")
	}
	if got := c.fire(now, 10, false); got != answer || c.answering || c.answered {
		t.Error("with nothing to say it counts as having answered")
	}
}

func TestAFloodOfEndpointsIsBounded(t *testing.T) {
	n := &Node{id: owner(), log: slog.New(slog.DiscardHandler), peers: map[key.EndpointID]sighting{}, changed: make(chan struct{})}
	n.cadence = cadence{tau: DefaultCadence, random: rand.Float64}
	start := time.Now()
	say := func(i int) record.Record {
		return record.New(ticket.EndpointAddr{ID: key.EndpointID{1, byte(i), byte(i >> 8)}, Direct: sample("192.0.2.1:1").Addr.Direct})
	}
	for i := range maxPeers + 500 {
		n.handle(message{seen: []record.Record{say(i), sample("192.0.2.2:2")}})
		n.see(say(0), start.Add(time.Hour))
	}
	if len(n.peers) != maxPeers {
		t.Errorf("%d endpoints are remembered", len(n.peers))
	}
	if _, ok := n.peers[say(0).ID()]; !ok {
		t.Error("the one that was heard of last was forgotten")
	}
	if _, ok := n.peers[owner()]; ok {
		t.Error("we remember ourselves")
	}
}
