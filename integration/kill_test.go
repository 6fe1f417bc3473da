package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// killRounds is how often a process is killed: BRIDGE_KILL_ROUNDS, or few enough for every run of the tests.
func killRounds(t *testing.T) int {
	text := os.Getenv("BRIDGE_KILL_ROUNDS")
	if text == "" {
		return 30
	}
	rounds, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return rounds
}

// killSeed decides what is killed when: BRIDGE_KILL_SEED, or the time.
func killSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("BRIDGE_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed: BRIDGE_KILL_SEED=%d", seed)
	return seed
}

// A killing is one round: an operation on content of its own, in a process that is killed.
type killing struct {
	op     string // add, expose or import
	alone  bool   // without a daemon: the command itself is killed
	path   string // what the content must be
	folder bool
	args   []string
	node   *peer.RustNode // that serves it, for expose
}

// killTest is what all rounds share.
type killTest struct {
	t     *testing.T
	rng   *rand.Rand
	rust  peer.RustPeer
	kubo  *peer.KuboNode
	data  string
	acked map[string]killing       // by CID
	takes map[string]time.Duration // see kill
	after []time.Duration          // from the sign of work to each kill
	quick []time.Duration          // how long the starts take
	begun int                      // killed while the process began, for which no sign of work is waited for
}

// TestKill kills the bridge (SIGKILL) at random points of add, expose and import, in the daemon and in commands
// without one. After each: the next start needs no repair and is quick, whatever was acknowledged is there, and
// whatever is there is whole.
func TestKill(t *testing.T) {
	k := &killTest{
		t: t, rng: rand.New(rand.NewPCG(killSeed(t), 9)), rust: peertest.Rust(t),
		kubo: peertest.Kubo(t, peer.KuboConfig{}), data: filepath.Join(t.TempDir(), "data"),
		acked: map[string]killing{}, takes: map[string]time.Duration{},
	}
	// A round may end before its moment comes, or be drawn to be killed while the process begins: further ones make up for it.
	rounds, atWork := 0, killRounds(t)*3/4
	for ; rounds < killRounds(t) || len(k.after) < atWork && rounds < 3*killRounds(t); rounds++ {
		r := k.plan(rounds)
		k.run(r)
		k.check(r, rounds%5 == 4)
		if t.Failed() {
			t.Fatalf("round %d: %+v", rounds, r)
		}
	}
	k.check(killing{}, true)
	slices.Sort(k.after)
	median := time.Duration(0)
	if len(k.after) > 0 {
		median = k.after[len(k.after)/2]
	}
	t.Logf("%d rounds: %d killed at work, half of them later than %s into it; %d killed before; %d contents acknowledged; work takes %v",
		rounds, len(k.after), median, k.begun, len(k.acked), k.takes)
	slices.Sort(k.quick)
	if most := k.quick[len(k.quick)*9/10]; most > 5*time.Second { // the others are the disk's
		t.Errorf("one start of ten takes %s and more", most)
	}
	if len(k.after) < atWork {
		t.Errorf("only %d rounds were killed at work, %d should have been: the test means little", len(k.after), atWork)
	}
}

// plan makes the content of a round and puts it where the operation will look for it.
func (k *killTest) plan(round int) killing {
	t := k.t
	r := killing{
		op: []string{"add", "expose", "import"}[k.rng.IntN(3)], alone: k.rng.IntN(2) == 0, folder: k.rng.IntN(2) == 0,
		path: filepath.Join(t.TempDir(), fmt.Sprintf("round-%d", round)),
	}
	seed := k.rng.Uint64()
	if r.folder {
		for i := range 60 {
			randomFile(t, filepath.Join(r.path, fmt.Sprint(i%7), fmt.Sprint(i)), k.rng.Int64N(100_000), seed+uint64(i))
		}
	} else {
		randomFile(t, r.path, 8<<20+k.rng.Int64N(16<<20), seed)
	}
	switch r.op {
	case "add":
		r.args = []string{"add", r.path}
	case "expose":
		node, err := k.rust.Serve(peertest.Context(t), "mem", r.path)
		if err != nil {
			t.Fatal(err)
		}
		r.node, r.args = node, []string{"expose", node.Items[0].Ticket}
	case "import":
		r.args = []string{"import", add(t, k.kubo, r.path), "--from", k.kubo.Addrs[0]}
	}
	return r
}

// kind is what decides how long a round's work takes.
func (r killing) kind() string { return fmt.Sprint(r.op, " alone:", r.alone, " folder:", r.folder) }

