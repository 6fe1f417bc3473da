package silence

import (
	"errors"
	"slices"
	"testing"
	"time"
)

const look = 100 * time.Millisecond

// A peer of whom nothing comes is dialed again and again, but not so late that the outcome would come after the end of the connection.
func TestDials(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		takes time.Duration // a dial, which then fails
		heard []float64     // when a packet comes, in seconds
		want  []float64     // when dials begin
	}{
		"nothing comes":            {10 * time.Second, 5 * time.Second, nil, []float64{10, 15, 20}},
		"dials fail at once":       {10 * time.Second, 0, nil, []float64{10, 15, 20}},
		"dials take long":          {10 * time.Second, 10 * time.Second, nil, []float64{10, 20}},
		"keep-alives are answered": {10 * time.Second, 0, []float64{5, 10, 15, 20, 25}, nil},
		"they are for a while":     {10 * time.Second, 0, []float64{4, 8}, []float64{18, 23, 28}},
		"one packet in the middle": {10 * time.Second, 5 * time.Second, []float64{12}, []float64{10, 22, 27}},
		"nobody tells":             {0, 0, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, now, packets := Silence{After: c.after, Until: 25 * time.Second}, time.Unix(1e9, 0), uint64(1)
			start := now
			s.Listen(packets, now)
			var dials []float64
			var ends time.Time
			for ; now.Sub(start) <= 30*time.Second; now = now.Add(look) {
				if i := slices.IndexFunc(c.heard, func(at float64) bool { return now.Sub(start).Seconds() == at }); i >= 0 {
					packets++
				}
				s.Listen(packets, now)
				if s.Dialing() && now.Before(ends) {
					continue
				}
				if s.Dialing() {
					s.End(errors.New("no answer"))
				}
				if s.Begin() {
					dials = append(dials, now.Sub(start).Seconds())
					ends = now.Add(c.takes)
				}
			}
			if !slices.Equal(dials, c.want) {
				t.Errorf("dials at %v, want %v", dials, c.want)
			}
		})
	}
}

// What comes while somebody dials ends the silence, and what failed before it does not count.
func TestSomethingComesWhileDialing(t *testing.T) {
	s, now := Silence{After: time.Second, Until: time.Minute}, time.Unix(1e9, 0)
	wait := func(d time.Duration, packets uint64) {
		for end := now.Add(d); now.Before(end); {
			now = now.Add(look)
			s.Listen(packets, now)
		}
	}
	none := errors.New("none")
	wait(time.Second, 0)
	if !s.Begin() || !s.End(none) || !errors.Is(s.Vain(), none) {
		t.Error("it is not silent")
	}
	wait(time.Second, 0)
	if !s.Begin() || !s.Dialing() {
		t.Error("it is not dialed a second time")
	}
	wait(look, 1)
	if s.Vain() != nil || s.End(none) || s.Vain() != nil || s.Dialing() {
		t.Error("it is silent although something came")
	}
	wait(time.Second-look, 1)
	if s.Begin() {
		t.Error("it is dialed as if nothing had come")
	}
}

// A process that was suspended has not been listening.
func TestSuspended(t *testing.T) {
	s, now := Silence{After: 10 * time.Second, Until: time.Hour}, time.Unix(1e9, 0)
	s.Listen(0, now)
	s.Listen(0, now.Add(30*time.Minute))
	if s.Begin() {
		t.Error("it is dialed anew since we slept")
	}
}
