package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// TestLogSettingsReachTheLibraries: GOLOG_* says what libp2p and boxo log in the daemon, how and where, as in a Kubo.
func TestLogSettingsReachTheLibraries(t *testing.T) {
	kubo := peertest.Kubo(t, peer.KuboConfig{})
	root := add(t, kubo, randomFile(t, filepath.Join(t.TempDir(), "file"), 500_000, 1))
	logged := func(env ...string) (systems map[string]int) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "log")
		b := program
		b.Env = append([]string{"GOLOG_OUTPUT=file", "GOLOG_FILE=" + file, "GOLOG_LOG_FMT=json"}, env...)
		d, err := b.Daemon(peertest.Context(t), filepath.Join(t.TempDir(), "data"))
		if err != nil {
			t.Fatal(err)
		}
		peertest.Keep(t, d.Process)
		do(t, d, "import", root, "--from", kubo.Addrs[0])
		if err := d.Stop(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		systems = map[string]int{}
		for line := range strings.Lines(string(data)) {
			var entry struct{ Level, Logger string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("no JSON: %q", line)
			}
			systems[entry.Logger]++
		}
		return systems
	}
	const libp2p, boxo = "swarm2", "bitswap/client"
	debug := logged("GOLOG_LOG_LEVEL=debug")
	if debug[libp2p] == 0 || debug[boxo] == 0 {
		t.Errorf("with debug for all: %v", debug)
	}
	if quiet := logged("GOLOG_LOG_LEVEL=error"); quiet[libp2p]+quiet[boxo] > 0 {
		t.Errorf("with errors only: %v", quiet)
	}
	if one := logged("GOLOG_LOG_LEVEL=error,swarm2=debug"); one[libp2p] == 0 || one[boxo] > 0 {
		t.Errorf("with debug for one: %v", one)
	}
}