// guess is how long the work of a round takes, as far as is known.
func (k *killTest) guess(r killing) time.Duration {
	if known := k.takes[r.kind()]; known > 0 {
		return known
	}
	return 50 * time.Millisecond
}

// working tells whether the bridge has begun to write content: until then nothing is under tmp/, which each start empties.
func (k *killTest) working() bool {
	entries, err := os.ReadDir(filepath.Join(k.data, "blobs", "tmp"))
	return err == nil && len(entries) > 0
}

// kill kills the process that does a round's work, and learns from that how long such work takes. One round of 20 is killed while
// its process begins instead.
func (k *killTest) kill(ctx context.Context, r killing, victim fault.Victim) {
	if k.rng.IntN(20) == 0 {
		if _, killed := fault.KillWithin(ctx, k.rng, victim, nil, 100*time.Millisecond); killed {
			k.begun++
		}
		return
	}
	guess := k.guess(r)
	after, killed := fault.KillWithin(ctx, k.rng, victim, k.working, guess*5/4)
	switch {
	case killed:
		k.after = append(k.after, after)
		if after > guess/2 {
			k.takes[r.kind()] = guess * 5 / 4
		}
	case after > 0:
		k.takes[r.kind()] = after
	}
}

// run starts the operation, kills the process that does it, and notes what was acknowledged.
func (k *killTest) run(r killing) {
	t := k.t
	ctx, cancel := context.WithTimeout(peertest.Context(t), 5*time.Minute)
	defer cancel()
	command := peer.Command{
		Path: program.Bin, Args: append(r.args, "--json", "--local", "--data", k.data),
		Env:   []string{"BRIDGE_IROH_LISTEN=127.0.0.1:0", "BRIDGE_LIBP2P_LISTEN=/ip4/127.0.0.1/tcp/0"},
		Ready: func(line string) bool { return strings.Contains(line, `"cid"`) },
	}
	var daemon *peer.Daemon
	if !r.alone {
		var err error
		if daemon, err = program.Daemon(ctx, k.data); err != nil {
			t.Fatal(err)
		}
		defer daemon.Kill()
	}
	if r.node != nil {
		defer r.node.Kill()
	}
	client, err := peer.Start(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	victim := fault.Victim(client)
	if daemon != nil {
		victim = either{Victim: daemon.Process, other: client.Done()}
	}
	k.kill(ctx, r, victim)
	if daemon != nil {
		daemon.Kill()
	}
	client.Wait(ctx) // its error is the kill, or that the daemon is gone
	if line, ok := client.Reported(); ok {
		var c peer.Content
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		k.acked[c.CID] = r
	}
}

// either is a victim that counts as done when somebody else is.
type either struct {
	fault.Victim
	other <-chan struct{}
}

func (e either) Done() <-chan struct{} { return e.other }

// check starts the bridge again, without any repair.
func (k *killTest) check(r killing, everything bool) {
	t := k.t
	ctx := peertest.Context(t)
	began := time.Now()
	list := program.Run(ctx, k.data, "ls", "--json")
	took := time.Since(began)
	if k.quick = append(k.quick, took); list.Status != 0 || took > time.Minute {
		t.Errorf("the next start: status %d after %s\n%s", list.Status, took, list.Stderr)
	}
	listed := map[string]bool{}
	for line := range bytes.Lines(list.Stdout) {
		var c peer.Content
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		listed[c.CID] = true
		if known, ok := k.acked[c.CID]; !ok {
			// Finished but not acknowledged: it must be this round's, and it counts from now on.
			k.acked[c.CID] = r
			k.whole(c.CID, r)
		} else if everything {
			k.whole(c.CID, known)
		}
	}
	for cid, lost := range k.acked {
		if !listed[cid] {
			t.Errorf("%s was acknowledged by %s and is lost", cid, lost.op)
		}
	}
	if !everything {
		return
	}
	if v := program.Run(ctx, k.data, "verify"); v.Status != 0 {
		t.Errorf("verify: status %d\n%s%s", v.Status, v.Stdout, v.Stderr)
	}
}

// whole compares a content with what it was made from.
func (k *killTest) whole(cid string, r killing) {
	t := k.t
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if g := program.Run(peertest.Context(t), k.data, "get", cid, "-o", out); g.Status != 0 {
		t.Errorf("get %s (%s): status %d\n%s", cid, r.op, g.Status, g.Stderr)
		return
	}
	if r.folder {
		sameTree(t, out, r.path)
	} else {
		sameFile(t, out, r.path)
	}
	if err := os.RemoveAll(out); err != nil {
		t.Error(err)
	}
}
