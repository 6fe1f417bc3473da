package relay

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

// script is a relay that does what a test says, once for each connection.
func script(t *testing.T, protocol string, serve func(ws *websocket.Conn)) string {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		serve(ws)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// welcome confirms without asking.
func welcome(ws *websocket.Conn) {
	ws.WriteMessage(websocket.BinaryMessage, wire.AppendConfirmation(nil))
}

// Whatever a relay sends that makes no sense ends the connection, says why, and does nothing else.
func TestNonsenseEndsTheConnection(t *testing.T) {
	id := strings.Repeat("i", 32)
	for name, frame := range map[string]string{
		"empty frame":          "",
		"unknown type":         "\x0e",
		"our own kind":         "\x04" + id + "\x00data",
		"handshake afterwards": "\x02",
		"datagram of nothing":  "\x06" + id + "\x00",
		"short batch":          "\x07" + id + "\x00\x00",
		"short gone":           "\x08",
		"short ping":           "\x09",
		"short pong":           "\x0a",
		"health in version 2":  "\x0bproblem",
		"short restarting":     "\x0c",
		"empty status":         "\x0d",
		"too large":            "\x06" + id + "\x00" + strings.Repeat("d", wire.MaxFrame),
	} {
		t.Run(name, func(t *testing.T) {
			url := script(t, protocolV2, func(ws *websocket.Conn) {
				welcome(ws)
				ws.WriteMessage(websocket.BinaryMessage, []byte(frame))
				for err := error(nil); err == nil; {
					_, _, err = ws.ReadMessage()
				}
			})
			m := join(t, url, nil)
			eventually(t, "the connection ends", func() bool { return m.State().Err != nil })
			if len(m.inbox) != 0 {
				t.Error("something was received")
			}
		})
	}
}

func TestNonsenseInTheHandshake(t *testing.T) {
	for name, frames := range map[string][]string{
		"datagram":             {"\x06" + strings.Repeat("i", 32) + "\x00data"},
		"nothing":              {""},
		"short challenge":      {"\x00abc"},
		"denial without words": {"\x03"},
		"challenges for ever":  {"\x000123456789abcdef", "\x000123456789abcdef", "\x000123456789abcdef"},
	} {
		t.Run(name, func(t *testing.T) {
			url := script(t, protocolV2, func(ws *websocket.Conn) {
				for _, f := range frames {
					ws.WriteMessage(websocket.BinaryMessage, []byte(f))
				}
				for err := error(nil); err == nil; {
					_, _, err = ws.ReadMessage()
				}
			})
			m := join(t, url, nil)
			eventually(t, "the attempt fails", func() bool { return m.State().Err != nil })
			if m.State().Connected {
				t.Error("it is connected all the same")
			}
		})
	}
}

func TestNotARelay(t *testing.T) {
	var asked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer other.Close()
	redirect := httptest.NewServer(http.RedirectHandler(other.URL+"/relay", http.StatusTemporaryRedirect))
	defer redirect.Close()
	nothing := httptest.NewServer(http.NotFoundHandler())
	defer nothing.Close()
	for name, url := range map[string]string{
		"redirect": redirect.URL, "not found": nothing.URL, "other protocol": script(t, "chat", welcome), "nobody": "http://127.0.0.1:9/",
	} {
		m := join(t, url, nil)
		eventually(t, name+" is refused", func() bool { return m.State().Err != nil })
		if m.State().Connected {
			t.Errorf("%s: connected", name)
		}
	}
	if asked.Load() {
		t.Error("the redirect was followed")
	}
}

// Version 1 says in words what version 2 says in numbers; text messages and pings of the WebSocket are nothing to us.
func TestNotices(t *testing.T) {
	answered := make(chan string, 100)
	url := script(t, protocolV1, func(ws *websocket.Conn) {
		ws.WriteMessage(websocket.TextMessage, []byte("hello"))
		welcome(ws)
		ws.WriteMessage(websocket.TextMessage, []byte("hello"))
		ws.WriteMessage(websocket.BinaryMessage, wire.AppendGone(nil, secret(t).ID()))
		ws.WriteMessage(websocket.BinaryMessage, wire.AppendPing(nil, wire.PingData{7}))
		ws.WriteMessage(websocket.BinaryMessage, wire.AppendHealth(nil, "too many cooks"))
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			answered <- string(data)
		}
	})
	m := join(t, url, nil)
	eventually(t, "the problem is known", func() bool { return m.State().Problem == "too many cooks" })
	for {
		select {
		case frame := <-answered:
			if frame == "\x0a\x07\x00\x00\x00\x00\x00\x00\x00" {
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the ping was not answered")
		}
	}
}

// A relay that says when it will be back is not bothered before, and asked often from then on.
func TestAnnouncedRestart(t *testing.T) {
	const away = 700 * time.Millisecond
	var connections atomic.Int32
	var left, back atomic.Int64
	url := script(t, protocolV2, func(ws *websocket.Conn) {
		welcome(ws)
		if connections.Add(1) == 1 {
			ws.ReadMessage() // its first ping, so that nothing of its is on its way when the connection ends
			left.Store(time.Now().UnixNano())
			ws.WriteMessage(websocket.BinaryMessage, wire.AppendRestart(nil, wire.Restart{ReconnectIn: away, TryFor: time.Minute}))
			return
		}
		back.CompareAndSwap(0, time.Now().UnixNano())
		for err := error(nil); err == nil; {
			_, _, err = ws.ReadMessage()
		}
	})
	m := join(t, url, nil)
	eventually(t, "the client is back", func() bool { return back.Load() != 0 && m.State().Connected })
	if took := time.Duration(back.Load() - left.Load()); took < away || took > away+10*time.Second {
		t.Errorf("it came back after %v", took)
	}
}

// What a relay says before it closes is heard, also by a client that finds out first when it writes.
func TestNoticeIsHeardBehindAClosedConnection(t *testing.T) {
	const away = time.Second
	var connections atomic.Int32
	var back atomic.Int64
	url := script(t, protocolV2, func(ws *websocket.Conn) {
		welcome(ws)
		if connections.Add(1) == 1 {
			ws.WriteMessage(websocket.BinaryMessage, wire.AppendFromRelay(nil, Datagrams{Data: []byte("hold the reader up")}))
			ws.WriteMessage(websocket.BinaryMessage, wire.AppendRestart(nil, wire.Restart{ReconnectIn: away, TryFor: time.Minute}))
			return // nothing of what the client sent was read
		}
		back.CompareAndSwap(0, time.Now().UnixNano())
		for err := error(nil); err == nil; {
			_, _, err = ws.ReadMessage()
		}
	})
	receiving, goOn := make(chan struct{}), make(chan struct{})
	m := join(t, url, nil, func(c *Config) {
		c.Receive = func(r *Received) {
			close(receiving)
			<-goOn
			r.Release()
		}
	})
	<-receiving
	eventually(t, "the writer has failed", func() bool {
		m.Send(Datagrams{Data: []byte("x")})
		time.Sleep(5 * time.Millisecond)
		return len(m.queue) > 3 // nobody takes from it any more
	})
	released := time.Now()
	close(goOn)
	eventually(t, "the client is back", func() bool { return back.Load() != 0 && m.State().Connected })
	if took := time.Unix(0, back.Load()).Sub(released); took < away {
		t.Errorf("it came back after %v", took)
	}
}

// A relay that answers no ping, and sends nothing else, is left.
func TestSilentRelayIsLeft(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	url := script(t, protocolV2, func(ws *websocket.Conn) {
		if connections.Add(1) == 1 { // no connection follows that would have the end of this one forgotten
			welcome(ws)
		}
		for err := error(nil); err == nil; {
			_, _, err = ws.ReadMessage()
		}
	})
	began := time.Now()
	m := join(t, url, nil).ready(t)
	eventually(t, "the connection is given up", func() bool { return errors.Is(m.State().Err, errSilent) })
	if took := time.Since(began); took < pongTimeout {
		t.Errorf("after %v", took)
	}
}

// A queue that never becomes empty, on a slow link, keeps no answer back: the relay would leave.
func TestPongsBetweenDatagrams(t *testing.T) {
	answered := make(chan struct{})
	once := sync.OnceFunc(func() { close(answered) })
	url := script(t, protocolV2, func(ws *websocket.Conn) {
		welcome(ws)
		for asked := false; ; time.Sleep(2 * time.Millisecond) {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			switch typ, _, _ := wire.ParseType(data); {
			case typ == wire.Pong:
				once()
			case typ != wire.Ping && !asked:
				asked = true
				ws.WriteMessage(websocket.BinaryMessage, wire.AppendPing(nil, wire.PingData{7}))
			}
		}
	})
	m := join(t, url, nil).ready(t)
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for range 3 {
		senders.Go(func() {
			for data := make([]byte, 40*1200); ctx.Err() == nil; {
				m.Send(Datagrams{Segment: 1200, Data: data})
			}
		})
	}
	select {
	case <-answered:
	case <-time.After(time.Minute):
		t.Error("the ping is not answered")
	}
	stop()
	senders.Wait()
}

// A relay that goes on sending but takes nothing is left as well.
func TestDeafRelayIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{URL: mustURL(t, "http://127.0.0.1:9/"), SecretKey: secret(t), Receive: func(*Received) {}})
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(c, nil, nil) // with nobody that writes
		ctx, stop := context.WithCancel(t.Context())
		var sends sync.WaitGroup
		sends.Go(func() {
			for ctx.Err() == nil {
				s.heard.Store(true)
				time.Sleep(time.Second)
			}
		})
		defer func() { stop(); sends.Wait() }()
		began := time.Now()
		if err := s.watch(t.Context()); !errors.Is(err, errStuck) || time.Since(began) != maxUnsent*pingEvery {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// A relay that reads nothing holds up neither Send nor Close, and what it is sent is bounded.
func TestStuckRelay(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	defer close(over)
	url := script(t, protocolV2, func(ws *websocket.Conn) {
		welcome(ws)
		<-over
	})
	m := join(t, url, nil).ready(t)
	data := make([]byte, 20_000)
	dropped := false
	for range 2000 {
		began := time.Now()
		dropped = !m.Send(Datagrams{Data: data, Segment: 1200})
		if took := time.Since(began); took > 50*patience {
			t.Fatalf("send took %v", took)
		}
		if dropped {
			break
		}
	}
	if !dropped {
		t.Error("40 MB were queued")
	}
	began := time.Now()
	m.Close()
	if took := time.Since(began); took > 15*closeGrace {
		t.Errorf("close took %v", took)
	}
}

// Pings that come faster than answers can go are left unanswered, not collected.
func TestPingFlood(t *testing.T) {
	url := script(t, protocolV2, func(ws *websocket.Conn) {
		welcome(ws)
		ping := wire.AppendPing(nil, wire.PingData{1})
		for range 20_000 {
			if ws.WriteMessage(websocket.BinaryMessage, ping) != nil {
				return
			}
		}
		ws.WriteMessage(websocket.BinaryMessage, wire.AppendStatus(nil, wire.RateLimited))
		for err := error(nil); err == nil; {
			_, _, err = ws.ReadMessage()
		}
	})
	m := join(t, url, nil)
	eventually(t, "the status after the flood arrives", func() bool { return m.State().Problem != "" })
}

// An answer to the request for a WebSocket is bounded, and brings no extension that nobody asked for.
func TestHostileUpgrade(t *testing.T) {
	for name, c := range map[string]struct{ header, value, want string }{
		"head without end": {"X-Long", strings.Repeat("x", maxHead), "too long"},
		"extension":        {"Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "not offered"},
	} {
		t.Run(name, func(t *testing.T) {
			upgrader := websocket.Upgrader{Subprotocols: []string{protocolV2}}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if ws, err := upgrader.Upgrade(w, r, http.Header{c.header: {c.value}}); err == nil {
					welcome(ws)
					ws.Close()
				}
			}))
			t.Cleanup(server.Close)
			m := join(t, server.URL, nil)
			eventually(t, "it is refused", func() bool { return m.State().Err != nil })
			if err := m.State().Err; !strings.Contains(err.Error(), c.want) {
				t.Errorf("refused with %v", err)
			}
		})
	}
}
