package fault

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// Victim is a process that can be killed without warning.
type Victim interface {
	Kill()
	Done() <-chan struct{}
}

// pollSign is how often KillWithin looks for the sign of work.
const pollSign = 500 * time.Microsecond

// KillWithin kills a process (SIGKILL) at a random moment of a span, and tells whether it was still running then and how
// far into the span that was, or how long it ran if it was not. The span begins when working first says that the process is at
// work; nil is at once. Half of the moments are drawn evenly from the span, half evenly on a logarithmic scale between 1/1000 of
// the span and the span, so that the short first steps of an operation are hit as well as the long last ones.
func KillWithin(ctx context.Context, rng *rand.Rand, v Victim, working func() bool, span time.Duration) (after time.Duration, killed bool) {
	share := rng.Float64()
	if rng.IntN(2) == 0 {
		share = 1 / math.Pow(1000, share)
	}
	wait := time.Duration(float64(span) * share)
	if working != nil && !awaitWork(ctx, v, working) {
		return 0, false
	}
	began := time.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-v.Done():
		return time.Since(began), false
	}
	select {
	case <-v.Done():
		return time.Since(began), false
	default:
	}
	after = time.Since(began)
	v.Kill()
	return after, true
}

// awaitWork reports whether a process was seen at work before it ended.
func awaitWork(ctx context.Context, v Victim, working func() bool) bool {
	tick := time.NewTicker(pollSign)
	defer tick.Stop()
	for !working() {
		select {
		case <-tick.C:
		case <-v.Done():
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}
