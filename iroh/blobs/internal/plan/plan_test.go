package plan

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

var epoch = time.Unix(1_000_000, 0)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

func cfg() Config {
	return Config{MinSpan: 10, MaxSpan: 100, MaxParts: 4, Target: time.Second, Stall: 3 * time.Second, Race: true}
}

// bring lets the first n units of a task's rest come.
func bring(p *Plan, t *Task, n uint64, now time.Time) (fresh int) {
	for _, u := range Each(first(t.rest(), n, 0)) {
		p.Moved(t, 100, now)
		if p.Came(t, u) {
			fresh++
		}
	}
	return fresh
}

func TestSpansFollowTheSpeed(t *testing.T) {
	for name, c := range map[string]struct {
		speed   float64
		workers int
		left    uint64
		want    uint64
	}{
		"unknown":               {0, 1, 1000, 10},
		"slow":                  {1, 1, 1000, 10},
		"so many in a second":   {42, 1, 1000, 42},
		"fast":                  {1e9, 1, 1000, 100},
		"its share of the rest": {1e9, 4, 160, 20},
		"the least of the rest": {1e9, 4, 20, 10},
		"all of the rest":       {1e9, 1, 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(cfg(), bao.Span(0, c.left))
			var w *Worker
			for range c.workers {
				w = &Worker{Speed: c.speed}
				p.Join(w)
			}
			task, _ := p.Next(w, epoch)
			if got := count(task.Units); got != c.want {
				t.Errorf("%d units, want %d", got, c.want)
			}
		})
	}
	p := New(cfg(), bao.Span(0, 1000))
	w := &Worker{}
	p.Join(w)
	var sizes []uint64
	for now := 0.0; len(sizes) < 5; now += 0.01 { // a thousand units in a second and more
		task, _ := p.Next(w, at(now))
		sizes = append(sizes, count(task.Units))
		bring(p, task, 1000, at(now+0.01))
		p.End(task, at(now+0.01))
	}
	if want := []uint64{10, 20, 40, 80, 100}; !slices.Equal(sizes, want) {
		t.Errorf("spans of %v, want %v", sizes, want)
	}
}

func TestPartsAreFew(t *testing.T) {
	missing := bao.Ranges{}
	for u := uint64(0); u < 100; u += 2 {
		missing = append(missing, u, u+1)
	}
	p := New(cfg(), missing)
	w := &Worker{}
	p.Join(w)
	task, _ := p.Next(w, epoch)
	if want := (bao.Ranges{0, 1, 2, 3, 4, 5, 6, 7}); !task.Units.Equal(want) {
		t.Errorf("%v, want %v", task.Units, want)
	}
}

func TestEverybodyIsAskedForWhatHeHas(t *testing.T) {
	p := New(cfg(), bao.Span(0, 40))
	a, b := &Worker{}, &Worker{}
	p.Join(a)
	p.Join(b)
	p.Claim(a, bao.Span(20, 30))
	p.Claim(b, nil)
	if task, _ := p.Next(b, epoch); task != nil {
		t.Errorf("%v is asked of one that has nothing", task.Units)
	}
	task, _ := p.Next(a, epoch)
	if want := bao.Span(20, 30); !task.Units.Equal(want) {
		t.Errorf("%v, want %v", task.Units, want)
	}
	bring(p, task, 10, at(0.1))
	p.End(task, at(0.1))
	if task, _ := p.Next(a, at(0.1)); task != nil || !p.Stuck() {
		t.Errorf("there is %v to do, stuck %t", task, p.Stuck())
	}
	if !p.Trust() || p.Stuck() || p.Trust() {
		t.Error("claims count although nobody else has the rest")
	}
	// In vain: each time twice as much is left out.
	for _, want := range []bao.Ranges{{0, 10}, {1, 11}, {3, 13}, {7, 17}} {
		task, _ := p.Next(b, at(1))
		if !task.Units.Equal(want) {
			t.Fatalf("%v, want %v", task.Units, want)
		}
		p.End(task, at(1))
		p.Lacks(task)
	}
	p.LacksAll(a)
	p.LacksAll(b)
	if !p.Stuck() || !p.Useless(a) || p.Done() {
		t.Error("not stuck")
	}
}

