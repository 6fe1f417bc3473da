package peertest_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// TestPeersAmongThemselves shows that each peer works before anything of ours is tested with it.
func TestPeersAmongThemselves(t *testing.T) {
	rust, sendme := peertest.Rust(t), peertest.Sendme(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	files := map[string]string{"a": "one", "deep/er/ü": strings.Repeat("x", 1<<20+1), "empty": ""}
	for name, data := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	same := func(got string) {
		t.Helper()
		for name, want := range files {
			data, err := os.ReadFile(filepath.Join(got, name))
			if err != nil || string(data) != want {
				t.Errorf("%s: %d bytes, %v; want %d bytes", name, len(data), err, len(want))
			}
		}
	}
	node, err := rust.Serve(ctx, "mem", folder)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Stop()
	if err := sendme.Receive(ctx, dir, node.Items[0].Ticket); err == nil {
		same(dir)
	} else {
		t.Error(err)
	}
	work := t.TempDir()
	sender, err := sendme.Send(ctx, work, folder)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Stop()
	out := filepath.Join(work, "out")
	if _, err := rust.Fetch(ctx, "mem", sender.Ticket, out); err != nil {
		t.Fatal(err)
	}
	same(filepath.Join(out, "folder"))
	if _, err := rust.Dial(ctx, node.Target(), "--alpn", "unknown"); err == nil {
		t.Error("an unknown ALPN was accepted")
	}
	responses, err := rust.Raw(ctx, node.Target(), []string{"ff", "00"})
	if err != nil || len(responses) != 2 || responses[0].End != "fin" || responses[0].Len != 0 {
		t.Errorf("malformed requests: %+v, %v", responses, err)
	}
}

func TestKuboAmongItself(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, transport := range []string{"tcp", "quic"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 200_000), 0o644); err != nil {
			t.Fatal(err)
		}
		var nodes [2]*peer.KuboNode
		for i := range nodes {
			k := peertest.Kubo(t, peer.KuboConfig{
				Repo:      filepath.Join(dir, "repo", string('a'+rune(i))),
				Transport: transport,
				Profiles:  []string{"unixfs-v1-2025"},
			})
			for _, addr := range k.Addrs {
				if !strings.HasPrefix(addr, "/ip4/127.0.0.1/") || strings.Contains(addr, "/tcp/") != (transport == "tcp") {
					t.Errorf("%s: listens on %s", transport, addr)
				}
			}
			nodes[i] = k
		}
		root, err := nodes[0].Line(ctx, "add", "-Q", file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(root, "bafy") {
			t.Errorf("profile unixfs-v1-2025 was not applied: %s", root)
		}
		if err := nodes[1].Connect(ctx, nodes[0].Addrs[0]); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out")
		if _, err := nodes[1].Run(ctx, "get", "-o", out, root); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(out)
		if err != nil || len(got) != 2_000_000 {
			t.Errorf("%s: got %d bytes, %v", transport, len(got), err)
		}
	}
}
