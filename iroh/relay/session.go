package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

var (
	errSilent = errors.New("the relay does not answer")
	errStuck  = errors.New("the relay does not take what it is sent")
	errClosed = errors.New("closed")
)

// A session is one connection to the relay, on which it knows who we are. It has three goroutines: one reads, one writes,
// and the one that runs it watches over both.
type session struct {
	client *Client
	ws     *websocket.Conn
	conn   *corked

	challenged bool // by the relay, before it knew us

	came   gatherer                // hands datagrams on
	heard  atomic.Bool             // something came since the last ping
	asked  chan wire.PingData      // pings of ours to send
	wanted chan wire.PingData      // pings of the relay to answer
	pongs  chan wire.PingData      // answers of the relay
	over   chan ended              // both goroutines, when they are over
	resume atomic.Pointer[restart] // what the relay said of its restart
}

// ended is a goroutine of a session that is over, and why.
type ended struct {
	who role
	err error
}

type role bool

const (
	reader role = false
	writer role = true
)

// restart is a notice and when it came.
type restart struct {
	wire.Restart
	at time.Time
}

func newSession(c *Client, ws *websocket.Conn, conn *corked) *session {
	return &session{
		client: c, ws: ws, conn: conn, came: gatherer{receive: c.cfg.Receive},
		asked: make(chan wire.PingData, 1), wanted: make(chan wire.PingData, maxPongs), pongs: make(chan wire.PingData, 1),
		over: make(chan ended, 2),
	}
}

// run carries datagrams until the connection breaks, ctx is done or the client is closed; then it returns why.
func (s *session) run(ctx context.Context) error {
	writing, stop := context.WithCancel(context.Background())
	defer stop()
	s.conn.in.before = s.came.flush
	var both sync.WaitGroup
	both.Go(func() { s.over <- ended{reader, s.read()} })
	both.Go(func() { s.over <- ended{writer, s.write(writing)} })
	err := s.watch(ctx)
	if errors.Is(err, errClosed) {
		grace := time.AfterFunc(closeGrace, func() { s.ws.Close() })
		stop()
		if e := <-s.over; e.who == writer && e.err == nil { // it has sent everything
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			if s.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(closeGrace)) == nil {
				<-s.over // the relay says the same
			}
		}
		grace.Stop()
	}
	stop()
	s.ws.Close()
	both.Wait()
	return err
}

// watch pings, and returns when the session is to end.
func (s *session) watch(ctx context.Context) error {
	ping := time.NewTimer(0)
	defer ping.Stop()
	late := time.NewTimer(pongTimeout)
	late.Stop()
	defer late.Stop()
	var last wire.PingData
	var sent time.Time
	unsent := 0
	for number := uint64(0); ; {
		select {
		case e := <-s.over:
			if e.who == writer {
				s.hearOut(ctx)
			}
			return e.err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.client.closing:
			return errClosed
		case <-ping.C:
			number++
			binary.BigEndian.PutUint64(last[:], number)
			sent = time.Now()
			s.heard.Store(false)
			select {
			case s.asked <- last:
				unsent = 0
			default: // the writer is stuck since the one before, however much comes
				if unsent++; unsent == maxUnsent {
					return errStuck
				}
			}
			late.Reset(pongTimeout)
		case data := <-s.pongs:
			if data == last {
				s.client.measured(time.Since(sent))
			}
		case <-late.C:
			if !s.heard.Load() {
				return errSilent
			}
			ping.Reset(pingEvery - pongTimeout)
		}
	}
}

// hearOut waits, once nothing can be written any more, until the reader has read what the relay had sent before it closed the
// connection: why, and when it will be back.
func (s *session) hearOut(ctx context.Context) {
	grace := time.NewTimer(hearGrace)
	defer grace.Stop()
	select {
	case <-s.over:
	case <-grace.C:
	case <-ctx.Done():
	case <-s.client.closing:
	}
}

// read handles what the relay sends until the connection ends.
func (s *session) read() error {
	for r := s.client.take(); ; {
		frame, err := s.message(r.frame[:])
		if err != nil {
			return err
		}
		s.heard.Store(true)
		typ, body, err := wire.ParseType(frame)
		if err != nil {
			return err
		}
		if typ != wire.RelayToClientDatagram && typ != wire.RelayToClientBatch {
			if err := s.notice(typ, body); err != nil {
				return err
			}
			continue
		}
		if r.Datagrams, err = wire.ParseDatagrams(typ, body); err != nil {
			return err
		}
		if s.came.add(r) {
			r = s.client.take()
		}
	}
}

