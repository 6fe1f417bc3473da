package portmap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
)

// The tests with a real gateway run in a lab of network namespaces, which is connected to nothing:
//
//	host 192.168.77.2 ── 192.168.77.254 router 5.5.5.9 ── 5.5.5.7 outside
//
// miniupnpd refuses to map ports when its own address is not public, those for documentation included, so the address
// outside is of a range that somebody has. The mapper is a process on the host: the test program, which runs the same
// test there. This variable of its environment names the namespaces of the two others.
const inside = "BRIDGE_TEST_PORTMAP_INSIDE"

const (
	hostIP, routerIP, wanIP = "192.168.77.2", "192.168.77.254", "5.5.5.9"
)

// A town is the three of them, as seen from the host.
type town struct {
	t               *testing.T
	router, outside *netns.Host
	daemon          *exec.Cmd
	log             *syncBuffer
	dir             string
}

// newTown runs the calling test again on the host of a new town, whose router has an address outside, or returns nil
// where this is not that run.
func newTown(t *testing.T, wan string) *town {
	t.Helper()
	router, outside, ok := strings.Cut(os.Getenv(inside), " ")
	if !ok {
		t.Parallel()
		buildTown(t, netip.MustParseAddr(wan))
		return nil
	}
	return &town{
		t: t, router: &netns.Host{Namespace: router}, outside: &netns.Host{Namespace: outside},
		log: &syncBuffer{}, dir: t.TempDir(),
	}
}

// buildTown builds a town and runs this test on its host.
func buildTown(t *testing.T, wan netip.Addr) {
	t.Helper()
	needTool(t, "miniupnpd", "nft", "ip")
	ctx := t.Context()
	lab, err := netns.New(ctx)
	if errors.Is(err, netns.ErrUnsupported) {
		leaveOut(t, err.Error())
	}
	must(t, err)
	defer func() { must(t, lab.Close()) }()
	segment := func(name string, member netip.Addr) *netns.Segment {
		s, err := lab.Segment(ctx, name, netip.PrefixFrom(member, 24))
		must(t, err)
		return s
	}
	host := func(name string) *netns.Host {
		h, err := lab.Host(ctx, name)
		must(t, err)
		return h
	}
	join := func(h *netns.Host, s *netns.Segment, addr string, via netip.Addr) {
		_, err := h.Join(ctx, s, netip.MustParseAddr(addr), via)
		must(t, err)
	}
	inner, outer := segment("lan", netip.MustParseAddr(routerIP)), segment("wan", wan)
	me, router, outside := host("host"), host("router"), host("outside")
	join(router, inner, routerIP, netip.Addr{})
	join(router, outer, wan.String(), netip.Addr{})
	join(me, inner, hostIP, netip.MustParseAddr(routerIP))
	join(outside, outer, wan.Prev().Prev().String(), netip.Addr{})
	must(t, netns.Do(router.Namespace, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }))

	program, args := netns.Command(me.Namespace, os.Args[0], []string{"-test.run=" + exactly(t), "-test.v", "-test.timeout=3m"})
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), inside+"="+router.Namespace+" "+outside.Namespace, "PATH="+path())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("on the host: %v\n%s", err, out)
		return
	}
	t.Logf("on the host:\n%s", out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exactly is the pattern of this test alone.
func exactly(t *testing.T) string {
	parts := strings.Split(t.Name(), "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// path is where programs are looked for: those of the system are not on everybody's path.
func path() string { return os.Getenv("PATH") + ":/usr/sbin:/sbin" }

func needTool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		found := slices.ContainsFunc(filepath.SplitList(path()), func(dir string) bool {
			_, err := exec.LookPath(filepath.Join(dir, name))
			return err == nil
		})
		if !found {
			leaveOut(t, name+" is not installed")
		}
	}
}

// leaveOut skips a test; in CI that is a failure.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("LEFT OUT: " + why)
}

