package api

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/bridge/native"
)

// online opens a bridge on this machine, its API, and a client of it.
func online(t *testing.T, push ...string) *Client {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Local, cfg.Iroh.Listen, cfg.Libp2p.Listen = true, "127.0.0.1:0", []string{"/ip4/127.0.0.1/tcp/0"}
	cfg.Push = config.Push{Peers: push, Quota: 1 << 20}
	log := slog.New(slog.DiscardHandler)
	b, err := bridge.Open(dir, cfg, log)
	if err == nil {
		err = b.Online(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Listen(Config{Service: Local(b), DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.http.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(s.Close(ctx), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestIrohThroughTheAPI: each operation between two daemons answers as the bridge itself does, errors too.
func TestIrohThroughTheAPI(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	a := online(t)
	id, err := a.Identity()
	if err != nil {
		t.Fatal(err)
	}
	b := online(t, id.EndpointID)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(strings.Repeat("content", 10000)), 0o644); err != nil {
		t.Fatal(err)
	}
	added, err := a.Add(ctx, bridge.AddRequest{Path: file}, bridge.Silent{})
	if err != nil {
		t.Fatal(err)
	}
	var p counter
	got, err := b.Fetch(ctx, native.FetchRequest{Content: added.Ticket}, &p)
	if err != nil || got.Hash != added.Hash || got.Received != 70000 || got.Kept.State != "complete" || p.bytes != 70000 || p.items == 0 {
		t.Fatalf("%+v, %+v, %v", got, p, err)
	}
	if _, err := b.Remove(ctx, added.Hash); err != nil {
		t.Fatal(err)
	}
	mine, err := b.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Push(ctx, native.PushRequest{Target: mine.EndpointID, Content: added.Hash}, bridge.Silent{}); err == nil {
		t.Error("pushed to an id that nothing resolves")
	}
	other, err := b.Add(ctx, bridge.AddRequest{Path: writeFile(t, "other")}, bridge.Silent{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := a.Push(ctx, native.PushRequest{Target: other.Ticket, Content: added.CID}, bridge.Silent{})
	if err != nil || done.EndpointID != mine.EndpointID || done.Hash != added.Hash {
		t.Fatalf("%+v, %v", done, err)
	}
	var seen []native.Observed
	err = a.Observe(ctx, native.ObserveRequest{Content: added.Hash, From: other.Ticket}, func(o native.Observed) error { seen = append(seen, o); return nil })
	if err != nil || len(seen) == 0 || !seen[len(seen)-1].Complete {
		t.Errorf("%+v, %v", seen, err)
	}
	short, err := b.Ticket(ctx, native.TicketRequest{Content: added.Hash, Parts: "short"})
	if err != nil || len(short.Addrs) != 0 || short.Format != "raw" {
		t.Errorf("%+v, %v", short, err)
	}
	if peers, err := b.Peers(ctx); err != nil || peers.Peers == nil {
		t.Errorf("%+v, %v", peers, err)
	}
	if d, err := b.Doctor(ctx); err != nil || d.EndpointID != mine.EndpointID || d.Problems != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	unknown := strings.Repeat("1", 64)
	if _, err := b.Fetch(ctx, native.FetchRequest{Content: unknown, From: []string{added.Ticket}}, bridge.Silent{}); !errors.Is(err, bridge.ErrNotFound) {
		t.Error(err)
	}
	if _, err := b.Ticket(ctx, native.TicketRequest{Content: unknown}); !errors.Is(err, bridge.ErrNotFound) {
		t.Error(err)
	}
	if err := b.Observe(ctx, native.ObserveRequest{Content: unknown}, nil); !errors.Is(err, bridge.ErrInvalid) {
		t.Error(err)
	}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