// notice handles a frame that brings no datagrams.
func (s *session) notice(typ wire.Type, body []byte) error {
	switch typ {
	case wire.EndpointGone:
		_, err := wire.ParseGone(body)
		return err // QUIC finds out by itself; the peer may be back at once
	case wire.Ping:
		data, err := wire.ParsePing(body)
		if err != nil {
			return err
		}
		select {
		case s.wanted <- data:
		default:
		}
		return nil
	case wire.Pong:
		data, err := wire.ParsePing(body)
		if err != nil {
			return err
		}
		select {
		case s.pongs <- data:
		default:
		}
		return nil
	case wire.Restarting:
		r, err := wire.ParseRestart(body)
		if err != nil {
			return err
		}
		r.ReconnectIn, r.TryFor = min(r.ReconnectIn, maxTimes), min(r.TryFor, maxTimes)
		s.resume.Store(&restart{r, time.Now()})
		return nil
	case wire.Health, wire.Status:
		return s.problem(typ, body)
	}
	return fmt.Errorf("the relay sends a frame of type %d", typ)
}

// problem handles what the relay says of the state of things, which versions of the protocol say differently.
func (s *session) problem(typ wire.Type, body []byte) error {
	if (typ == wire.Status) != (s.ws.Subprotocol() == protocolV2) {
		return wire.ErrType
	}
	if typ == wire.Health {
		text, err := wire.ParseHealth(body)
		if err == nil {
			s.client.problem(text)
		}
		return err
	}
	condition, err := wire.ParseStatus(body)
	if err != nil {
		return err
	}
	switch condition {
	case wire.Healthy:
		s.client.problem("")
	case wire.SameEndpoint:
		s.client.problem("another endpoint with the same key is connected: give each bridge a key of its own")
	case wire.RateLimited:
		s.client.problem("the relay limits how much it carries for this endpoint")
	}
	return nil
}

// write sends what is queued until the connection ends; or, once stopping is done, until nothing is queued any more, for
// which it returns nil.
func (s *session) write(stopping context.Context) error {
	for {
		var err error
		select {
		case data := <-s.asked:
			err = s.ping(data)
		case data := <-s.wanted:
			err = s.pong(data)
		case first := <-s.client.queue:
			err = s.burst(first)
		case <-stopping.Done():
			select {
			case first := <-s.client.queue:
				err = s.burst(first)
			default:
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// burst writes first and what else is queued with as few system calls as that goes. Datagrams that follow each other, to one
// peer and of one size, become one frame. The queue may never become empty, so pings go between.
func (s *session) burst(first *outgoing) error {
	s.conn.cork()
	now := time.Now()
	bytes := 0
	for o := first; o != nil; {
		next := s.client.next()
		for next != nil && o.merge(next) {
			s.client.recycle(next)
			next = s.client.next()
		}
		bytes += len(o.buf)
		var err error
		if now.Sub(o.at) < staleAfter {
			err = s.ws.WriteMessage(websocket.BinaryMessage, wire.Seal(o.buf, o.head))
		}
		s.client.recycle(o)
		if o = next; err == nil && o != nil && bytes > maxBurst {
			err = errors.Join(s.pings(), s.conn.flush())
			s.conn.cork()
			now, bytes = time.Now(), 0
		}
		if err != nil {
			if o != nil {
				s.client.recycle(o)
			}
			return errors.Join(err, s.conn.flush())
		}
	}
	return s.conn.flush()
}

// pings writes the pings and answers that wait just now.
func (s *session) pings() error {
	for range 1 + maxPongs { // as many as there can be; more may come meanwhile
		var err error
		select {
		case data := <-s.asked:
			err = s.ping(data)
		case data := <-s.wanted:
			err = s.pong(data)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) ping(data wire.PingData) error {
	return s.ws.WriteMessage(websocket.BinaryMessage, wire.AppendPing(nil, data))
}

func (s *session) pong(data wire.PingData) error {
	return s.ws.WriteMessage(websocket.BinaryMessage, wire.AppendPong(nil, data))
}
