package bridge

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/mapping/layout"
)

// TestWhoWaitsIsTold: a peer that asked for content before it was here gets it when it comes, be it by its root or by a
// block in the middle, without asking again.
func TestWhoWaitsIsTold(t *testing.T) {
	a, c := online(t), online(t)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, random(41, 3<<20+7), 0o644); err != nil {
		t.Fatal(err)
	}
	known := open(t, t.TempDir()) // tells the CIDs
	content := add(t, known, AddRequest{Path: name})
	link, err := known.mapping.Link(t.Context(), mustCID(t, content.CID))
	if err != nil {
		t.Fatal(err)
	}
	var last layout.Record
	if err := recording.Replay(known.store, link, func(r layout.Record) error {
		if r.Kind == layout.Leaf {
			last = r
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}

	id, err := a.Identity()
	if err != nil {
		t.Fatal(err)
	}
	ctx := timeout(t)
	s, err := c.online().session(ctx, c, id.Libp2pAddrs[:1])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	type answer struct {
		data []byte
		err  error
	}
	block := make(chan answer, 1)
	whole := make(chan answer, 1)
	go func() {
		data, err := s.Block(ctx, last.CID)
		block <- answer{data, err}
	}()
	go func() {
		_, err := c.Import(ctx, ImportRequest{Path: content.CID, From: id.Libp2pAddrs[:1]}, Silent{})
		whole <- answer{nil, err}
	}()
	waitFor(t, func() bool { return a.online().exchange.Wants() == 2 })
	begun := time.Now()
	add(t, a, AddRequest{Path: name})
	if got := <-block; got.err != nil || !bytes.HasSuffix(random(41, 3<<20+7), got.data) || len(got.data) != int(last.Block.Length) {
		t.Errorf("the block: %d bytes, %v", len(got.data), got.err)
	}
	if got := <-whole; got.err != nil {
		t.Errorf("the file: %v", got.err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v: as if nobody had been told", took)
	}
}
