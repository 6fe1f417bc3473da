package native

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func TestPushFormat(t *testing.T) {
	for name, tc := range map[string]struct {
		ranges blobs.ChunkRangesSeq
		want   ticket.Format
	}{
		"nothing":         {nil, ticket.Raw},
		"a blob":          {blobs.WholeBlob(), ticket.Raw},
		"part of a blob":  {blobs.OneBlob(bao.Span(3, 4)), ticket.Raw},
		"a sequence":      {blobs.WholeSequence(), ticket.HashSeq},
		"children alone":  {blobs.ChunkRangesSeq{{Index: 4, Ranges: bao.All()}, {Index: 5}}, ticket.HashSeq},
		"the first child": {blobs.ChunkRangesSeq{{Index: 1, Ranges: bao.All()}, {Index: 2}}, ticket.HashSeq},
		"root and child":  {blobs.ChunkRangesSeq{{Index: 0, Ranges: bao.All()}, {Index: 2}}, ticket.HashSeq},
	} {
		if got := pushFormat(blobs.PushRequest{Get: blobs.GetRequest{Ranges: tc.ranges}}); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// TestConfigurationReachesTheProvider, each field to its place.
func TestConfigurationReachesTheProvider(t *testing.T) {
	got := providerLimits(config.Provider{
		Memory: 1, MinRate: 2, All: config.Limit{Connections: 3, Requests: 4, Observers: 5, RequestRate: 6, ByteRate: 7}, Peer: config.Limit{Connections: -1},
	})
	want := provider.Limits{
		Memory: 1, MinRate: 2, All: provider.Limit{Connections: 3, Requests: 4, Observers: 5, RequestRate: 6, ByteRate: 7}, Peer: provider.Limit{Connections: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	id := key.SecretKeyFromSeed([32]byte{1}).ID()
	if p := pushConfig(config.Push{Peers: []string{id.String()}, Quota: 9}); p.Quota != 9 || len(p.Peers) != 1 || p.Peers[0] != id {
		t.Errorf("%+v", p)
	}
}

// TestACutPushIsNotedIfItBrought something: a claim on what was here before leaves no trace.
func TestACutPushIsNotedIfItBrought(t *testing.T) {
	st, err := store.Open(t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	hash, err := st.Put(t.Context(), []byte("here before"))
	if err != nil {
		t.Fatal(err)
	}
	side := &Side{Stock: &Stock{Store: st, Keeper: keeping.New(st)}, log: slog.New(slog.DiscardHandler), life: t.Context()}
	event := provider.Event{Kind: provider.Aborted, Peer: key.SecretKeyFromSeed([32]byte{1}).ID(), Hash: hash, Request: blobs.PushRequest{}}
	for _, c := range []struct {
		brought bool
		kind    provider.Kind
		want    int
	}{{false, provider.Aborted, 0}, {true, provider.Aborted, 1}, {false, provider.Completed, 1}} {
		if c.brought {
			if err := st.SetTag(provider.PushTag+hash.String(), hash, ticket.Raw); err != nil {
				t.Fatal(err)
			}
		}
		event.Kind = c.kind
		listener{side}.Event(event)
		dropped, err := side.Keeper.Find(hash)
		if err == nil {
			err = side.Keeper.Drop(dropped, func([]bao.Hash) error { return nil })
		}
		if err != nil || len(dropped) != c.want || c.want == 1 && dropped[0].By != event.Peer {
			t.Errorf("%+v: %+v, %v", c, dropped, err)
		}
	}
}
