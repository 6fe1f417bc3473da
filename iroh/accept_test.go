package iroh

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/internal/admission"
)

// crowd is as many as one source may have.
const crowd = admission.MaxConnsPerSource

// A crowd comes from one address, as behind one NAT, at the same moment, and nobody accepts for a while: all get in, each at the
// first try, and who has left meanwhile holds nobody up.
func TestCrowdFromOneAddress(t *testing.T) {
	patient := func(c *Config) { c.HandshakeTimeout = time.Minute } // they all share this machine
	server := endpoint(t, "127.0.0.1", patient)
	ctx := deadline(t)
	dialed := make(chan *Conn, crowd)
	start := make(chan struct{})
	var dialing sync.WaitGroup
	for range crowd {
		client := endpoint(t, "127.0.0.1", patient)
		dialing.Go(func() {
			<-start
			c, err := client.Dial(ctx, server.Addr(), testALPN)
			if err != nil {
				t.Error(err)
				return
			}
			dialed <- c
		})
	}
	close(start)
	dialing.Wait()
	if t.Failed() {
		return
	}
	(<-dialed).CloseWithError(0, "left before it was accepted")
	eventually(t, "one has left", func() bool { return server.admission.Counts().All == crowd-1 })
	seen := map[string]bool{}
	for len(seen) < crowd-1 {
		c, err := server.Accept(ctx)
		if err != nil {
			t.Fatalf("%d of %d came in: %v", len(seen), crowd-1, err)
		}
		if c.Context().Err() == nil {
			seen[c.RemoteID().String()] = true
		}
	}
}

// Who is complete and was never accepted is told when the endpoint stops, and does not hold it up.
func TestShutdownDismissesTheUnaccepted(t *testing.T) {
	for name, stop := range map[string]func(*Endpoint) error{
		"close": (*Endpoint).Close, "shutdown": func(e *Endpoint) error { return e.Shutdown(deadline(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			server, client := endpoint(t, "127.0.0.1"), endpoint(t, "127.0.0.1")
			c, err := client.Dial(deadline(t), server.Addr(), testALPN)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "it waits", func() bool { return server.admission.Counts().All == 1 })
			if err := stop(server); err != nil {
				t.Fatal(err)
			}
			select {
			case <-c.Context().Done():
			case <-deadline(t).Done():
				t.Error("the client was not told")
			}
			if _, err := server.Accept(deadline(t)); !errors.Is(err, ErrClosed) {
				t.Errorf("accept afterwards: %v", err)
			}
		})
	}
}
