package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// Names that no test content has.
const (
	unknownCID  = "bafkreif3pjo53y4kysicgnwwtbxpztobdvrisstq3v35nbq2dxuhmujsvi"
	unknownHash = "1111111111111111111111111111111111111111111111111111111111111111"
)

// TestExitStatuses runs commands that fail in every way that has a status of its own, without a daemon.
func TestExitStatuses(t *testing.T) {
	ctx := peertest.Context(t)
	data := filepath.Join(t.TempDir(), "data")
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), 100, 1)
	for name, test := range map[string]struct {
		args []string
		want int
	}{
		"version":            {[]string{"version"}, 0},
		"help":               {[]string{"--help"}, 0},
		"add":                {[]string{"add", file}, 0},
		"list":               {[]string{"ls"}, 0},
		"verify":             {[]string{"verify"}, 0},
		"add nothing there":  {[]string{"add", file + ".missing"}, 2},
		"unknown command":    {[]string{"frobnicate"}, 2},
		"unknown flag":       {[]string{"add", "--frobnicate", file}, 2},
		"no argument":        {[]string{"add"}, 2},
		"too many arguments": {[]string{"add", file, file}, 2},
		"unknown profile":    {[]string{"add", "--profile", "unixfs-v9", file}, 2},
		"no ticket":          {[]string{"expose", "blobaaaa"}, 2},
		"no CID":             {[]string{"import", "nonsense"}, 2},
		"no multiaddr":       {[]string{"import", unknownCID, "--from", "nonsense"}, 2},
		"map no name":        {[]string{"map", "nonsense"}, 2},
		"map unknown CID":    {[]string{"map", unknownCID}, 3},
		"map unknown hash":   {[]string{"map", unknownHash}, 3},
		"get unknown":        {[]string{"get", unknownCID}, 3},
		"remove unknown":     {[]string{"rm", unknownHash}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			for _, args := range [][]string{test.args, append(slices.Clone(test.args), "--json")} {
				r := program.Run(ctx, data, args...)
				if r.Status != test.want {
					t.Errorf("bridge %s: status %d, want %d\n%s", strings.Join(args, " "), r.Status, test.want, r.Stderr)
				}
				if test.want != 0 && (len(r.Stdout) > 0 || !strings.HasPrefix(r.Stderr, "bridge: ")) {
					t.Errorf("bridge %s: an error belongs to stderr alone: stdout %q, stderr %q", strings.Join(args, " "), r.Stdout, r.Stderr)
				}
			}
		})
	}
}

// TestNotFoundOnTheNetwork imports and exposes what no peer has.
func TestNotFoundOnTheNetwork(t *testing.T) {
	rust := peertest.Rust(t)
	ctx := peertest.Context(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), 40_000, 1)
	node := peertest.Serve(t, rust, file)
	gone := peertest.Serve(t, rust, randomFile(t, filepath.Join(t.TempDir(), "other"), 50_000, 2))
	if err := gone.Stop(); err != nil {
		t.Fatal(err)
	}
	d := start(t)
	if r := d.Run(ctx, "import", unknownCID, "--from", kubo.Addrs[0]); r.Status != 3 {
		t.Errorf("import of a CID that no peer has: status %d, want 3\n%s", r.Status, r.Stderr)
	}
	// A ticket of the serving node for a hash that it does not have, made from the dead node's ticket.
	if r := d.Run(ctx, "expose", retarget(t, gone.Items[0].Ticket, node.Items[0].Ticket)); r.Status != 3 {
		t.Errorf("expose of a hash that the provider lacks: status %d, want 3\n%s", r.Status, r.Stderr)
	}
	if r := d.Run(ctx, "expose", gone.Items[0].Ticket); r.Status != 1 {
		t.Errorf("expose from a provider that is gone: status %d, want 1\n%s", r.Status, r.Stderr)
	}
	if list := d.Run(ctx, "ls", "--json"); len(list.Stdout) != 0 {
		t.Errorf("something was left behind: %s", list.Stdout)
	}
}

