package meeting

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// program is the bridge under test, built once for all tests.
var program peer.Bridge

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bridge-meeting-")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = peer.BuildBridge(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// A town is a relay and a name server, and who lives there.
type town struct {
	relay *peer.RelayServer
	dns   *peer.DNSNode
	rust  peer.RustPeer // finds and is found by its id, and has no sockets of its own
	env   []string      // makes a bridge do so
}

func newTown(t *testing.T, relay peer.RelayConfig) *town {
	t.Helper()
	rust := peertest.Rust(t)
	w := &town{relay: peertest.Relay(t, relay), dns: peertest.DNS(t)}
	rust.Relay, rust.RelayOnly, rust.Flags = w.relay.URL, true, []string{"--pkarr", w.dns.URL}
	w.rust = rust
	w.env = []string{
		"BRIDGE_RELAY_URLS=" + w.relay.URL, "BRIDGE_DISCOVERY_PKARR=" + w.dns.URL,
		"BRIDGE_DISCOVERY_DNS_ORIGIN=" + peer.DNSOrigin, "BRIDGE_DISCOVERY_DNS_SERVERS=" + w.dns.Server.String(),
	}
	return w
}

// bridge starts a daemon there; more of its environment may follow.
func (w *town) bridge(t *testing.T, env ...string) (*peer.Daemon, peer.Bridge) {
	t.Helper()
	b := program
	b.Env = append(slices.Clone(w.env), env...)
	d, err := b.Daemon(peertest.Context(t), filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, d.Process)
	return d, b
}

// known waits until the name server has what an endpoint publishes, which it does a moment after it says that it is ready.
func (w *town) known(t *testing.T, id string) {
	t.Helper()
	who, err := key.ParseEndpointID(id)
	if err != nil {
		t.Fatal(err)
	}
	names, err := discovery.NewPkarrRelay(discovery.PkarrConfig{URL: w.dns.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		r, err := names.Resolve(peertest.Context(t), who)
		if err == nil && len(r.Addr.Relays) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not published: %+v, %v", id, r, err)
		}
	}
}

// serve starts a Rust node there that serves a file, and is known by its id.
func (w *town) serve(t *testing.T, name string) *peer.RustNode {
	t.Helper()
	node := peertest.Serve(t, w.rust, name)
	w.known(t, node.ID)
	return node
}

func file(t *testing.T, size int) string {
	t.Helper()
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(size))
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(data)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func same(t *testing.T, got, want string) {
	t.Helper()
	a, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s differs from %s", got, want)
	}
}

// objects runs a command through a daemon and decodes each line that it prints.
func objects[T any](t *testing.T, d *peer.Daemon, args ...string) []T {
	t.Helper()
	r := d.Run(peertest.Context(t), append([]string{"--json"}, args...)...)
	if r.Status != 0 {
		t.Fatalf("%v: status %d\n%s\nthe daemon: %s", args, r.Status, r.Stderr, d.Log())
	}
	var all []T
	for line := range bytes.Lines(r.Stdout) {
		var one T
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("%v: %v in %q", args, err, line)
		}
		all = append(all, one)
	}
	return all
}

type fetched struct {
	Hash, Format, Ticket string
	Size, Received       uint64
	Kept                 struct{ Why, By, State string }
	Providers            []struct {
		EndpointID string
		Bytes      uint64
	}
}

