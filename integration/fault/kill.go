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

// KillWithin kills a process (SIGKILL) at a random moment of the given span and tells whether it was still running
// then. Half of the moments are drawn evenly from the span, half evenly on a logarithmic scale between 1/1000 of the
// span and the span, so that the short first steps of an operation are hit as well as the long last ones.
func KillWithin(ctx context.Context, rng *rand.Rand, v Victim, span time.Duration) bool {
	share := rng.Float64()
	if rng.IntN(2) == 0 {
		share = 1 / math.Pow(1000, share)
	}
	wait := time.Duration(float64(span) * share)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-v.Done():
		return false
	}
	select {
	case <-v.Done():
		return false
	default:
	}
	v.Kill()
	return true
}