// TestJSONForms holds the keys of every object that --json prints.
func TestJSONForms(t *testing.T) {
	rust := peertest.Rust(t)
	ctx := peertest.Context(t)
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	dir := t.TempDir()
	file := randomFile(t, filepath.Join(dir, "file"), 70_000, 1)
	other := randomFile(t, filepath.Join(dir, "other"), 80_000, 2)
	node := peertest.Serve(t, rust, other)
	root := add(t, kubo, randomFile(t, filepath.Join(dir, "third"), 90_000, 3))
	d := start(t)
	if d.Event != "ready" || len(d.EndpointID) != 64 || len(d.IrohAddrs) != 1 || len(d.LibP2PAddrs) != 2 || d.PeerID == "" || d.API == "" {
		t.Errorf("ready line: %+v", d.Ready)
	}
	for _, addr := range d.LibP2PAddrs {
		if !strings.HasPrefix(addr, "/ip4/127.0.0.1/") || !strings.HasSuffix(addr, "/p2p/"+d.PeerID) {
			t.Errorf("%s is not a full multiaddr on this machine", addr)
		}
	}
	content := []string{"blocks", "cid", "format", "hash", "size", "ticket"}
	added := keys(t, d.Run(ctx, "add", file, "--json"), content)
	keys(t, d.Run(ctx, "expose", node.Items[0].Ticket, "--json"), content)
	keys(t, d.Run(ctx, "import", root, "--from", kubo.Addrs[0], "--json"), content)
	mapped := keys(t, d.Run(ctx, "map", added["hash"].(string), "--json"), []string{"cid", "cids", "format", "hash", "size"})
	if !slices.Contains(mapped["cids"].([]any), added["cid"]) {
		t.Errorf("map knows %v, add said %v", mapped["cids"], added["cid"])
	}
	got := keys(t, d.Run(ctx, "get", added["cid"].(string), "-o", filepath.Join(dir, "got"), "--json"), []string{"cid", "format", "hash", "path"})
	if got["cid"] != added["cid"] || got["path"] != filepath.Join(dir, "got") {
		t.Errorf("get says %v, add said %v", got, added)
	}
	keys(t, d.Run(ctx, "version", "--json"), []string{"version"})
	keys(t, d.Run(ctx, "id", "--json"), []string{"endpointId", "irohAddrs", "libp2pAddrs", "peerId"})
	list := d.Run(ctx, "ls", "--json")
	if lines := bytes.Count(list.Stdout, []byte("\n")); list.Status != 0 || lines != 3 {
		t.Errorf("ls: status %d, %d lines, want three\n%s", list.Status, lines, list.Stdout)
	}
	verify := d.Run(ctx, "verify", "--json")
	if lines := bytes.Count(verify.Stdout, []byte("\n")); verify.Status != 0 || lines != 3 {
		t.Errorf("verify: status %d, %d lines, want three\n%s", verify.Status, lines, verify.Stdout)
	}
	for _, out := range [][]byte{list.Stdout, verify.Stdout} {
		for line := range bytes.Lines(out) {
			var object map[string]any
			if err := json.Unmarshal(line, &object); err != nil {
				t.Errorf("not an object: %q", line)
			}
		}
	}
	// The same content again gives the same answer.
	again := keys(t, d.Run(ctx, "add", file, "--json"), content)
	if !maps.EqualFunc(added, again, func(a, b any) bool { return a == b }) {
		t.Errorf("added again as %v, first as %v", again, added)
	}
}

// keys decodes the one object that a command printed and compares its keys; "notes" may come on top.
func keys(t *testing.T, r peer.Result, want []string) map[string]any {
	t.Helper()
	if r.Status != 0 {
		t.Fatalf("status %d\n%s", r.Status, r.Stderr)
	}
	if bytes.Count(r.Stdout, []byte("\n")) != 1 {
		t.Errorf("not one line: %q", r.Stdout)
	}
	var object map[string]any
	if err := json.Unmarshal(r.Stdout, &object); err != nil {
		t.Fatalf("%v in %q", err, r.Stdout)
	}
	delete(object, "notes")
	if have := slices.Sorted(maps.Keys(object)); !slices.Equal(have, want) {
		t.Errorf("keys %q, want %q: %s", have, want, r.Stdout)
	}
	return object
}

