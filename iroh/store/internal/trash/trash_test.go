package trash

import (
	"slices"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

func TestBounds(t *testing.T) {
	var l List
	if l.Full() || len(l.Hashes()) != 0 {
		t.Fatal("not empty at first")
	}
	for range 3 { // again and again the same
		l.Add(bao.Hash{1}, maxBytes-1)
	}
	l.Add(bao.Hash{2}, 0)
	if l.Full() || len(l.Hashes()) != 2 {
		t.Fatal("full too soon", l.bytes)
	}
	l.Add(bao.Hash{2}, 1)
	if !l.Full() {
		t.Fatal("never full", l.bytes)
	}
	l.Drop([]bao.Hash{{1}, {3}})
	if l.Full() || l.bytes != 1 || !slices.Equal(l.Hashes(), []bao.Hash{{2}}) {
		t.Fatal(l.bytes, l.Hashes())
	}
	l.Add(bao.Hash{1}, 1<<60)
	if !l.Full() || l.bytes != maxBytes+1 {
		t.Fatal(l.bytes)
	}
	l.Drop(l.Hashes())
	for i := range byte(MaxHashes - 1) {
		l.Add(bao.Hash{i}, 0)
	}
	if l.Full() || l.bytes != 0 {
		t.Fatal("full too soon")
	}
	l.Add(bao.Hash{255}, 0)
	if !l.Full() {
		t.Fatal("more than may wait")
	}
}
