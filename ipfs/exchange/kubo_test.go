package exchange

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// kubo is a real Kubo with a daemon, on 127.0.0.1 only. BRIDGE_TEST_KUBO is the
// path of the binary.
type kubo struct {
	t        *testing.T
	bin, dir string
	id       string
}

func startKubo(t *testing.T, transport string) *kubo {
	t.Helper()
	bin := os.Getenv("BRIDGE_TEST_KUBO")
	if bin == "" {
		const why = "BRIDGE_TEST_KUBO does not name an ipfs binary (Kubo 0.43): the test with the real one is left out"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	k := &kubo{t: t, bin: bin, dir: t.TempDir()}
	listen := map[string]string{"/tcp/": `["/ip4/127.0.0.1/tcp/0"]`, "/quic-v1": `["/ip4/127.0.0.1/udp/0/quic-v1"]`}[transport]
	for _, args := range [][]string{
		{"init", "--profile=test"},
		{"bootstrap", "rm", "--all"},
		{"config", "Routing.Type", "none"},
		{"config", "--json", "Addresses.Swarm", listen},
		{"config", "--json", "Swarm.RelayClient.Enabled", "false"},
		{"config", "--json", "HTTPRetrieval.Enabled", "false"},
	} {
		k.run(nil, args...)
	}
	k.daemon()
	var id struct{ ID string }
	if err := json.Unmarshal(k.run(nil, "id"), &id); err != nil {
		t.Fatal(err)
	}
	k.id = id.ID
	return k
}

func (k *kubo) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, k.bin, args...)
	c.Env = append(os.Environ(), "IPFS_PATH="+filepath.Join(k.dir, "repo"), "IPFS_TELEMETRY=off", "GOLOG_LOG_LEVEL=error")
	return c
}

// daemon starts the daemon, and waits until it is ready; it ends with the test.
func (k *kubo) daemon() {
	k.t.Helper()
	c := k.command(context.Background(), "daemon")
	out, err := c.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		k.t.Fatal(err)
	}
	ready := make(chan bool, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Daemon is ready") {
				ready <- true
			}
		}
		ready <- false
	}()
	k.t.Cleanup(func() {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			k.t.Error(err)
		}
		stuck := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
		<-ended
		c.Wait()
		stuck.Stop()
	})
	select {
	case ok := <-ready:
		if !ok {
			k.t.Fatal("the daemon ended")
		}
	case <-time.After(3 * time.Minute):
		k.t.Fatal("the daemon does not come up")
	}
}

// run runs a command and returns what it wrote to stdout.
func (k *kubo) run(stdin []byte, args ...string) []byte {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c := k.command(ctx, args...)
	c.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		k.t.Fatalf("ipfs %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// add adds a file and returns its root and the CIDs of all its blocks.
func (k *kubo) add(data []byte, args ...string) (root cid.Cid, all []cid.Cid) {
	k.t.Helper()
	out := k.run(data, append([]string{"add", "-Q", "--pin=false"}, args...)...)
	root = parse(k.t, string(out))
	all = []cid.Cid{root}
	for line := range strings.Lines(string(k.run(nil, "refs", "-r", "-u", root.String()))) {
		all = append(all, parse(k.t, line))
	}
	return root, all
}

func parse(t testing.TB, s string) cid.Cid {
	t.Helper()
	c, err := cid.Decode(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKubo: a session fetches every block of files of a real Kubo, and a second
// Kubo, with the first one's help gone, reads the files from us.
func TestKubo(t *testing.T) {
	for _, transport := range []string{"/tcp/", "/quic-v1"} {
		t.Run(transport, func(t *testing.T) {
			source, reader := startKubo(t, transport), startKubo(t, transport)
			fetcher, server := start(t, Config{}), start(t, Config{})
			source.run(nil, "swarm", "connect", addr(t, fetcher.h, transport))
			s := session(t, fetcher.Exchange)
			files := map[cid.Cid][]byte{}
			for _, f := range []struct {
				size int
				args []string
			}{
				{0, []string{"--cid-version=1"}},
				{1, []string{"--cid-version=1"}},
				{1 << 20, []string{"--cid-version=1", "--chunker=size-1048576"}},
				{5<<20 + 1, []string{"--cid-version=0"}},
				{3 << 20, []string{"--cid-version=1", "--hash=blake3", "--chunker=size-10000"}},
				{1 << 20, []string{"--cid-version=1", "--hash=sha2-512", "--trickle"}},
				{100, []string{"--cid-version=1", "--inline", "--inline-limit=100"}},
			} {
				data := random(uint64(f.size), f.size)
				root, all := source.add(data, f.args...)
				files[root] = data
				s.Prefetch(all)
				for _, c := range all {
					block, err := s.Block(timeout(t, time.Minute), c)
					if err != nil {
						t.Fatal(err)
					}
					if err := checkBlock(c, block); err != nil {
						t.Fatal(err)
					}
					server.blocks.put(c, block)
				}
			}
			reader.run(nil, "swarm", "connect", addr(t, server.h, transport))
			for root, data := range files {
				if got := reader.run(nil, "cat", root.String()); !bytes.Equal(got, data) {
					t.Errorf("%s: ipfs cat has %d bytes, want %d", root, len(got), len(data))
				}
			}
			data := []byte("\xa1aa\x01") // dag-cbor {"a": 1}
			c := server.blocks.put(sum(t, 1, cid.DagCBOR, mh.SHA2_256, data), data)
			if got := strings.TrimSpace(string(reader.run(nil, "dag", "get", c.String()))); got != `{"a":1}` {
				t.Errorf("ipfs dag get: %s", got)
			}
			for _, n := range sizes[1:] {
				data := random(99, n)
				c := server.blocks.add(t, data)
				if got := reader.run(nil, "block", "get", c.String()); !bytes.Equal(got, data) {
					t.Errorf("ipfs block get of %d bytes has %d", n, len(got))
				}
			}
		})
	}
}

// TestKuboWaits: a Kubo that asks for what is not here yet gets it when it is.
func TestKuboWaits(t *testing.T) {
	k := startKubo(t, "/tcp/")
	a := start(t, Config{})
	k.run(nil, "swarm", "connect", addr(t, a.h, "/tcp/"))
	data := []byte("soon")
	c := sum(t, 1, cid.Raw, mh.SHA2_256, data)
	got := make(chan []byte)
	go func() {
		out, err := k.command(timeout(t, 2*time.Minute), "block", "get", c.String()).Output()
		if err != nil {
			t.Error(err)
		}
		got <- out
	}()
	eventually(t, time.Minute, "Kubo asks", func() bool { return a.blocks.asks.Load() > 0 })
	a.blocks.put(c, data)
	if err := a.Notify(context.Background(), c); err != nil {
		t.Error(err)
	}
	if out := <-got; !bytes.Equal(out, data) {
		t.Errorf("got %q", out)
	}
}