// ip configures a machine; nil is the host.
func (w *town) ip(h *netns.Host, lines ...string) {
	w.t.Helper()
	for _, line := range lines {
		w.in(h, append([]string{"ip"}, strings.Fields(line)...)...)
	}
}

// in runs a program on a machine and returns what it prints.
func (w *town) in(h *netns.Host, args ...string) string {
	w.t.Helper()
	out, err := w.command(h, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *town) command(h *netns.Host, args ...string) *exec.Cmd {
	namespace := ""
	if h != nil {
		namespace = h.Namespace
	}
	program, args := netns.Command(namespace, args[0], args[1:])
	return exec.Command(program, args...)
}

// firewall is what the router has before miniupnpd comes: it masquerades, and lets nothing in that nobody has asked for.
const firewall = `
table inet filter {
	chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "eth0" accept; jump miniupnpd; }
	chain miniupnpd { }
	chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
	chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; oifname "eth1" masquerade; }
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
}
`

// listening is what miniupnpd says when it is ready for a protocol.
const listening = "istening "

// start starts the router's miniupnpd, with an empty table of mappings, as after a power cut.
func (w *town) start(upnp, natpmp bool) {
	w.t.Helper()
	yes := map[bool]string{true: "yes", false: "no"}
	file := filepath.Join(w.dir, "miniupnpd.conf")
	config := fmt.Sprintf(`ext_ifname=eth1
listening_ip=eth0
port=5000
enable_upnp=%s
enable_natpmp=%s
secure_mode=yes
system_uptime=no
min_lifetime=1
max_lifetime=86400
uuid=8f1d4c3e-4b8e-4a44-9c55-6d7b7e1f2a30
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`, yes[upnp], yes[natpmp])
	must(w.t, os.WriteFile(file, []byte(config), 0o600))
	must(w.t, w.router.Nft(context.Background(), "flush ruleset\n"+firewall))
	if w.mappings() != 0 {
		w.t.Fatal("the restarted router has mappings still")
	}
	ready := strings.Count(w.log.String(), listening)
	w.daemon = w.command(w.router, "miniupnpd", "-d", "-f", file, "-P", filepath.Join(w.dir, "pid"))
	w.daemon.Stdout, w.daemon.Stderr = w.log, w.log
	w.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(w.t, w.daemon.Start())
	running := w.daemon
	w.t.Cleanup(func() { w.end(running) })
	for end := time.Now().Add(time.Minute); strings.Count(w.log.String(), listening) == ready; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("miniupnpd does not begin to listen:\n%s", w.log)
		}
	}
}

// stop is a power cut.
func (w *town) stop() { w.end(w.daemon) }

func (w *town) end(daemon *exec.Cmd) {
	if daemon.ProcessState == nil {
		daemon.Process.Kill()
		daemon.Wait()
	}
}

// mapped reports whether the router translates an external port.
func (w *town) mapped(port uint16) bool {
	return strings.Contains(w.prerouting(), fmt.Sprintf("dport %d", port))
}

// mappings counts the ports that the router translates.
func (w *town) mappings() int { return strings.Count(w.prerouting(), "dport ") }

func (w *town) prerouting() string {
	return w.in(w.router, "nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd")
}

// socketOutside opens a UDP socket in the internet.
func (w *town) socketOutside() *net.UDPConn {
	w.t.Helper()
	conn, err := w.outside.ListenUDP(netip.MustParseAddrPort("0.0.0.0:0"))
	must(w.t, err)
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

// A syncBuffer is what a program has printed.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// await waits until an external address is there or, if want is zero, is not there any more.
func await(t *testing.T, m *Mapper, want bool) netip.AddrPort {
	t.Helper()
	end := time.After(time.Minute)
	for {
		changed := m.Changed()
		if a := m.External(); a.IsValid() == want {
			return a
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("the external address is %v, want one: %v; status %+v", m.External(), want, m.Status())
		}
	}
}
