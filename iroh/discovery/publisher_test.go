package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
)

// diary is a sink that writes down what it takes, and fails as often as it is told to.
type diary struct {
	mu    sync.Mutex
	start time.Time
	fails int
	delay time.Duration
	lines []string
}

func (d *diary) Name() string { return "diary" }

func (d *diary) Publish(ctx context.Context, r record.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := fmt.Sprintf("%s %s %s", time.Since(d.start), r.Addr.Direct, r.UserData)
	if d.fails > 0 {
		d.fails--
		d.lines = append(d.lines, line+"failed")
		return errors.New("out of order")
	}
	select {
	case <-time.After(d.delay):
	case <-ctx.Done():
		d.lines = append(d.lines, line+"gave up")
		return ctx.Err()
	}
	d.lines = append(d.lines, line)
	return nil
}

func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

func TestPublishesOnChangeAndFromTimeToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, other := &diary{start: time.Now()}, &diary{start: time.Now()}
		p := discovery.NewPublisher(discovery.PublisherConfig{Sinks: []discovery.Sink{d, other}})
		defer p.Close()
		time.Sleep(time.Hour)
		for _, direct := range []string{"192.0.2.1:1", "192.0.2.1:1", "192.0.2.2:1"} {
			p.Update(at(id(1), direct))
			time.Sleep(time.Second)
		}
		time.Sleep(11 * time.Minute)
		want := "1h0m0s [192.0.2.1:1] \n1h0m2s [192.0.2.2:1] \n1h5m2s [192.0.2.2:1] \n1h10m2s [192.0.2.2:1] "
		if d.read() != want || other.read() != want {
			t.Errorf("got\n%s\nwant\n%s", d.read(), want)
		}
		for _, s := range p.Status() {
			if s.Sink != "diary" || s.Err != nil || s.Failures != 0 || time.Since(s.Published) != time.Minute+time.Second {
				t.Errorf("status %+v", s)
			}
		}
	})
}

func TestAFailureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{start: time.Now(), fails: 3}
		p := discovery.NewPublisher(discovery.PublisherConfig{Sinks: []discovery.Sink{d}, UserData: "text "})
		defer p.Close()
		p.Update(at(id(1), "192.0.2.1:1"))
		time.Sleep(2 * time.Second)
		if s := p.Status()[0]; s.Failures != 2 || s.Err == nil || !s.Published.IsZero() {
			t.Errorf("status %+v", s)
		}
		time.Sleep(time.Minute)
		want := "0s [192.0.2.1:1] text failed\n1s [192.0.2.1:1] text failed\n3s [192.0.2.1:1] text failed\n6s [192.0.2.1:1] text "
		if d.read() != want {
			t.Errorf("got\n%s\nwant\n%s", d.read(), want)
		}
		if s := p.Status()[0]; s.Failures != 0 || s.Err != nil || s.Published.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

func TestASinkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung, fine := &diary{start: time.Now(), delay: time.Hour}, &diary{start: time.Now()}
		p := discovery.NewPublisher(discovery.PublisherConfig{Sinks: []discovery.Sink{hung, fine}})
		p.Update(at(id(1), "192.0.2.1:1"))
		synctest.Wait()
		if fine.read() != "0s [192.0.2.1:1] " {
			t.Errorf("the other sink got %q", fine.read())
		}
		time.Sleep(30 * time.Second)
		start := time.Now()
		p.Close()
		if time.Since(start) != 0 {
			t.Errorf("Close waited for %s", time.Since(start))
		}
		if !strings.HasPrefix(hung.read(), "0s [192.0.2.1:1] gave up\n21s") {
			t.Errorf("got %s", hung.read())
		}
	})
}