func TestShrinkToTheOneThatIsMissing(t *testing.T) {
	p := New(cfg(), bao.Span(0, 40))
	w := &Worker{}
	p.Join(w)
	for _, want := range []uint64{10, 5, 3, 2, 1} {
		task, _ := p.Next(w, epoch)
		if count(task.Units) != want {
			t.Fatalf("%v, want %d units", task.Units, want)
		}
		p.End(task, epoch)
		if p.Shrink(task) != (want > 1) {
			t.Fatalf("shrinks from %d", want)
		}
	}
}

// The last task is asked of a second worker that is much faster, once; the first to bring the rest ends the other.
func TestRace(t *testing.T) {
	for name, c := range map[string]struct {
		fast  float64
		moved float64 // of the slow task, last
		race  bool
	}{
		"much faster":                 {100, 1.9, true},
		"hardly faster":               {1.5, 1.9, false},
		"unknown":                     {0, 1.9, true},
		"slower, but other is silent": {2, 0.5, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(cfg(), bao.Span(0, 10))
			slow, fast := &Worker{}, &Worker{Speed: c.fast}
			p.Join(slow)
			p.Join(fast)
			first, _ := p.Next(slow, epoch)
			bring(p, first, 1, at(0.1))
			bring(p, first, 1, at(c.moved)) // one in a second
			second, late := p.Next(fast, at(2))
			if (second != nil) != c.race || late != nil {
				t.Fatalf("races for %v, takes away %v", second, late)
			}
			if !c.race {
				return
			}
			if !second.Raced || !second.Units.Equal(bao.Span(2, 10)) {
				t.Errorf("races for %v", second.Units)
			}
			third := &Worker{Speed: 1e6}
			p.Join(third)
			if task, _ := p.Next(third, at(2)); task != nil {
				t.Error("a third one is asked")
			}
			if n := bring(p, second, 5, at(3)); n != 5 {
				t.Errorf("%d are new", n)
			}
			if n := bring(p, first, 7, at(3)); n != 2 { // 2..6 came from the other
				t.Errorf("%d of the slow one's are new", n)
			}
			bring(p, second, 8, at(3))
			if !p.Done() {
				t.Error("not done")
			}
			if over := p.End(second, at(3)); over != first {
				t.Errorf("%v is over", over)
			}
			if over := p.End(first, at(3)); over != nil || !p.Left().IsEmpty() {
				t.Errorf("%v is over, %v left", over, p.Left())
			}
		})
	}
}

// A task that was raced and has lost is over: nobody races it again until its worker has let it go, nor is it late.
func TestALostTaskIsNotRacedAgain(t *testing.T) {
	for name, wins := range map[string]bool{"the second wins": true, "the first wins": false} {
		t.Run(name, func(t *testing.T) {
			p := New(cfg(), bao.Span(0, 10))
			slow, fast, third := &Worker{}, &Worker{Speed: 100}, &Worker{Speed: 1e6}
			p.Join(slow)
			p.Join(fast)
			first, _ := p.Next(slow, epoch)
			bring(p, first, 3, at(0.1))
			second, _ := p.Next(fast, at(2))
			winner, loser := first, second
			if wins {
				winner, loser = second, first
			}
			bring(p, winner, 10, at(2.1))
			if over := p.End(winner, at(2.1)); over != loser || !p.Done() {
				t.Fatalf("%v is over", over)
			}
			p.Join(third)
			for _, w := range []*Worker{third, winner.Worker} {
				if task, late := p.Next(w, at(20)); task != nil || late != nil {
					t.Errorf("%v is asked once more", task.Units)
				}
			}
			p.Moved(&Task{Worker: third}, 1, at(20))
			if late := p.Late(at(20)); len(late) != 0 {
				t.Error("what is over is late")
			}
		})
	}
}

