package keeping

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// BenchmarkHave looks how much there is of a collection of 100,000 files.
func BenchmarkHave(b *testing.B) {
	s, err := store.Open(b.TempDir(), store.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var c blobs.Collection
	var all []store.Whole
	for i := range 100_000 {
		data := binary.LittleEndian.AppendUint64(make([]byte, 8), uint64(i))
		h := bao.Sum(data)
		all = append(all, store.Whole{Hash: h, Data: data})
		c.Names, c.Hashes = append(c.Names, h.String()), append(c.Hashes, h)
	}
	for len(all) > 0 {
		n := min(512, len(all))
		if err := s.PutAll(context.Background(), all[:n]); err != nil {
			b.Fatal(err)
		}
		all = all[n:]
	}
	meta, err := s.Put(context.Background(), c.Meta())
	if err != nil {
		b.Fatal(err)
	}
	root, err := s.Put(context.Background(), c.HashSeq(meta))
	if err != nil {
		b.Fatal(err)
	}
	k := New(s)
	for b.Loop() {
		if have, err := k.Have(Item{Hash: root, Format: ticket.HashSeq}); err != nil || !have.Complete {
			b.Fatal(have, err)
		}
	}
}
