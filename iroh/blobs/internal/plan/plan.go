// Package plan decides which part of a download is asked of whom. It is pure: it has no clock, does no I/O and starts nothing.
//
// What is to be had are units, numbered from 0: the chunk groups of a blob, or the children of a hash sequence. Sets of
// units are [bao.Ranges] that count units in place of chunks. A [Worker] is a provider; a [Task] is units that are
// asked of it in one request, and come in ascending order.
//
// A worker that is free takes the first units that nobody has been asked for and that it may have: as many as it brings in
// [Config.Target], and toward the end no more than its share. When all units are asked for, a free worker looks for
// the task that will be done last. If it would itself be done much sooner it races: it is asked for the rest of that task, and what
// comes first counts. Where racing is not allowed the other one loses the task instead. So a unit is asked of two workers at most at a time,
// and one that was silent itself does not take the second place from others.
//
// Nobody is trusted: a worker whose units do not come loses its task ([Plan.Late]) if another one could bring them, and what it
// claims to have is worth nothing when nobody else has the rest ([Plan.Trust]).
package plan

import (
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Config says how a plan is cut into tasks.
type Config struct {
	MinSpan, MaxSpan uint64        // units of a task; a task is smaller where fewer are left
	MaxParts         int           // parts that the units of a task are in; 0 is no limit
	Target           time.Duration // how long a task should take
	Stall            time.Duration // for how long nothing may come of a task that another worker could have
	Race             bool          // the last tasks are asked of a second worker, in place of being taken away from the first
}

// Plan is one thing that is downloaded. It is not safe for concurrent use.
type Plan struct {
	cfg     Config
	left    bao.Ranges // units that did not come, as far as ended tasks go
	tasks   []*Task
	workers []*Worker
}

// Worker is somebody to ask.
type Worker struct {
	Rate  float64 // bytes per second of one task, 0 when nothing is known
	Speed float64 // units per second of one task, likewise

	has    bao.Ranges // what it says it has; nil is everything
	lacks  bao.Ranges // what it was asked for in vain
	skip   uint64     // units by which lacks grows
	span   uint64     // of its last task
	window uint64     // units of its next task at most; 0 is no limit
	tasks  int
	stalls int       // how often it was late
	silent bool      // its last task brought nothing for too long, and nothing came since
	moved  time.Time // something came
}

// Task is units that a worker is asked for.
type Task struct {
	Worker *Worker
	Units  bao.Ranges // never changed
	Raced  bool       // it is the second one for its units

	at     uint64 // the units before have come
	got    uint64 // units
	bytes  uint64
	rival  *Task // for the same units
	late   bool
	begun  time.Time
	moved  time.Time // something came
	marked time.Time // when slow was looked at
	mark   uint64    // bytes at that time
}

// Bytes returns how many bytes of the task have come.
func (t *Task) Bytes() uint64 { return t.bytes }

// New makes a plan for units that are missing.
func New(cfg Config, missing bao.Ranges) *Plan { return &Plan{cfg: cfg, left: missing} }

// Join brings a worker in.
func (p *Plan) Join(w *Worker) { p.workers = append(p.workers, w) }

// Leave takes a worker out, whose tasks have ended.
func (p *Plan) Leave(w *Worker) {
	for i, other := range p.workers {
		if other == w {
			p.workers = append(p.workers[:i:i], p.workers[i+1:]...)
			return
		}
	}
}

// Claim notes what a worker says it has.
func (p *Plan) Claim(w *Worker, has bao.Ranges) {
	if w.has = has; has == nil {
		w.has = bao.Ranges{}
	}
}

// Trust forgets what workers claim and what they did not have, and tells whether that makes a difference.
func (p *Plan) Trust() (changed bool) {
	for _, w := range p.workers {
		changed = changed || w.has != nil
		w.has = nil
	}
	return changed
}

// Done tells whether everything has come.
func (p *Plan) Done() bool {
	left := p.left
	for _, t := range p.tasks {
		left = left.Subtract(t.came())
	}
	return left.IsEmpty()
}

// Left returns the units that have not come.
func (p *Plan) Left() bao.Ranges {
	left := p.left
	for _, t := range p.tasks {
		left = left.Subtract(t.came())
	}
	return left
}

// Stuck tells that units are left which nobody is asked for, and that no worker may have them.
func (p *Plan) Stuck() bool {
	free := p.free()
	if free.IsEmpty() || len(p.tasks) > 0 {
		return false
	}
	for _, w := range p.workers {
		if !w.can(free).IsEmpty() {
			return false
		}
	}
	return true
}

// Useless tells that a worker has nothing of what is left.
func (p *Plan) Useless(w *Worker) bool { return w.can(p.Left()).IsEmpty() }

// came is the units of a task that have come.
func (t *Task) came() bao.Ranges { return t.Units.Intersect(bao.Span(0, t.at)) }

// rest is the units of a task that have not come of it.
func (t *Task) rest() bao.Ranges { return t.Units.Subtract(bao.Span(0, t.at)) }

// rest is what of those did not come of a task that has ended either: nothing for one that was raced and has lost.
func (p *Plan) rest(t *Task) bao.Ranges { return t.rest().Intersect(p.left) }

// can returns what of some units a worker may have.
func (w *Worker) can(of bao.Ranges) bao.Ranges {
	if w.has != nil {
		of = of.Intersect(w.has)
	}
	return of.Subtract(w.lacks)
}

// free is the units that are left and that nobody is asked for.
func (p *Plan) free() bao.Ranges {
	free := p.left
	for _, t := range p.tasks {
		free = free.Subtract(t.Units)
	}
	return free
}

// Next gives a worker something to do. If there is nothing, task is nil; then late, if it is not nil, is somebody else's task that is
// to be cancelled, since this worker will be done with its rest much sooner.
func (p *Plan) Next(w *Worker, now time.Time) (task, late *Task) {
	free := p.free()
	units := w.can(free)
	if units.IsEmpty() {
		slow := p.slowest(w, now)
		if slow == nil {
			return nil, nil
		}
		if !p.cfg.Race {
			return nil, slow
		}
		task = p.begin(w, p.rest(slow), now)
		task.Raced, task.rival, slow.rival = true, slow, task
		return task, nil
	}
	n := p.span(w, count(free))
	w.span = n
	return p.begin(w, first(units, n, p.cfg.MaxParts), now), nil
}

func (p *Plan) begin(w *Worker, units bao.Ranges, now time.Time) *Task {
	t := &Task{Worker: w, Units: units, begun: now, moved: now, marked: now}
	w.tasks++
	p.tasks = append(p.tasks, t)
	return t
}

// span is how many units a worker is asked for while so many are free: what it brings in the target time, twice what it was asked for before
// at most, and half of its share of all, so that everybody ends at about the same time.
func (p *Plan) span(w *Worker, free uint64) uint64 {
	n := p.cfg.MinSpan
	if w.Speed > 0 {
		n = uint64(min(w.Speed*p.cfg.Target.Seconds(), float64(p.cfg.MaxSpan)))
		if w.span > 0 {
			n = min(n, 2*w.span)
		}
	}
	if len(p.workers) > 1 {
		n = min(n, free/uint64(2*len(p.workers)))
	}
	n = min(max(n, p.cfg.MinSpan), p.cfg.MaxSpan)
	if w.window > 0 {
		n = min(n, w.window)
	}
	return n
}

// Moved notes that bytes of a task came.
func (p *Plan) Moved(t *Task, bytes uint64, now time.Time) {
	t.bytes += bytes
	t.moved, t.Worker.moved, t.Worker.silent = now, now, false
}

// Came notes that a unit of a task has come whole, and tells whether it is the first time.
func (p *Plan) Came(t *Task, unit uint64) (fresh bool) {
	fresh = p.left.Contains(unit)
	if r := t.rival; r != nil && unit < r.at && r.Units.Contains(unit) {
		fresh = false
	}
	t.at = max(t.at, unit+1)
	t.got++
	return fresh
}

// End takes a task away from its worker: it is done, or has failed. What did not come is free again, unless it is asked of another. over is
// a task of another worker of which everything has come, to be cancelled.
func (p *Plan) End(t *Task, now time.Time) (over *Task) {
	for i, other := range p.tasks {
		if other == t {
			p.tasks = append(p.tasks[:i:i], p.tasks[i+1:]...)
			t.Worker.tasks--
			break
		}
	}
	p.left = p.left.Subtract(t.came())
	if t.Silent(now) && !t.rest().IsEmpty() {
		t.Worker.silent = true
	}
	t.Worker.learn(t, now)
	if r := t.rival; r != nil {
		t.rival, r.rival = nil, nil
		if p.rest(r).IsEmpty() {
			return r
		}
	}
	return nil
}

// learn updates the speed of a worker, and widens what it is asked for after a success.
func (w *Worker) learn(t *Task, now time.Time) {
	took := now.Sub(t.begun).Seconds()
	if t.got == 0 || took <= 0 {
		return
	}
	w.Speed = mean(w.Speed, float64(t.got)/took)
	w.Rate = mean(w.Rate, float64(t.bytes)/took)
	w.skip, w.stalls = 0, 0
	if w.window > 0 && t.rest().IsEmpty() {
		if w.window *= 2; w.window > 1<<20 {
			w.window = 0
		}
	}
}

// mean is a moving mean; 0 is none yet.
func mean(old, now float64) float64 {
	if old == 0 {
		return now
	}
	return old + (now-old)/2
}

// Shrink makes the next task of a worker half of one that brought nothing, and returns false if that was a single unit.
func (p *Plan) Shrink(t *Task) bool {
	n := count(t.Units)
	if n <= 1 {
		return false
	}
	t.Worker.window = (n + 1) / 2
	return true
}

// Lacks notes that a worker does not have the first unit of a task that has not come. Each time that happens again with nothing
// between, twice as many are left out.
func (p *Plan) Lacks(t *Task) {
	w := t.Worker
	rest := t.rest()
	if rest.IsEmpty() {
		return
	}
	w.skip = max(1, 2*w.skip)
	w.lacks = w.lacks.Union(bao.Span(rest[0], rest[0]+w.skip))
}

// LacksAll notes that a worker has nothing.
func (p *Plan) LacksAll(w *Worker) { w.lacks = bao.All() }

// count returns the size of a set that has an end.
func count(r bao.Ranges) (n uint64) {
	for i := 0; i+1 < len(r); i += 2 {
		n += r[i+1] - r[i]
	}
	return n
}

// first returns the first n units of a set, in so many parts at most.
func first(r bao.Ranges, n uint64, parts int) bao.Ranges {
	var out bao.Ranges
	for i := 0; i+1 < len(r) && n > 0 && (parts == 0 || i < 2*parts); i += 2 {
		k := min(n, r[i+1]-r[i])
		out = append(out, r[i], r[i]+k)
		n -= k
	}
	return out
}