// TestWithoutADaemon adds, maps, lists, gets, verifies and removes in-process, and says that a daemon is needed to be
// reachable.
func TestWithoutADaemon(t *testing.T) {
	ctx := peertest.Context(t)
	data := filepath.Join(t.TempDir(), "data")
	tree := filepath.Join(t.TempDir(), "tree")
	randomFile(t, filepath.Join(tree, "a"), 2_000_000, 1)
	randomFile(t, filepath.Join(tree, "b", "c"), 10, 2)
	plain := program.Run(ctx, data, "add", tree)
	if plain.Status != 0 || !strings.Contains(plain.Stderr, "daemon") {
		t.Errorf("add: status %d, stderr %q; want a word about the daemon", plain.Status, plain.Stderr)
	}
	var c peer.Content
	if err := program.JSON(ctx, data, &c, "add", tree); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(plain.Stdout), c.CID) || !strings.Contains(string(plain.Stdout), c.Hash) {
		t.Errorf("the text %q has neither CID nor hash of %+v", plain.Stdout, c)
	}
	for _, name := range []string{c.CID, c.Hash, c.Ticket} {
		out := filepath.Join(t.TempDir(), "out")
		if r := program.Run(ctx, data, "get", name, "-o", out); r.Status != 0 {
			t.Errorf("get %s: status %d\n%s", name, r.Status, r.Stderr)
			continue
		}
		sameTree(t, out, tree)
	}
	if r := program.Run(ctx, data, "rm", c.CID); r.Status != 0 {
		t.Errorf("rm: status %d\n%s", r.Status, r.Stderr)
	}
	if r := program.Run(ctx, data, "map", c.CID); r.Status != 3 {
		t.Errorf("map after rm: status %d, want 3", r.Status)
	}
	if r := program.Run(ctx, data, "ls", "--json"); r.Status != 0 || len(r.Stdout) != 0 {
		t.Errorf("ls after rm: status %d, %q", r.Status, r.Stdout)
	}
}

