package plan

import "time"

// raceGain is how many times sooner a worker has to be done than the one whose task it takes part in, and raceLead what it needs for
// asking.
const (
	raceGain = 2
	raceLead = 100 * time.Millisecond
)

// slowest is the task that ends last of those which the worker would end much sooner. Where units are of different sizes nobody knows
// when a task ends; then it is the task with the least bytes in a second, if that is far less than the worker brings.
func (p *Plan) slowest(w *Worker, now time.Time) (slow *Task) {
	if w.silent {
		return nil
	}
	var last float64
	for _, t := range p.tasks {
		if t.Worker == w || t.rival != nil {
			continue
		}
		rest := p.rest(t)
		n := count(rest)
		if n == 0 || count(w.can(rest)) < n {
			continue
		}
		if !p.cfg.Race {
			took := now.Sub(t.begun)
			if took < stealAfter || w.Rate == 0 || float64(t.bytes)/took.Seconds() > w.Rate/stealGain {
				continue
			}
			if slow == nil || t.bytes < slow.bytes {
				slow = t
			}
		} else if ends := t.ends(now); ends > last && ends > raceGain*w.takes(n)+raceLead.Seconds() {
			slow, last = t, ends
		}
	}
	return slow
}

// stealAfter is how long a task may show how fast it is before it is taken away, and stealGain how many times faster the other
// worker has to be.
const (
	stealAfter = time.Second
	stealGain  = 4
)

// takes is how many seconds a worker needs for so many units. Of one of which nothing is known it is hoped that it is quick.
func (w *Worker) takes(n uint64) float64 {
	if w.Speed <= 0 {
		return 0.5
	}
	return float64(n) / w.Speed
}

// Silent tells whether nothing came of a task for so long that it is not expected to end.
func (t *Task) Silent(now time.Time) bool { return now.Sub(t.moved) >= silence }

// silence is how long nothing has to come of a task before it is held for one that does not end.
const silence = time.Second

// unknownSpeed stands for the end of a task of which nothing is known, in seconds.
const unknownSpeed = 1e6

// ends is in how many seconds a task will be done, by how it went so far. What has come of another by now comes of this one all the same.
func (t *Task) ends(now time.Time) float64 {
	took, rest := now.Sub(t.begun).Seconds(), count(t.rest())
	switch {
	case t.Silent(now):
		return unknownSpeed
	case t.got > 0 && took > 0:
		return float64(rest) * took / float64(t.got)
	case t.Worker.Speed > 0:
		return float64(rest) / t.Worker.Speed
	}
	return 0
}

// maxStalls is how often the time doubles for which nothing may come from a worker that was late: on a path on which everything takes
// long nobody else would be faster.
const maxStalls = 3

// slowFactor is how many times slower than before a worker may be.
const slowFactor = 16

// Late returns the tasks that somebody else could do and of which nothing came for the stall time, or far less than the worker brought before.
// They are to be cancelled. A worker that does well is never late because of others.
func (p *Plan) Late(now time.Time) (late []*Task) {
	for _, t := range p.tasks {
		stalled := now.Sub(t.moved) >= p.cfg.Stall<<t.Worker.stalls
		slow := false
		if since := now.Sub(t.marked); since >= p.cfg.Stall {
			rate := float64(t.bytes-t.mark) / since.Seconds()
			slow = rate < t.Worker.Rate/slowFactor
			t.marked, t.mark = now, t.bytes
		}
		if !t.late && (stalled || slow) && p.replaceable(t, now) {
			t.late = true
			t.Worker.stalls = min(t.Worker.stalls+1, maxStalls)
			t.Worker.Rate /= slowFactor // what it was is no measure any more
			t.Worker.Speed /= slowFactor
			late = append(late, t)
		}
	}
	return late
}

// replaceable tells whether another worker could go on with a task: one that may have the rest of it and is getting something, or has
// nothing to do. One that never brought anything is not worth more than the other at first.
func (p *Plan) replaceable(t *Task, now time.Time) bool {
	rest := p.rest(t)
	for _, w := range p.workers {
		if w == t.Worker || w.can(rest).IsEmpty() {
			continue
		}
		if now.Sub(w.moved) < p.cfg.Stall/2 || w.tasks == 0 && (w.Rate > 0 || now.Sub(t.moved) >= 2*p.cfg.Stall) {
			return true
		}
	}
	return false
}
