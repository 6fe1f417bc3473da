package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Bridge is the bridge's own program, run as a stranger would run it.
type Bridge struct {
	Bin   string
	Env   []string // added to the environment of every run
	Netns string   // network namespace of every run; empty: the caller's
}

// BuildBridge builds the program into a folder. BRIDGE_BIN, when set, names a program to use instead.
func BuildBridge(ctx context.Context, dir string, flags ...string) (Bridge, error) {
	if bin := os.Getenv("BRIDGE_BIN"); bin != "" {
		bin, err := filepath.Abs(bin)
		return Bridge{Bin: bin}, err
	}
	root, err := Root()
	if err != nil {
		return Bridge{}, err
	}
	bin := filepath.Join(dir, "bridge")
	args := append(append([]string{"build", "-o", bin}, flags...), "./cmd/bridge")
	if _, _, err := Output(ctx, Command{Path: "go", Args: args, Dir: root}); err != nil {
		return Bridge{}, fmt.Errorf("peer: build the bridge (run make once before): %w", err)
	}
	return Bridge{Bin: bin}, nil
}

// Result is how one command ended.
type Result struct {
	Stdout []byte
	Stderr string
	Status int // exit status
	Usage  Usage
}

// Run runs one command to its end; a status other than 0 is not an error here. Where it cannot be started, or ctx ends,
// Status is -1 and Stderr says why.
func (b Bridge) Run(ctx context.Context, data string, args ...string) Result {
	env := append([]string{"BRIDGE_DATA=" + data, "BRIDGE_LOCAL=1"}, b.Env...)
	cmd := Command{Path: b.Bin, Args: args, Env: env, Netns: b.Netns}.prepare(ctx)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	r := Result{Stdout: out, Stderr: stderr.String(), Usage: usage(cmd.ProcessState)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		r.Status, r.Stderr = -1, r.Stderr+ctx.Err().Error()
	case errors.As(err, &exit):
		r.Status = exit.ExitCode()
	case err != nil:
		r.Status, r.Stderr = -1, r.Stderr+err.Error()
	}
	return r
}

// Content is the object that add, expose and import print.
type Content struct {
	CID    string   `json:"cid"`
	Hash   string   `json:"hash"`
	Format string   `json:"format"` // "blob" or "collection"
	Size   uint64   `json:"size"`
	Blocks uint64   `json:"blocks"`
	Ticket string   `json:"ticket"`
	Notes  []string `json:"notes"`
}

// JSON runs a command with --json and decodes the last line of its output into value. Every line must be one JSON
// object; a status other than 0 is an error of type [*StatusError].
func (b Bridge) JSON(ctx context.Context, data string, value any, args ...string) error {
	r := b.Run(ctx, data, append([]string{"--json"}, args...)...)
	if r.Status != 0 {
		return &StatusError{Args: args, Result: r}
	}
	lines := strings.Split(strings.TrimRight(string(r.Stdout), "\n"), "\n")
	for _, line := range lines {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			return fmt.Errorf("peer: bridge %s --json printed a line that is no object: %q", args[0], line)
		}
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), value); err != nil {
		return fmt.Errorf("peer: bridge %s: %w", args[0], err)
	}
	return nil
}

// StatusError says that a command ended with another status than 0.
type StatusError struct {
	Args []string
	Result
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("bridge %s: status %d\n%s%s", strings.Join(e.Args, " "), e.Status, e.Stderr, last(e.Stdout))
}

// Daemon is a running bridge.
type Daemon struct {
	Data string
	Ready
	*Process
	bridge Bridge
}

// Ready is the line that a daemon prints when it is up.
type Ready struct {
	Event       string   `json:"event"`
	EndpointID  string   `json:"endpointId"`
	IrohAddrs   []string `json:"irohAddrs"`
	HomeRelay   string   `json:"homeRelay"`
	PeerID      string   `json:"peerId"`
	LibP2PAddrs []string `json:"libp2pAddrs"` // full, with /p2p/
	API         string   `json:"api"`
}

// loopback are the daemon's flags that keep it on this machine, on free ports.
var loopback = []string{
	"--iroh-listen", "127.0.0.1:0", "--api", "127.0.0.1:0",
	"--libp2p-listen", "/ip4/127.0.0.1/tcp/0", "--libp2p-listen", "/ip4/127.0.0.1/udp/0/quic-v1",
}

// Daemon starts a daemon on a data folder, listening on 127.0.0.1 only. More flags may follow.
func (b Bridge) Daemon(ctx context.Context, data string, flags ...string) (*Daemon, error) {
	return b.daemon(ctx, data, append(append([]string{"--local"}, loopback...), flags...))
}

// DefaultDaemon starts a daemon on a data folder with nothing else said: its own defaults for everything.
func (b Bridge) DefaultDaemon(ctx context.Context, data string) (*Daemon, error) {
	return b.daemon(ctx, data, nil)
}

func (b Bridge) daemon(ctx context.Context, data string, flags []string) (*Daemon, error) {
	args := append([]string{"daemon", "--json", "--data", data}, flags...)
	process, err := Start(ctx, Command{
		Path: b.Bin, Args: args, Env: b.Env, Netns: b.Netns, Stop: syscall.SIGTERM,
		Ready: func(line string) bool { return strings.Contains(line, `"ready"`) },
	})
	if err != nil {
		return nil, err
	}
	line, err := process.WaitReady(ctx)
	if err != nil {
		process.Kill()
		return nil, err
	}
	d := &Daemon{Data: data, Process: process, bridge: b}
	if err := json.Unmarshal([]byte(line), &d.Ready); err != nil {
		process.Kill()
		return nil, fmt.Errorf("peer: bridge daemon: %w in %q", err, line)
	}
	return d, nil
}

// Do runs add, expose or import through the daemon.
func (d *Daemon) Do(ctx context.Context, args ...string) (Content, error) {
	var c Content
	return c, d.bridge.JSON(ctx, d.Data, &c, args...)
}

// JSON runs any command through the daemon and decodes the last line of its output, see [Bridge.JSON].
func (d *Daemon) JSON(ctx context.Context, value any, args ...string) error {
	return d.bridge.JSON(ctx, d.Data, value, args...)
}

// Run runs any command through the daemon.
func (d *Daemon) Run(ctx context.Context, args ...string) Result {
	return d.bridge.Run(ctx, d.Data, args...)
}

// Addr is the daemon's libp2p address over "tcp" or "quic-v1".
func (d *Daemon) Addr(transport string) string {
	for _, addr := range d.LibP2PAddrs {
		if strings.Contains(addr, "/"+transport) {
			return addr
		}
	}
	return ""
}