// TestFetchByIDAlone from a Rust node that only a relay reaches: with a daemon, and without one.
func TestFetchByIDAlone(t *testing.T) {
	w := newTown(t, peer.RelayConfig{Dir: t.TempDir()})
	name := file(t, 5<<20+123)
	node := w.serve(t, name)
	d, b := w.bridge(t)
	if d.HomeRelay != w.relay.URL {
		t.Errorf("ready names the home relay %q, want %q", d.HomeRelay, w.relay.URL)
	}
	got := objects[fetched](t, d, "fetch", node.Items[0].Hash, "--from", node.ID)[0]
	if got.Hash != node.Items[0].Hash || got.Size != 5<<20+123 || got.Kept.State != "complete" || len(got.Providers) != 1 || got.Providers[0].EndpointID != node.ID {
		t.Errorf("%+v", got)
	}
	c := objects[peer.Content](t, d, "expose", got.Hash)[0]
	out := filepath.Join(t.TempDir(), "out")
	if r := d.Run(peertest.Context(t), "get", c.CID, "-o", out); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	same(t, out, name)
	// The same as one command, which publishes nothing; then a ticket that has the id alone.
	alone := filepath.Join(t.TempDir(), "alone")
	if err := b.JSON(peertest.Context(t), alone, &got, "fetch", node.Items[0].Hash, "--from", node.ID); err != nil {
		t.Fatal(err)
	}
	var id peer.Ready
	if err := b.JSON(peertest.Context(t), alone, &id, "id"); err != nil {
		t.Fatal(err)
	}
	if r := d.Run(peertest.Context(t), "observe", "--once", got.Hash, "--from", id.EndpointID); r.Status == 0 {
		t.Errorf("a command without a daemon was found by its id: %s", r.Stdout)
	}
}

// TestFetchFromSeveral providers, of which one is gone: the others do it, and what each gave is said. Expose takes them as well.
func TestFetchFromSeveral(t *testing.T) {
	w := newTown(t, peer.RelayConfig{Dir: t.TempDir()})
	name := file(t, 24<<20)
	var flags []string
	var nodes []*peer.RustNode
	for range 3 {
		node := w.serve(t, name)
		nodes, flags = append(nodes, node), append(flags, "--from", node.ID)
	}
	if err := nodes[0].Stop(); err != nil {
		t.Fatal(err)
	}
	d, _ := w.bridge(t)
	got := objects[fetched](t, d, append([]string{"fetch", nodes[0].Items[0].Hash}, flags...)...)[0]
	if got.Kept.State != "complete" || len(got.Providers) != 3 || got.Providers[0].Bytes != 0 || got.Providers[1].Bytes+got.Providers[2].Bytes != 24<<20 {
		t.Errorf("%+v", got)
	}
	other, _ := w.bridge(t)
	c := objects[peer.Content](t, other, append([]string{"expose", nodes[0].Items[0].Hash}, flags...)...)[0]
	out := filepath.Join(t.TempDir(), "out")
	if r := other.Run(peertest.Context(t), "get", c.CID, "-o", out); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	same(t, out, name)
}

