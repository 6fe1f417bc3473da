package mdns

import "time"

// A cadence decides when to ask and when to answer. It is a state machine without a clock: it is told the time, the
// number of endpoints on the network (ours included), and what was heard.
type cadence struct {
	tau    time.Duration  // about how often somebody asks
	random func() float64 // in [0, 1)

	deadline  time.Time
	answering bool // a query was heard or sent, and the deadline is for an answer
	heard     int  // answers of others since then
	answered  bool // the last query was answered by us
	extra     time.Duration
	lastTime  time.Time // of our last answer
}

// An act is what there is to do at a deadline.
type act int

const (
	ask act = iota + 1
	answer
)

// enough is how many answers a query needs.
func (c *cadence) enough() int { return max(1, int(c.tau.Seconds()*answerRate+0.999999)) }

// wait begins to wait for a query of somebody else.
func (c *cadence) wait(now time.Time, size int) {
	c.answering = false
	c.deadline = now.Add(c.tau + scale(c.tau*time.Duration(size)/10, c.random()))
}

// begin begins to wait for others' answers. Who has just answered stands back in a large network.
func (c *cadence) begin(now time.Time, size int) {
	c.extra = max(0, c.extra-spread)
	if c.answered {
		c.extra = spread * time.Duration(min(size/c.enough(), 10))
	}
	delay := c.extra + scale(spread*time.Duration(size)/time.Duration(c.enough()), c.random())
	c.answering, c.heard, c.answered = true, 0, false
	c.deadline = now.Add(delay)
	if gap := c.lastTime.Add(answerGap); c.deadline.Before(gap) {
		c.deadline = gap
	}
}

// query is called when somebody else asks.
func (c *cadence) query(now time.Time, size int) {
	if !c.answering {
		c.begin(now, size)
	}
}

// answers is called when somebody else has announced n endpoints.
func (c *cadence) answers(now time.Time, size, n int) {
	if !c.answering {
		return
	}
	if c.heard += n; c.heard >= c.enough() {
		c.wait(now, size)
	}
}

// fire is called at the deadline and says what to do. Talks tells whether we have anything to announce.
func (c *cadence) fire(now time.Time, size int, talks bool) act {
	if !c.answering {
		c.begin(now, size)
		return ask
	}
	c.answered = talks
	if talks {
		c.lastTime = now
	}
	c.wait(now, size)
	return answer
}

// life is how long an endpoint is remembered: ten times what it should take until each was heard once. Who answers is
// left to chance, and in a network of a hundred some are silent five times as long as they should be.
func (c *cadence) life(size int) time.Duration {
	each := c.tau * time.Duration(size) / time.Duration(max(1, min(c.enough(), size)))
	return max(minLife, 10*each)
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