// TestRemoveFreesTheDisk removes one of two contents that share a file: the other one stays whole, and the bytes that
// nothing needs any more are gone.
func TestRemoveFreesTheDisk(t *testing.T) {
	ctx := peertest.Context(t)
	data := filepath.Join(t.TempDir(), "data")
	tree := filepath.Join(t.TempDir(), "tree")
	randomFile(t, filepath.Join(tree, "one", "shared"), 3<<20, 1)
	randomFile(t, filepath.Join(tree, "two", "shared"), 3<<20, 1)
	randomFile(t, filepath.Join(tree, "one", "own"), 20<<20, 2)
	var one, two peer.Content
	for name, c := range map[string]*peer.Content{"one": &one, "two": &two} {
		if err := program.JSON(ctx, data, c, "add", filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	if r := program.Run(ctx, data, "rm", one.Hash); r.Status != 0 {
		t.Fatalf("rm: status %d\n%s", r.Status, r.Stderr)
	}
	out := filepath.Join(t.TempDir(), "out")
	if r := program.Run(ctx, data, "get", two.CID, "-o", out); r.Status != 0 {
		t.Fatalf("get: status %d\n%s", r.Status, r.Stderr)
	}
	sameTree(t, out, filepath.Join(tree, "two"))
	if r := program.Run(ctx, data, "verify"); r.Status != 0 {
		t.Errorf("verify: status %d\n%s", r.Status, r.Stderr)
	}
	if used := diskUse(t, data); used > 10<<20 {
		t.Errorf("%d bytes are used for 3 MiB of content", used)
	}
}

func diskUse(t testing.TB, dir string) int64 {
	t.Helper()
	used, err := peer.DiskUse(dir)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// TestGetWritesOnlyWhereItShould covers -o: stdout, a folder to stdout, a target that is there already.
func TestGetWritesOnlyWhereItShould(t *testing.T) {
	ctx := peertest.Context(t)
	data := filepath.Join(t.TempDir(), "data")
	tree := filepath.Join(t.TempDir(), "tree")
	file := randomFile(t, filepath.Join(tree, "file"), 300_000, 1)
	var f, folder peer.Content
	if err := program.JSON(ctx, data, &f, "add", file); err != nil {
		t.Fatal(err)
	}
	if err := program.JSON(ctx, data, &folder, "add", tree); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if r := program.Run(ctx, data, "get", f.Hash, "-o", "-"); r.Status != 0 || !bytes.Equal(r.Stdout, want) {
		t.Errorf("get -o -: status %d, %d bytes\n%s", r.Status, len(r.Stdout), r.Stderr)
	}
	if r := program.Run(ctx, data, "get", folder.CID, "-o", "-"); r.Status != 2 || len(r.Stdout) > 0 {
		t.Errorf("a folder to stdout: status %d, want 2, and %d bytes", r.Status, len(r.Stdout))
	}
	if r := program.Run(ctx, data, "--json", "get", f.Hash, "-o", "-"); r.Status != 2 || len(r.Stdout) > 0 {
		t.Errorf("a file to stdout with --json: status %d, want 2, and %d bytes", r.Status, len(r.Stdout))
	}
	target := filepath.Join(t.TempDir(), "target")
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	keep := filepath.Join(target, "file")
	if err := os.WriteFile(keep, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := program.Run(ctx, data, "get", folder.CID, "-o", target); r.Status != 2 || !strings.Contains(r.Stderr, "there already") {
		t.Errorf("get to a folder that is there: status %d, want 2\n%s", r.Status, r.Stderr)
	}
	if data, err := os.ReadFile(keep); err != nil || string(data) != "precious" {
		t.Errorf("a file that was there before now holds %d bytes, %v", len(data), err)
	}
}

// TestInterrupted interrupts an import that waits for a peer: status 130, soon, and nothing is left behind.
func TestInterrupted(t *testing.T) {
	ctx := peertest.Context(t)
	d := start(t)
	for _, data := range []string{d.Data, filepath.Join(t.TempDir(), "alone")} {
		p, err := peer.Start(ctx, peer.Command{
			Path: program.Bin, Args: []string{"import", unknownCID, "--local", "--data", data},
			Env: []string{"BRIDGE_IROH_LISTEN=127.0.0.1:0", "BRIDGE_LIBP2P_LISTEN=/ip4/127.0.0.1/tcp/0"},
		})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.Done():
			t.Errorf("it ended by itself:\n%s", p.Log())
			continue
		case <-time.After(2 * time.Second):
		}
		began := time.Now()
		if err := p.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		err = p.Wait(wait)
		cancel()
		if code := exitCode(err); code != 130 || time.Since(began) > 20*time.Second {
			p.Kill()
			t.Errorf("status %d after %s, want 130, soon\n%s", code, time.Since(began), p.Log())
		}
	}
	if list := d.Run(ctx, "ls", "--json"); len(list.Stdout) != 0 {
		t.Errorf("something was left behind: %s", list.Stdout)
	}
}

// TestDamageIsFound flips bits in stored bytes: verify names the content with status 5 while there is another that is
// good, and with 4 when there is none, and get gives no wrong byte.
func TestDamageIsFound(t *testing.T) {
	ctx := peertest.Context(t)
	data := filepath.Join(t.TempDir(), "data")
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), 5_000_000, 1)
	whole := randomFile(t, filepath.Join(t.TempDir(), "whole"), 3_000_000, 2)
	var c, other peer.Content
	if err := program.JSON(ctx, data, &c, "add", file); err != nil {
		t.Fatal(err)
	}
	if err := program.JSON(ctx, data, &other, "add", whole); err != nil {
		t.Fatal(err)
	}
	flip(t, storedFile(t, data, 5_000_000), 2_345_678)
	r := program.Run(ctx, data, "verify", "--json")
	if r.Status != 5 {
		t.Errorf("verify: status %d, want 5\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
	if !bytes.Contains(r.Stdout, []byte(c.CID)) {
		t.Errorf("verify does not name %s: %s", c.CID, r.Stdout)
	}
	out := filepath.Join(t.TempDir(), "out")
	if r := program.Run(ctx, data, "get", c.CID, "-o", out); r.Status != 4 {
		t.Errorf("get of a damaged content: status %d, want 4\n%s", r.Status, r.Stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("get of a damaged content left a file")
	}
	if r := program.Run(ctx, data, "get", other.CID, "-o", out); r.Status != 0 {
		t.Errorf("get of an undamaged content: status %d\n%s", r.Status, r.Stderr)
	} else {
		sameFile(t, out, whole)
	}
	if r := program.Run(ctx, data, "rm", other.CID); r.Status != 0 {
		t.Fatalf("rm: status %d\n%s", r.Status, r.Stderr)
	}
	if r := program.Run(ctx, data, "verify"); r.Status != 4 {
		t.Errorf("verify, with nothing good: status %d, want 4\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
}

// storedFile finds the one file of a data folder that has the given size.
func storedFile(t *testing.T, data string, size int64) string {
	t.Helper()
	for _, name := range listFiles(t, data) {
		path := filepath.Join(data, name)
		if info, err := os.Stat(path); err == nil && info.Size() == size {
			return path
		}
	}
	t.Fatalf("no file of %d bytes in %s", size, data)
	return ""
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		if err = os.Chmod(path, 0o644); err == nil {
			f, err = os.OpenFile(path, os.O_RDWR, 0)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
}