// One that went silent and lost its task for that does not race for another one, which a better one would then be kept from.
func TestASilentOneDoesNotRace(t *testing.T) {
	for name, race := range map[string]bool{"race": true, "taken away": false} {
		t.Run(name, func(t *testing.T) {
			c := cfg()
			c.Race = race
			p := New(c, bao.Span(0, 20))
			silent, slow, fast := &Worker{Speed: 1000, Rate: 1e5}, &Worker{}, &Worker{Speed: 1000, Rate: 1e5}
			for _, w := range []*Worker{silent, slow, fast} {
				p.Join(w)
			}
			first, _ := p.Next(silent, epoch)
			bring(p, first, 1, at(0.1))
			second, _ := p.Next(slow, epoch)
			bring(p, second, 1, at(1.9)) // half a unit in a second
			p.End(first, at(2))
			p.left = p.left.Subtract(first.Units) // another one brought them
			if task, late := p.Next(silent, at(2)); task != nil || late != nil {
				t.Errorf("a silent one is asked for %v, takes away %v", task, late)
			}
			if task, late := p.Next(fast, at(2)); race && (task == nil || !task.Raced) || !race && late != second {
				t.Errorf("a good one is asked for %v, takes away %v", task, late)
			}
			p.Moved(&Task{Worker: silent}, 1, at(3))
			if silent.silent {
				t.Error("one of whom something came is still held for silent")
			}
		})
	}
}

// One that took part in a task and failed leaves what it brought to nobody.
func TestRacedAgainForTheRest(t *testing.T) {
	p := New(cfg(), bao.Span(0, 10))
	slow, fast, third := &Worker{}, &Worker{Speed: 100}, &Worker{Speed: 100}
	for _, w := range []*Worker{slow, fast, third} {
		p.Join(w)
	}
	first, _ := p.Next(slow, epoch)
	bring(p, first, 1, at(0.1))
	second, _ := p.Next(fast, at(2))
	bring(p, second, 5, at(2.1)) // 1 to 5
	p.End(second, at(2.1))
	next, _ := p.Next(third, at(2.2))
	if want := bao.Span(6, 10); next == nil || !next.Units.Equal(want) {
		t.Fatalf("%+v, want %v", next, want)
	}
	bring(p, next, 4, at(2.3))
	if over := p.End(next, at(2.3)); over != first || !p.Done() {
		t.Errorf("%v is over, %v left", over, p.Left())
	}
}

func TestOfTwoRivalsOneFails(t *testing.T) {
	p := New(cfg(), bao.Span(0, 10))
	a, b := &Worker{}, &Worker{Speed: 100}
	p.Join(a)
	p.Join(b)
	first, _ := p.Next(a, epoch)
	bring(p, first, 3, at(0.1))
	second, _ := p.Next(b, at(2))
	bring(p, second, 1, at(2.1))
	if over := p.End(first, at(2.2)); over != nil {
		t.Error("the other is over")
	}
	if task, _ := p.Next(a, at(2.2)); task != nil {
		t.Errorf("%v is free while the other is asked for it", task.Units)
	}
	p.End(second, at(2.3))
	if want := bao.Span(4, 10); !p.Left().Equal(want) {
		t.Errorf("left is %v, want %v", p.Left(), want)
	}
}

func TestLate(t *testing.T) {
	for name, c := range map[string]struct {
		other *Worker // nil: nobody else
		rate  float64 // before
		moved float64 // last, of the late one
		moves float64 // last, of the other
		now   float64
		late  bool
	}{
		"nothing for three seconds": {&Worker{}, 0, 0, 2.9, 3, true},
		"not yet":                   {&Worker{}, 0, 0.5, 2.9, 3, false},
		"nobody else":               {nil, 0, 0, 0, 30, false},
		"the other is silent too":   {&Worker{}, 0, 0, 0, 3.5, false},
		"slower than ever":          {&Worker{}, 1e6, 2.9, 2.9, 3, true},
		"as slow as ever":           {&Worker{}, 10, 2.9, 2.9, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(cfg(), bao.Span(0, 1000))
			w := &Worker{Rate: c.rate}
			p.Join(w)
			task, _ := p.Next(w, epoch)
			if c.moved > 0 {
				bring(p, task, 1, at(c.moved))
			}
			if c.other != nil {
				p.Join(c.other)
				task, _ := p.Next(c.other, epoch)
				if c.moves > 0 {
					bring(p, task, 1, at(c.moves))
				}
			}
			late := p.Late(at(c.now))
			if (len(late) == 1 && late[0] == task) != c.late {
				t.Errorf("late is %v", late)
			}
			if c.late && len(p.Late(at(c.now))) != 0 {
				t.Error("late twice")
			}
		})
	}
}