// TestFoundByIDAlone: a Rust node that has no sockets of its own fetches from us by a ticket with our id alone, and by one with
// our relay.
func TestFoundByIDAlone(t *testing.T) {
	w := newTown(t, peer.RelayConfig{Dir: t.TempDir()})
	d, _ := w.bridge(t)
	name := file(t, 3<<20+1)
	c := objects[peer.Content](t, d, "add", name)[0]
	for _, kind := range []string{"--short", "--relay"} {
		ticket := strings.TrimSpace(string(d.Run(peertest.Context(t), "ticket", kind, c.CID).Stdout))
		out := filepath.Join(t.TempDir(), "out")
		var err error
		for range 200 { // the name server shows what was published within about a second
			if _, err = w.rust.Fetch(peertest.Context(t), "mem", ticket, out); err == nil {
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", kind, err, d.Log())
		}
		same(t, out, name)
	}
}

type pushed struct {
	EndpointID, Path, Hash, Format string
	Blobs                          int
	Bytes                          uint64
}

// TestPushToRust by its id alone, and what it then has, as it says and as another fetches it from there.
func TestPushToRust(t *testing.T) {
	w := newTown(t, peer.RelayConfig{Dir: t.TempDir()})
	sink, err := w.rust.Sink(peertest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, sink.Process)
	w.known(t, sink.ID)
	d, _ := w.bridge(t)
	name := file(t, 2<<20+5)
	c := objects[peer.Content](t, d, "add", name)[0]
	got := objects[pushed](t, d, "push", sink.ID, c.CID)[0]
	if got.EndpointID != sink.ID || got.Path != w.relay.URL || got.Hash != c.Hash || got.Bytes != 2<<20+5 {
		t.Errorf("%+v", got)
	}
	type observed struct {
		Size, Have uint64
		Complete   bool
	}
	if o := objects[observed](t, d, "observe", c.Hash, "--from", sink.ID); len(o) != 1 || !o[0].Complete || o[0].Size != 2<<20+5 || o[0].Have != o[0].Size {
		t.Errorf("%+v", o)
	}
	other, _ := w.bridge(t)
	if f := objects[fetched](t, other, "fetch", c.Hash, "--from", sink.ID)[0]; f.Received != 2<<20+5 {
		t.Errorf("%+v", f)
	}
}

// TestPushFromRust: what an allowed peer pushes is listed under its id, can be exposed and goes when it is removed; another peer is
// refused. The Rust peer observes us meanwhile.
func TestPushFromRust(t *testing.T) {
	w := newTown(t, peer.RelayConfig{Dir: t.TempDir()})
	secret := strings.Repeat("07", 32)
	direct := w.rust
	direct.RelayOnly, direct.Relay, direct.Flags = false, "", nil
	friend := direct
	friend.Flags = append(slices.Clone(friend.Flags), "--secret", secret)
	dialer := w.rust
	dialer.Flags = friend.Flags
	id := dialID(t, dialer, w)
	d, _ := w.bridge(t, "BRIDGE_PUSH_PEERS="+id, "BRIDGE_PUSH_QUOTA=10000000")
	target := d.EndpointID + "@" + d.IrohAddrs[0]
	name := file(t, 1<<20+7)
	if item, err := direct.Push(peertest.Context(t), target, name, "--timeout", "5"); err == nil {
		t.Errorf("a stranger pushed %+v", item)
	}
	item, err := friend.Push(peertest.Context(t), target, name)
	if err != nil {
		t.Fatalf("%v\n%s", err, d.Log())
	}
	if o, err := friend.Observe(peertest.Context(t), target, item.Hash); err != nil || !o.Sum.Complete || o.Sum.Size != 1<<20+7 {
		t.Errorf("%+v, %v", o, err)
	}
	var list []fetched
	for range 200 { // the blob is there a moment before the push as a whole is noted
		if list = objects[fetched](t, d, "ls"); len(list) == 1 && list[0].Kept.By != "" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(list) != 1 || list[0].Hash != item.Hash || list[0].Kept.Why != "pushed" || list[0].Kept.By != id || list[0].Kept.State != "complete" {
		t.Fatalf("%+v", list)
	}
	c := objects[peer.Content](t, d, "expose", item.Hash)[0]
	out := filepath.Join(t.TempDir(), "out")
	if r := d.Run(peertest.Context(t), "get", c.CID, "-o", out); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	same(t, out, name)
	if r := d.Run(peertest.Context(t), "rm", item.Hash); r.Status != 0 {
		t.Error(r.Stderr)
	}
	if list := objects[fetched](t, d, "ls"); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// dialID learns the id of a Rust peer with a secret.
func dialID(t *testing.T, r peer.RustPeer, w *town) string {
	t.Helper()
	node := peertest.Serve(t, w.rust, file(t, 1))
	dial, err := r.Dial(peertest.Context(t), node.ID+"@"+w.relay.URL)
	if err != nil {
		t.Fatal(err)
	}
	return dial.LocalID
}

type connection struct {
	Network, ID, Path, Protocol string
	Relayed, Dialed             bool
	RTTMillis                   float64
	Sent, Received              uint64
}

// TestPeersShowsThePath of a connection by a relay and of a direct one.
func TestPeersShowsThePath(t *testing.T) {
	w := newTown(t, peer.RelayConfig{Dir: t.TempDir()})
	d, _ := w.bridge(t)
	direct := w.rust
	direct.RelayOnly, direct.Relay = false, ""
	for target, how := range map[string]struct {
		rust    peer.RustPeer
		relayed bool
		path    string
	}{
		d.EndpointID + "@" + w.relay.URL:    {w.rust, true, w.relay.URL},
		d.EndpointID + "@" + d.IrohAddrs[0]: {direct, false, "127.0.0.1:"},
	} {
		ended := make(chan error, 1)
		go func() {
			_, err := how.rust.Dial(peertest.Context(t), target, "--hold", "6")
			ended <- err
		}()
		var c []connection
		for range 200 {
			if c = objects[connection](t, d, "peers"); len(c) == 1 && c[0].RTTMillis > 0 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(c) != 1 || c[0].Network != "iroh" || c[0].Relayed != how.relayed || !strings.HasPrefix(c[0].Path, how.path) || c[0].Dialed || c[0].RTTMillis <= 0 || c[0].Sent == 0 || c[0].Received == 0 {
			t.Errorf("%s: %+v", target, c)
		}
		for range 600 {
			if c = objects[connection](t, d, "peers"); len(c) == 0 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if len(c) != 0 {
			t.Errorf("the connection has ended and is still listed: %+v", c)
		}
	}
}

type diagnosis struct {
	HomeRelay string
	Daemon    bool
	NAT       string
	Problems  int
	Relays    []struct {
		URL             string
		Home, Connected bool
		LatencyMillis   float64
		By, SeenIPv4    string
		Error           string
	}
	ClockMillis *float64
	Sources     []struct {
		Name         string
		Works, Found bool
	}
	Checks []struct{ Name, State, Text, Advice string }
}

// TestDoctor of a daemon and of a folder without one, with a relay that has a certificate of its own and address discovery.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	w := newTown(t, peer.RelayConfig{Dir: dir, TLS: true})
	w.env[0] = fmt.Sprintf("BRIDGE_RELAY_URLS=%s qad=%d", w.relay.URL, w.relay.QUIC)
	d, b := w.bridge(t, "BRIDGE_RELAY_CA_FILE="+filepath.Join(dir, "cert.pem"))
	var got diagnosis
	for end := time.Now().Add(time.Minute); ; { // what is published is found a moment later
		got = objects[diagnosis](t, d, "doctor")[0]
		if len(got.Sources) == 2 && got.Sources[0].Found && got.Sources[1].Found || time.Now().After(end) {
			break
		}
	}
	if !got.Daemon || got.HomeRelay != w.relay.URL || got.Problems != 0 || len(got.Relays) != 1 || !got.Relays[0].Home || !got.Relays[0].Connected ||
		got.Relays[0].LatencyMillis <= 0 || got.Relays[0].Error != "" {
		t.Errorf("%+v", got)
	}
	for _, s := range got.Sources {
		if !s.Works || !s.Found {
			t.Errorf("%+v", s)
		}
	}
	alone := filepath.Join(t.TempDir(), "alone")
	if err := b.JSON(peertest.Context(t), alone, &got, "doctor"); err != nil || got.Daemon || !got.Relays[0].Connected {
		t.Errorf("without a daemon: %+v, %v", got, err)
	}
	for _, s := range got.Sources {
		if !s.Works || s.Found {
			t.Errorf("without a daemon: %+v", s)
		}
	}
	// Without the certificate there is a problem, and a status that says so.
	b.Env = w.env
	r := b.Run(peertest.Context(t), alone, "doctor")
	if r.Status != 5 || !strings.Contains(string(r.Stdout), "problem ") || !strings.Contains(string(r.Stdout), "relay.ca_file") {
		t.Errorf("status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
}
