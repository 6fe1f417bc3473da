package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func id(n byte) key.EndpointID { return key.SecretKeyFromSeed([32]byte{n}).ID() }

func at(id key.EndpointID, direct ...string) ticket.EndpointAddr {
	a := ticket.EndpointAddr{ID: id}
	for _, d := range direct {
		a.Direct = append(a.Direct, netip.MustParseAddrPort(d))
	}
	return a
}

// slow is a source that answers after a delay, with what it is told to at that time.
type slow struct {
	name  string
	calls atomic.Int32

	mu    sync.Mutex
	delay time.Duration
	addr  ticket.EndpointAddr
	err   error
}

func (s *slow) Name() string { return s.name }

func (s *slow) Resolve(ctx context.Context, _ key.EndpointID) (record.Record, error) {
	s.calls.Add(1)
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return record.Record{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return record.New(s.addr), s.err
}

func (s *slow) say(addr ticket.EndpointAddr, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addr, s.err = addr, err
}

func resolver(t testing.TB, cfg discovery.ResolverConfig) *discovery.Resolver {
	r := discovery.NewResolver(cfg)
	t.Cleanup(func() { r.Close() })
	return r
}

// wants fails unless the resolver answers with these addresses, at this time after the call.
func wants(t *testing.T, r *discovery.Resolver, id key.EndpointID, after time.Duration, direct string) {
	t.Helper()
	start := time.Now()
	addr, err := r.Resolve(t.Context(), id)
	got := fmt.Sprint(addr.Direct)
	if errors.Is(err, discovery.ErrNotFound) {
		got = "none"
	} else if err != nil {
		got = err.Error()
	}
	if got != direct || time.Since(start) != after {
		t.Errorf("got %s after %s, want %s after %s", got, time.Since(start), direct, after)
	}
}

const settle = 20 * time.Millisecond

func TestTheQuickestAnswersAndTheOthersAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := id(1)
		quick := &slow{name: "quick", delay: 100 * time.Millisecond, addr: at(peer, "192.0.2.1:1")}
		close := &slow{name: "close", delay: 110 * time.Millisecond, addr: at(peer, "192.0.2.2:1")}
		late := &slow{name: "late", delay: time.Second, addr: at(peer, "192.0.2.3:1", "192.0.2.1:1")}
		none := &slow{name: "none", err: discovery.ErrNotFound}
		broken := &slow{name: "broken", err: errors.New("out of order")}
		hangs := &slow{name: "hangs", delay: time.Hour}
		r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{late, none, quick, broken, hangs, close}})
		wants(t, r, peer, 100*time.Millisecond+settle, "[192.0.2.1:1 192.0.2.2:1]")
		time.Sleep(time.Second)
		wants(t, r, peer, 0, "[192.0.2.3:1 192.0.2.1:1 192.0.2.2:1]")
		if n := quick.calls.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestWhatIsNotFoundSaysWhoWasAsked(t *testing.T) {
	none := func(name string) *slow { return &slow{name: name, err: discovery.ErrNotFound} }
	for want, sources := range map[string][]discovery.Source{
		": asked dns, pkarr":              {&discovery.Static{}, none("dns"), none("pkarr")},
		": nothing is configured to look": {&discovery.Static{}},
	} {
		_, err := resolver(t, discovery.ResolverConfig{Sources: sources}).Lookup(t.Context(), id(1))
		if !errors.Is(err, discovery.ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestFollowSeesEveryAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := id(1)
		quick := &slow{name: "quick", delay: 100 * time.Millisecond, addr: at(peer, "192.0.2.1:1")}
		late := &slow{name: "late", delay: time.Second, addr: at(peer, "192.0.2.3:1")}
		none := &slow{name: "none", delay: 2 * time.Second, err: discovery.ErrNotFound}
		r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{quick, late, none}, Fresh: time.Millisecond})
		var seen []string
		start := time.Now()
		err := r.Follow(t.Context(), peer, func(a ticket.EndpointAddr) bool {
			seen = append(seen, fmt.Sprint(time.Since(start), a.Direct))
			return true
		})
		// The quick answer is older than fresh when the late one comes, which then stands alone.
		if got := fmt.Sprint(seen); err != nil || got != "[100ms [192.0.2.1:1] 1s [192.0.2.3:1] 2s [192.0.2.1:1 192.0.2.3:1]]" {
			t.Errorf("%s, %v", got, err)
		}
		if time.Since(start) != 2*time.Second {
			t.Errorf("it ended after %s", time.Since(start))
		}
		quick.say(ticket.EndpointAddr{}, discovery.ErrNotFound)
		late.say(ticket.EndpointAddr{}, discovery.ErrNotFound)
		r.Forget(peer)
		if err := r.Follow(t.Context(), peer, func(ticket.EndpointAddr) bool { t.Error("found"); return true }); !errors.Is(err, discovery.ErrNotFound) {
			t.Errorf("nobody knows it: %v", err)
		}
	})
}

func TestAnswersAgeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := id(1)
		source := &slow{name: "one", delay: time.Second, addr: at(peer, "192.0.2.1:1")}
		r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{source}})
		wants(t, r, peer, time.Second, "[192.0.2.1:1]")
		wants(t, r, peer, 0, "[192.0.2.1:1]")
		source.say(at(peer, "192.0.2.2:1"), nil)
		time.Sleep(discovery.DefaultFresh - time.Second)
		wants(t, r, peer, 0, "[192.0.2.1:1]")
		time.Sleep(time.Second)
		wants(t, r, peer, time.Second, "[192.0.2.2:1]")
		// The source breaks: the last answer serves for an hour, then no more.
		source.say(ticket.EndpointAddr{}, errors.New("out of order"))
		time.Sleep(discovery.DefaultFresh)
		wants(t, r, peer, time.Second, "[192.0.2.2:1]")
		wants(t, r, peer, 0, "[192.0.2.2:1]")
		time.Sleep(discovery.DefaultMaxAge)
		if a, err := r.Resolve(t.Context(), peer); err == nil || errors.Is(err, discovery.ErrNotFound) {
			t.Errorf("an hour later: %v, %v", a, err)
		}
		// It works again.
		source.say(at(peer, "192.0.2.3:1"), nil)
		time.Sleep(discovery.DefaultNegative)
		wants(t, r, peer, time.Second, "[192.0.2.3:1]")
		// The endpoint is gone: what is remembered is gone with it.
		source.say(ticket.EndpointAddr{}, discovery.ErrNotFound)
		r.Forget(peer)
		wants(t, r, peer, time.Second, "none")
		wants(t, r, peer, 0, "none")
		source.say(at(peer, "192.0.2.4:1"), nil)
		time.Sleep(discovery.DefaultNegative)
		wants(t, r, peer, time.Second, "[192.0.2.4:1]")
	})
}

func TestAnOldAnswerComesBeforeALongWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := id(1)
		source := &slow{name: "one", addr: at(peer, "192.0.2.1:1")}
		r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{source}})
		wants(t, r, peer, 0, "[192.0.2.1:1]")
		time.Sleep(discovery.DefaultFresh)
		source.mu.Lock()
		source.delay = 5 * time.Second
		source.mu.Unlock()
		source.say(at(peer, "192.0.2.2:1"), nil)
		wants(t, r, peer, 2*time.Second, "[192.0.2.1:1]")
		wants(t, r, peer, 2*time.Second, "[192.0.2.1:1]")
		wants(t, r, peer, time.Second, "[192.0.2.2:1]")
	})
}

func TestAskTellsWhichSourcesWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := id(1)
		r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{
			&slow{name: "good", delay: time.Second, addr: at(peer, "192.0.2.1:1")},
			&slow{name: "none", err: discovery.ErrNotFound},
			&slow{name: "hangs", delay: time.Hour},
		}})
		got := r.Ask(t.Context(), peer)
		if len(got) != 3 || got[0].Took != time.Second || len(got[0].Record.Addr.Direct) != 1 || got[0].Err != nil ||
			!errors.Is(got[1].Err, discovery.ErrNotFound) || got[1].Took != 0 ||
			!errors.Is(got[2].Err, context.DeadlineExceeded) || got[2].Took != discovery.DefaultTimeout {
			t.Errorf("got %+v", got)
		}
		wants(t, r, peer, time.Second+settle, "[192.0.2.1:1]")
	})
}

func TestManyCallersShareOneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := id(1)
		source := &slow{name: "one", delay: time.Second, addr: at(peer, "192.0.2.1:1")}
		r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{source}})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wants(t, r, peer, time.Second, "[192.0.2.1:1]") })
		}
		// One that gives up does not take the lookup from the others.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := r.Resolve(ctx, peer); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("gave up with %v", err)
		}
		wg.Wait()
		if n := source.calls.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestAFloodOfIdsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &slow{name: "one", delay: time.Second, err: discovery.ErrNotFound}
		r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{source}, Entries: 10})
		var wg sync.WaitGroup
		var busy, none atomic.Int32
		for i := range 1000 {
			wg.Go(func() {
				switch _, err := r.Resolve(t.Context(), key.EndpointID{1, byte(i), byte(i >> 8)}); {
				case errors.Is(err, discovery.ErrBusy):
					busy.Add(1)
				case errors.Is(err, discovery.ErrNotFound):
					none.Add(1)
				}
			})
		}
		wg.Wait()
		if none.Load() != 512 || busy.Load() != 1000-512 {
			t.Errorf("%d lookups, %d refused", none.Load(), busy.Load())
		}
		wants(t, r, id(1), time.Second, "none")
	})
}

func TestASourceThatAnswersForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many ticket.EndpointAddr
		many.ID = id(1)
		for i := range 1000 {
			many.Direct = append(many.Direct, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(i)))
		}
		r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{&slow{name: "foreign", addr: many}}})
		wants(t, r, id(2), 0, "none")
		if a, err := r.Resolve(t.Context(), id(1)); err != nil || len(a.Direct) != record.MaxDirect || a.Direct[0].Port() != 1 {
			t.Errorf("%d addresses, %v", len(a.Direct), err)
		}
	})
}

func TestCloseEndsLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := discovery.NewResolver(discovery.ResolverConfig{Sources: []discovery.Source{&slow{name: "hangs", delay: time.Hour}}})
		done := make(chan error)
		go func() { _, err := r.Resolve(t.Context(), id(1)); done <- err }()
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("found something")
		}
		if _, err := r.Resolve(t.Context(), id(1)); !errors.Is(err, discovery.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestStatic(t *testing.T) {
	var s discovery.Static
	if _, err := s.Resolve(t.Context(), id(1)); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("empty: %v", err)
	}
	s.Add(at(id(1), "192.0.2.1:1", "0.0.0.0:1"))
	s.Add(at(id(1), "192.0.2.2:1"))
	s.Add(at(id(2)))
	s.Add(ticket.EndpointAddr{})
	r := resolver(t, discovery.ResolverConfig{Sources: []discovery.Source{&s}})
	if a, err := r.Resolve(t.Context(), id(1)); err != nil || fmt.Sprint(a.Direct) != "[192.0.2.2:1 192.0.2.1:1]" {
		t.Errorf("%v, %v", a.Direct, err)
	}
	if _, err := r.Resolve(t.Context(), id(2)); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("an id alone: %v", err)
	}
	direct := at(id(1), "192.0.2.1:1").Direct
	for i := range 20_000 {
		s.Add(ticket.EndpointAddr{ID: key.EndpointID{byte(i), byte(i >> 8), 1}, Direct: direct})
	}
	if _, err := s.Resolve(t.Context(), key.EndpointID{19999 % 256, 19999 / 256, 1}); err != nil {
		t.Errorf("the newest one was forgotten: %v", err)
	}
	known := 0
	for i := range 20_000 {
		if _, err := s.Resolve(t.Context(), key.EndpointID{byte(i), byte(i >> 8), 1}); err == nil {
			known++
		}
	}
	if known > 16384 {
		t.Errorf("%d endpoints are kept", known)
	}
	s.Remove(key.EndpointID{19999 % 256, 19999 / 256, 1})
	if _, err := s.Resolve(t.Context(), key.EndpointID{19999 % 256, 19999 / 256, 1}); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("after Remove: %v", err)
	}
}

func BenchmarkResolveRemembered(b *testing.B) {
	var s discovery.Static
	s.Add(at(id(1), "192.0.2.1:1", "192.0.2.2:1"))
	r := resolver(b, discovery.ResolverConfig{Sources: []discovery.Source{&s}, Fresh: time.Hour})
	peer := id(1)
	for b.Loop() {
		if _, err := r.Resolve(b.Context(), peer); err != nil {
			b.Fatal(err)
		}
	}
}
