package rpktls

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// mutate runs a handshake of a shape in which flight number n is changed, and fails the test if its receiver completes.
func mutate(t *testing.T, s shape, n int, what string, change func(flight []byte) []byte) {
	t.Helper()
	mutateUnless(t, s, n, what, new(bool), change)
}

// mutateUnless is mutate for a change that may turn out not to be one; it sets same then.
func mutateUnless(t *testing.T, s shape, n int, what string, same *bool, change func(flight []byte) []byte) {
	t.Helper()
	client, server := s.pair()
	victim, count := server, 0
	err := handshake(client, server, func(toServer bool, c chunk) []chunk {
		if count++; count != n+1 {
			return []chunk{c}
		}
		if !toServer {
			victim = client
		}
		return []chunk{{c.level, change(bytes.Clone(c.data))}}
	})
	if count <= n {
		t.Fatalf("%s: flight %d never came", what, n)
	}
	if *same {
		return
	}
	if victim.done || victim.conn.ConnectionState().HandshakeComplete || client.done && server.done {
		t.Fatalf("flight %d, %s: the handshake completed", n, what)
	}
	if err != nil && alertOf(err) < 0 {
		t.Fatalf("flight %d, %s: no alert: %v", n, what, err)
	}
}

// goldenFlights are the flights of one good handshake.
func goldenFlights(t testing.TB, s shape) (list []chunk) {
	t.Helper()
	client, server := s.pair()
	if err := handshake(client, server, func(toServer bool, c chunk) []chunk {
		list = append(list, chunk{c.level, bytes.Clone(c.data)})
		return []chunk{c}
	}); err != nil {
		t.Fatal(err)
	}
	if len(list) != s.flights || !client.done || !server.done {
		t.Fatalf("%d flights, client done %v, server done %v", len(list), client.done, server.done)
	}
	return list
}

// eachShape runs a test with every shape of handshake.
func eachShape(t *testing.T, test func(t *testing.T, s shape)) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}

// TestEveryByteChanged: three changes, an insertion and a deletion at every byte of every message.
func TestEveryByteChanged(t *testing.T) { eachShape(t, testEveryByteChanged) }

func testEveryByteChanged(t *testing.T, s shape) {
	goroutines := runtime.NumGoroutine()
	positions := 0
	for n, flight := range goldenFlights(t, s) {
		for i := range flight.data {
			positions++
			for _, x := range []byte{0x01, 0x80, 0xff} {
				mutate(t, s, n, fmt.Sprintf("byte %d ^ %#x", i, x), func(b []byte) []byte { b[i] ^= x; return b })
			}
			mutate(t, s, n, fmt.Sprintf("byte %d twice", i), func(b []byte) []byte { return slices.Insert(b, i, b[i]) })
			mutate(t, s, n, fmt.Sprintf("byte %d gone", i), func(b []byte) []byte { return slices.Delete(b, i, i+1) })
		}
	}
	if want := map[int]int{4: 650, 6: 900}[s.flights]; positions < want {
		t.Errorf("only %d positions", positions)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		now := runtime.NumGoroutine() // the runtime itself may have one for a moment
		if now <= goroutines {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", now, goroutines)
		}
	}
}

// TestTruncated: a flight cut off at any byte never completes anything.
func TestTruncated(t *testing.T) {
	eachShape(t, func(t *testing.T, s shape) {
		for n, flight := range goldenFlights(t, s) {
			for i := range flight.data {
				mutate(t, s, n, fmt.Sprintf("cut at %d", i), func(b []byte) []byte { return b[:i] })
			}
		}
	})
}

// TestReordered: every order of a flight's messages but the right one, and every subset of them.
func TestReordered(t *testing.T) { eachShape(t, testReordered) }

func testReordered(t *testing.T, s shape) {
	tried := 0
	for n, flight := range goldenFlights(t, s) {
		count := len(messagesIn(flight.data))
		for _, order := range arrangements(count) {
			if slices.IsSorted(order) && len(order) == count {
				continue
			}
			tried++
			mutate(t, s, n, fmt.Sprint("order ", order), func(b []byte) []byte {
				messages := messagesIn(b)
				var out []byte
				for _, i := range order {
					out = append(out, messages[i]...)
				}
				return out
			})
		}
	}
	if want := 325 + 15 + s.flights - 2; tried != want { // of five and three messages, and of one; less the right one, plus none
		t.Errorf("tried %d orders, want %d", tried, want)
	}
}

// TestFlightTwice: a flight that comes a second time is not taken for the next one.
func TestFlightTwice(t *testing.T) {
	eachShape(t, func(t *testing.T, s shape) {
		for n := range s.flights {
			mutate(t, s, n, "twice", func(b []byte) []byte { return slices.Concat(b, b) })
		}
	})
}

// TestFlightsExchanged: no flight can take the place of another one in the same direction.
func TestFlightsExchanged(t *testing.T) {
	eachShape(t, func(t *testing.T, s shape) {
		flights := goldenFlights(t, s)
		for n := range flights {
			for other := range flights {
				if other != n {
					mutate(t, s, n, fmt.Sprint("in its place flight ", other), func([]byte) []byte { return flights[other].data })
				}
			}
		}
	})
}

// arrangements lists every selection of 0..n-1 in every order, the empty one too.
func arrangements(n int) [][]int {
	list := [][]int{{}}
	for from := 0; from < len(list); from++ {
		for i := range n {
			if !slices.Contains(list[from], i) {
				list = append(list, append(slices.Clone(list[from]), i))
			}
		}
	}
	return list
}

// TestReplayed: no message of an earlier handshake of the same peers can take the place of its like, but for those that
// are the same in both.
func TestReplayed(t *testing.T) { eachShape(t, testReplayed) }

func testReplayed(t *testing.T, s shape) {
	old := goldenFlights(t, s)
	same := 0
	for n := range s.flights {
		for i, m := range messagesIn(old[n].data) {
			isSame := false
			mutateUnless(t, s, n, fmt.Sprintf("message %d replayed", i), &isSame, func(b []byte) []byte {
				messages := messagesIn(b)
				isSame = bytes.Equal(messages[i], m)
				messages[i] = m
				return bytes.Join(messages, nil)
			})
			if isSame {
				same++
			}
		}
	}
	if same != s.same {
		t.Errorf("%d messages are the same in every handshake", same)
	}
}
