package rpktls

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// flights is the number of flights in a handshake: ClientHello, ServerHello, the rest of the server's, the client's.
const flights = 4

// mutate runs a handshake in which flight number n is changed, and fails the test if its receiver completes.
func mutate(t *testing.T, n int, what string, change func(flight []byte) []byte) {
	t.Helper()
	mutateUnless(t, n, what, new(bool), change)
}

// mutateUnless is mutate for a change that may turn out not to be one; it sets same then.
func mutateUnless(t *testing.T, n int, what string, same *bool, change func(flight []byte) []byte) {
	t.Helper()
	client, server := newPair()
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
func goldenFlights(t testing.TB) (list []chunk) {
	t.Helper()
	client, server := newPair()
	if err := handshake(client, server, func(toServer bool, c chunk) []chunk {
		list = append(list, chunk{c.level, bytes.Clone(c.data)})
		return []chunk{c}
	}); err != nil {
		t.Fatal(err)
	}
	if len(list) != flights {
		t.Fatalf("%d flights", len(list))
	}
	return list
}

// TestEveryByteChanged: three changes, an insertion and a deletion at every byte of every message.
func TestEveryByteChanged(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	positions := 0
	for n, flight := range goldenFlights(t) {
		for i := range flight.data {
			positions++
			for _, x := range []byte{0x01, 0x80, 0xff} {
				mutate(t, n, fmt.Sprintf("byte %d ^ %#x", i, x), func(b []byte) []byte { b[i] ^= x; return b })
			}
			mutate(t, n, fmt.Sprintf("byte %d twice", i), func(b []byte) []byte { return slices.Insert(b, i, b[i]) })
			mutate(t, n, fmt.Sprintf("byte %d gone", i), func(b []byte) []byte { return slices.Delete(b, i, i+1) })
		}
	}
	if positions < 650 {
		t.Errorf("only %d positions", positions)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
}

// TestTruncated: a flight cut off at any byte never completes anything.
func TestTruncated(t *testing.T) {
	for n, flight := range goldenFlights(t) {
		for i := range flight.data {
			mutate(t, n, fmt.Sprintf("cut at %d", i), func(b []byte) []byte { return b[:i] })
		}
	}
}

// TestReordered: every order of a flight's messages but the right one, and every subset of them.
func TestReordered(t *testing.T) {
	tried := 0
	for n, flight := range goldenFlights(t) {
		count := len(messagesIn(flight.data))
		for _, order := range arrangements(count) {
			if slices.IsSorted(order) && len(order) == count {
				continue
			}
			tried++
			mutate(t, n, fmt.Sprint("order ", order), func(b []byte) []byte {
				messages := messagesIn(b)
				var out []byte
				for _, i := range order {
					out = append(out, messages[i]...)
				}
				return out
			})
		}
	}
	if want := 325 + 15 + 1 + 1; tried != want { // of five, three, one and one messages, less the right one, plus none
		t.Errorf("tried %d orders, want %d", tried, want)
	}
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
func TestReplayed(t *testing.T) {
	old := goldenFlights(t)
	same := 0
	for n := range flights {
		for i, m := range messagesIn(old[n].data) {
			isSame := false
			mutateUnless(t, n, fmt.Sprintf("message %d replayed", i), &isSame, func(b []byte) []byte {
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
	if same != 4 { // EncryptedExtensions, CertificateRequest, two Certificates
		t.Errorf("%d messages are the same in every handshake", same)
	}
}
