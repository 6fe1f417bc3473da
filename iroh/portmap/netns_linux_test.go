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
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests with a real gateway run in network namespaces that they make: the test program starts itself in one that is
// the host, behind a router, behind which is the internet.
//
//	host 192.168.77.2 ── 192.168.77.1 router 5.5.5.1 ── 5.5.5.2 outside
//
// miniupnpd refuses to map ports when its own address is not public, those for documentation included, so the address
// outside is of a range that somebody has. Nothing leaves the namespaces: they are connected to nothing.
const inside = "BRIDGE_TEST_PORTMAP_INSIDE"

const (
	hostIP, routerIP, wanIP, outsideIP = "192.168.77.2", "192.168.77.1", "5.5.5.1", "5.5.5.2"
)

// A town is the three of them. The test program itself is on the host.
type town struct {
	t               *testing.T
	router, outside int // processes whose network namespaces they are
	daemon          *exec.Cmd
	log             *syncBuffer
	dir             string
}

// newTown runs the calling test again on the host of a new town, or returns nil where this is not that run.
func newTown(t *testing.T, wan string) *town {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Parallel()
		moveInside(t)
		return nil
	}
	w := &town{t: t, router: newNamespace(t), outside: newNamespace(t), log: &syncBuffer{}, dir: t.TempDir()}
	w.ip(os.Getpid(),
		"link set lo up",
		fmt.Sprintf("link add lan0 type veth peer name lan1 netns %d", w.router),
		"addr add "+hostIP+"/24 dev lan0", "link set lan0 up",
		"route add default via "+routerIP)
	w.ip(w.router,
		"link set lo up",
		"addr add "+routerIP+"/24 dev lan1", "link set lan1 up",
		fmt.Sprintf("link add wan0 type veth peer name wan1 netns %d", w.outside),
		"addr add "+wan+"/24 dev wan0", "link set wan0 up")
	w.ip(w.outside, "link set lo up", "addr add "+outsideIP+"/24 dev wan1", "link set wan1 up", "route add 10.0.0.0/8 dev wan1")
	w.in(w.router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	return w
}

// moveInside starts this test in namespaces of its own.
func moveInside(t *testing.T) {
	t.Helper()
	needTool(t, "miniupnpd", "nft", "ip", "nsenter")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+exactly(t), "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), inside+"=1", "PATH="+path())
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
	case errors.As(err, &exit):
		t.Errorf("in the namespace: %v\n%s", err, out)
	default:
		leaveOut(t, fmt.Sprintf("this system gives no network namespace: %v", err))
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

// newNamespace returns a process that does nothing in a network namespace of its own, until the test ends.
func newNamespace(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	// The signal comes when the thread that has started it ends.
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		runtime.UnlockOSThread()
	})
	return cmd.Process.Pid
}

// ip configures the namespace of a process.
func (w *town) ip(pid int, lines ...string) {
	w.t.Helper()
	for _, line := range lines {
		w.in(pid, append([]string{"ip"}, strings.Fields(line)...)...)
	}
}

// in runs a program in the namespace of a process and returns what it prints.
func (w *town) in(pid int, args ...string) string {
	w.t.Helper()
	out, err := w.command(context.Background(), pid, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *town) command(ctx context.Context, pid int, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"-t", fmt.Sprint(pid), "-n", "--"}, args...)...)
}

// firewall is what the router has before miniupnpd comes: it masquerades, and lets nothing in that nobody has asked for.
const firewall = `
table inet filter {
	chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "lan1" accept; jump miniupnpd; }
	chain miniupnpd { }
	chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
	chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; oifname "wan0" masquerade; }
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
	config := fmt.Sprintf(`ext_ifname=wan0
listening_ip=lan1
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
	rules := filepath.Join(w.dir, "rules")
	for name, text := range map[string]string{file: config, rules: "flush ruleset\n" + firewall} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	w.in(w.router, "nft", "-f", rules)
	ready := strings.Count(w.log.String(), listening)
	w.daemon = w.command(context.Background(), w.router, "miniupnpd", "-d", "-f", file, "-P", filepath.Join(w.dir, "pid"))
	w.daemon.Stdout, w.daemon.Stderr = w.log, w.log
	w.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.daemon.Start(); err != nil {
		w.t.Fatal(err)
	}
	running := w.daemon
	w.t.Cleanup(func() { w.end(running) })
	for end := time.Now().Add(20 * time.Second); strings.Count(w.log.String(), listening) == ready; time.Sleep(10 * time.Millisecond) {
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
	return strings.Contains(w.in(w.router, "nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd"), fmt.Sprintf("dport %d", port))
}

// socketOutside opens a UDP socket in the internet.
func (w *town) socketOutside() *net.UDPConn {
	w.t.Helper()
	conn, err := listenIn(w.outside)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

// listenIn opens a UDP socket in the namespace of a process. A thread goes there and back.
func listenIn(pid int) (conn *net.UDPConn, err error) {
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	defer there.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		return nil, err
	}
	defer here.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	conn, err = net.ListenUDP("udp4", nil)
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // a thread in the wrong place must not go on
	}
	return conn, err
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
	end := time.After(20 * time.Second)
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
