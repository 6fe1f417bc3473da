package relay

import (
	"slices"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// What comes together is handed on together, in order, and nothing of it waits for what comes later.
func TestGather(t *testing.T) {
	var handed []string
	g := gatherer{receive: func(r *Received) {
		var parts []string
		for len(r.Data) > 0 {
			parts = append(parts, string(r.Next()))
		}
		handed = append(handed, strings.Join(parts, " "))
	}}
	for _, c := range []struct {
		peer    byte
		segment int
		data    string
		kept    bool // not copied to what came before
	}{
		{1, 0, "aaa", true},
		{1, 0, "bbb", false},
		{1, 3, "cccdd", false}, // a batch with a shorter last one, behind which nothing goes
		{1, 0, "eee", true},
		{2, 0, "fff", true}, // of another peer
		{2, 0, "gggg", true},
		{2, 0, strings.Repeat("h", MaxDatagrams-3), true},
	} {
		r := NewReceived(Datagrams{Peer: key.EndpointID{c.peer}, Segment: c.segment, Data: []byte(c.data)})
		if g.add(r) != c.kept {
			t.Errorf("%.10s: kept is %v", c.data, !c.kept)
		}
	}
	g.flush()
	g.flush() // nothing twice
	want := []string{"aaa bbb ccc dd", "eee", "fff", "gggg", strings.Repeat("h", MaxDatagrams-3)}
	if !slices.Equal(handed, want) {
		t.Errorf("handed on: %.60q", handed)
	}
}
