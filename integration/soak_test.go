package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// state is what a process holds.
type state struct {
	rss   int64 // bytes
	files int   // open files and sockets
}

func hold(t *testing.T, pid int) state {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	rss, err := peer.RSS(pid)
	if err != nil {
		t.Fatal(err)
	}
	return state{rss: rss, files: len(fds)}
}

// TestSoak crosses content in every direction over and over, removes it again, and watches what the daemon holds. The
// short run of every test looks for gross leaks; make soak runs it for an hour.
func TestSoak(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	length := 25 * time.Second
	if text := os.Getenv("BRIDGE_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	rust := peertest.Rust(t)
	source, kubo := peertest.Kubo(t, peer.KuboConfig{}), peertest.Kubo(t, peer.KuboConfig{})
	d := start(t)
	connect(t, kubo, d, "tcp")
	dir := t.TempDir()
	round := func(i int) {
		path := func(op string) string { return filepath.Join(dir, op) }
		for n, op := range []string{"add", "expose", "import"} {
			randomFile(t, path(op), int64(3_000_000+i%7*100_000), uint64(i*3+n))
		}
		node, err := rust.Serve(peertest.Context(t), "mem", path("expose"))
		if err != nil {
			t.Fatal(err)
		}
		defer node.Stop()
		contents := map[string]peer.Content{
			"add":    do(t, d, "add", path("add")),
			"expose": do(t, d, "expose", node.Items[0].Ticket),
			"import": do(t, d, "import", add(t, source, path("import")), "--from", source.Addrs[0]),
		}
		for op, c := range contents {
			for name, out := range map[string]string{"kubo": get(t, kubo, c.CID), "rust": fetch(t, rust, c.Ticket)} {
				sameFile(t, out, path(op))
				if t.Failed() {
					t.Fatalf("round %d, %s by %s", i, op, name)
				}
				if err := os.Remove(out); err != nil {
					t.Fatal(err)
				}
			}
			if r := d.Run(peertest.Context(t), "rm", c.CID); r.Status != 0 {
				t.Fatalf("rm: status %d\n%s", r.Status, r.Stderr)
			}
		}
	}
	begin := time.Now()
	rounds := 0
	for ; time.Since(begin) < length/4 || rounds < 2; rounds++ {
		round(rounds)
	}
	warm, warmTime := hold(t, d.Pid()), time.Now()
	for ; time.Since(begin) < length; rounds++ {
		round(rounds)
	}
	end := hold(t, d.Pid())
	minutes := time.Since(warmTime).Minutes()
	t.Logf("%d rounds; %d MiB and %d files after warming up, %d MiB and %d files %.1f minutes later",
		rounds, warm.rss>>20, warm.files, end.rss>>20, end.files, minutes)
	// 1 MiB in ten minutes, and what one garbage collection more or less makes.
	if grown := end.rss - warm.rss; grown > int64(minutes/10*(1<<20))+48<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	if end.files > warm.files+10 {
		t.Errorf("open files grew from %d to %d", warm.files, end.files)
	}
	if strings.Contains(d.Log(), "panic") {
		t.Errorf("the log has a panic:\n%s", d.Log())
	}
}
