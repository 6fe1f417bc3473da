package mdns_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/discovery"
	"github.com/iroh-ipfs/bridge/iroh/discovery/mdns"
	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// The tests of this file run in a network namespace of their own, so that no multicast leaves the machine: the test
// program starts itself there.

// inside is set in the environment of the program in the namespace.
const inside = "BRIDGE_TEST_MDNS_INSIDE"

// isolated runs the calling test again in a new network namespace with one network, and reports whether this is that
// run.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) == "" {
		outside(t)
		return false
	}
	for _, line := range []string{
		"link set lo up",
		"link add net0 type veth peer name net1",
		"addr add 10.91.0.1/24 dev net0",
		"link set net0 up", "link set net1 up",
		"route add default dev net0",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	return true
}

func outside(t *testing.T) {
	peertest.Rust(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.Logf("in the namespace:\n%s", out)
	case errors.As(err, &exit) || os.Getenv("CI") != "":
		t.Errorf("in the namespace: %v\n%s", err, out)
	default:
		t.Skipf("LEFT OUT: this system gives no network namespace: %v", err)
	}
}

// Each of two endpoints uses one end of a cable: what one says reaches the other over that, and nobody else.
func TestOverOneNetworkOnly(t *testing.T) {
	if !isolated(t) {
		return
	}
	// Both ends are of one machine, which would drop packets that seem to come from itself.
	for _, line := range []string{"addr add 10.91.0.2/24 dev net1", "link add net2 type veth peer name net3", "link set net2 up", "link set net3 up"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/accept_local", []byte("1"), 0o644); err != nil {
		t.Logf("over IPv6 only: %v", err)
	}
	on := func(name string) *mdns.Node {
		i, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := mdns.Listen(mdns.Config{ID: newKey(t).ID(), Interfaces: []net.Interface{*i}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		return n
	}
	one, two, apart := on("net0"), on("net1"), on("net2")
	everywhere := listen(t, newKey(t).ID())
	k := newKey(t)
	i, err := net.InterfaceByName("net0")
	if err != nil {
		t.Fatal(err)
	}
	talker, err := mdns.Listen(mdns.Config{ID: k.ID(), Interfaces: []net.Interface{*i}})
	if err != nil {
		t.Fatal(err)
	}
	defer talker.Close()
	rec := record.New(ticket.EndpointAddr{ID: k.ID(), Direct: []netip.AddrPort{netip.MustParseAddrPort("10.91.0.1:4433")}})
	if err := talker.Publish(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]*mdns.Node{"on the same end": one, "on the other end": two, "on all": everywhere} {
		if r, err := find(t, n, k.ID()); err != nil || !r.Equal(rec) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if r, err := apart.Resolve(t.Context(), k.ID()); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("on another network: %+v, %v", r, err)
	}
}

// find asks until somebody answers: on a machine that is busy the others may not be there yet.
func find(t *testing.T, from discovery.Source, id key.EndpointID) (r record.Record, err error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		if r, err = from.Resolve(t.Context(), id); !errors.Is(err, discovery.ErrNotFound) || time.Now().After(end) {
			return r, err
		}
	}
}

const alpn = "mdns-test/0"

func newKey(t *testing.T) key.SecretKey {
	t.Helper()
	k, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func listen(t *testing.T, id key.EndpointID) *mdns.Node {
	t.Helper()
	n, err := mdns.Listen(mdns.Config{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// endpoint starts an endpoint of ours that accepts connections.
func endpoint(t *testing.T, k key.SecretKey) *iroh.Endpoint {
	t.Helper()
	us, err := iroh.Listen(iroh.Config{SecretKey: k, Listen: "127.0.0.1:0", ALPNs: []string{alpn}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := us.Accept(t.Context()); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { us.Close(); <-done })
	return us
}

func TestWeFindRust(t *testing.T) {
	if !isolated(t) {
		return
	}
	k, rust := newKey(t), peertest.Rust(t)
	n := listen(t, k.ID())
	rust.Flags = []string{"--mdns"}
	node, err := rust.Echo(peertest.Context(t), alpn)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	id, err := key.ParseEndpointID(node.ID)
	if err != nil {
		t.Fatal(err)
	}
	r := discovery.NewResolver(discovery.ResolverConfig{Sources: []discovery.Source{n}})
	defer r.Close()
	start := time.Now()
	if _, err := find(t, n, id); err != nil {
		t.Fatal(err)
	}
	addr, err := r.Resolve(t.Context(), id)
	if err != nil || len(addr.Direct) == 0 || addr.Direct[0].String() != node.Addrs[0] {
		t.Fatalf("found %v, %v; want %v", addr.Direct, err, node.Addrs)
	}
	t.Logf("found after %s", time.Since(start))
	conn, err := endpoint(t, k).Dial(t.Context(), addr, alpn)
	if err != nil {
		t.Fatal(err)
	}
	conn.CloseWithError(0, "done")
	node.Stop()
	gone := time.Now()
	for len(n.Peers()) > 0 {
		if time.Since(gone) > time.Minute {
			t.Fatal("the endpoint is still remembered")
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("forgotten after %s", time.Since(gone))
	if _, err := n.Resolve(t.Context(), id); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("an endpoint that is gone: %v", err)
	}
}

func TestRustFindsUs(t *testing.T) {
	if !isolated(t) {
		return
	}
	k, rust := newKey(t), peertest.Rust(t)
	us, n := endpoint(t, k), listen(t, k.ID())
	p := discovery.NewPublisher(discovery.PublisherConfig{Sinks: []discovery.Sink{n}, UserData: "hello"})
	defer p.Close()
	p.Update(us.Addr())
	rust.Flags = []string{"--mdns"}
	start := time.Now()
	dial, err := rust.Dial(peertest.Context(t), k.ID().String(), "--alpn", alpn)
	if err != nil || dial.RemoteID != k.ID().String() {
		t.Fatalf("iroh dials us by id alone: %+v, %v", dial, err)
	}
	t.Logf("found and dialed after %s", time.Since(start))
	// So does another program of ours on the same machine.
	other := listen(t, newKey(t).ID())
	r, err := find(t, other, k.ID())
	if err != nil || r.UserData != "hello" || len(r.Addr.Direct) != 1 || r.Addr.Direct[0] != us.Addr().Direct[0] {
		t.Errorf("%+v, %v", r, err)
	}
	if own, err := n.Resolve(t.Context(), k.ID()); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("we have found ourselves: %+v", own)
	}
}