// Where units are of different sizes a task is taken away from a worker that is much slower, and not the other way around.
func TestTakenAway(t *testing.T) {
	c := cfg()
	c.Race = false
	p := New(c, bao.Span(0, 10))
	slow, fast, unknown := &Worker{}, &Worker{Rate: 1e6}, &Worker{}
	for _, w := range []*Worker{slow, fast, unknown} {
		p.Join(w)
	}
	task, _ := p.Next(slow, epoch)
	bring(p, task, 1, at(0.5))
	for _, c := range []struct {
		by   *Worker
		now  float64
		want *Task
	}{{fast, 0.9, nil}, {fast, 1.1, task}, {unknown, 1.1, nil}, {slow, 1.1, nil}} {
		if next, late := p.Next(c.by, at(c.now)); next != nil || late != c.want {
			t.Errorf("after %v s: %v, late %v", c.now, next, late)
		}
	}
}

// TestAnySchedule lets workers come, go, bring, fail and lie in any order: no unit is asked of more than two at a time nor counted twice, and when
// somebody good is left all come.
func TestAnySchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Uint64Range(1, 500).Draw(t, "units")
		c := cfg()
		c.Race = rapid.Bool().Draw(t, "race")
		p := New(c, bao.Span(0, total))
		good := &Worker{}
		workers := []*Worker{good}
		p.Join(good)
		for range rapid.IntRange(0, 4).Draw(t, "workers") {
			w := &Worker{}
			p.Join(w)
			workers = append(workers, w)
		}
		var tasks []*Task
		came := make(map[uint64]bool)
		now := epoch
		end := func(i int) {
			over := p.End(tasks[i], now)
			tasks = slices.Delete(tasks, i, i+1)
			if j := slices.Index(tasks, over); over != nil {
				p.End(over, now)
				tasks = slices.Delete(tasks, j, j+1)
			}
		}
		step := func(task *Task, n uint64) {
			for _, u := range Each(first(task.rest(), n, 0)) {
				p.Moved(task, 100, now)
				if p.Came(task, u) == came[u] {
					t.Fatalf("unit %d: new %t", u, came[u])
				}
				came[u] = true
			}
		}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			w := workers[rapid.IntRange(0, len(workers)-1).Draw(t, "worker")]
			i := rapid.IntRange(0, max(0, len(tasks)-1)).Draw(t, "task")
			switch action := rapid.IntRange(0, 6).Draw(t, "action"); {
			case action < 2:
				if task, _ := p.Next(w, now); task != nil {
					if task.Units.IsEmpty() || !task.Units.Subtract(p.left).IsEmpty() {
						t.Fatalf("%v is asked for, left is %v", task.Units, p.left)
					}
					tasks = append(tasks, task)
				}
			case action == 2 && w != good:
				p.Claim(w, bao.Span(total/3, total/2))
			case len(tasks) == 0:
			case action < 5:
				step(tasks[i], rapid.Uint64Range(0, 120).Draw(t, "n"))
			case action == 5:
				end(i)
			case tasks[i].Worker != good:
				p.Lacks(tasks[i])
			}
			asked := make(map[uint64]int)
			for _, task := range tasks {
				for _, u := range Each(task.Units) {
					if asked[u]++; asked[u] > 2 || asked[u] > 1 && !c.Race {
						t.Fatalf("unit %d is asked of %d", u, asked[u])
					}
				}
			}
			p.Late(now)
		}
		for len(tasks) > 0 {
			end(0)
		}
		for range 1000 {
			task, _ := p.Next(good, now)
			if task == nil {
				break
			}
			now = now.Add(time.Second)
			tasks = append(tasks, task)
			step(task, 1000)
			end(0)
		}
		if !p.Done() || uint64(len(came)) != total {
			t.Fatalf("%d of %d came, left %v", len(came), total, p.Left())
		}
	})
}
