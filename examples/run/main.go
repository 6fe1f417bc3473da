// Command run is `make run`: it starts a bridge on an embedded store in a temporary folder with no configuration at
// all, adds examples/sample, prints what it is called on both networks and the exact commands that fetch it, and stays
// until Ctrl-C. BRIDGE_LOCAL=1 is set, so nothing is announced beyond this machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/iroh-ipfs/bridge/integration/peer"
)

func main() {
	program := flag.String("bridge", filepath.Join("bin", "bridge"), "the bridge program")
	folder := flag.String("add", filepath.Join("examples", "sample"), "file or folder to add")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, *folder); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program, folder string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	data, err := os.MkdirTemp("", "bridge-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	bridge := peer.Bridge{Bin: program, Env: []string{"BRIDGE_LOCAL=1"}}
	// The daemon is asked to end below; a cancelled context would kill it.
	daemon, err := bridge.DefaultDaemon(context.WithoutCancel(ctx), data)
	if err != nil {
		return err
	}
	content, err := daemon.Do(ctx, "add", folder)
	if err != nil {
		return errors.Join(err, daemon.Stop())
	}
	show(daemon, content, folder)
	select {
	case <-ctx.Done():
		fmt.Println("\nstopping")
		return daemon.Stop()
	case <-daemon.Done():
		return fmt.Errorf("the daemon ended\n%s", daemon.Log())
	}
}

func show(daemon *peer.Daemon, c peer.Content, folder string) {
	fmt.Printf(`A bridge is running (data in %s) and has added %s.

CID     %s
hash    %s
ticket  %s

Fetch it from IPFS, with a Kubo on this machine:

    ipfs swarm connect %s
    ipfs get %s

Fetch it from iroh:

    sendme receive %s

Ctrl-C ends it and removes its data.
`, daemon.Data, folder, c.CID, c.Hash, c.Ticket, nearest(daemon), c.CID, c.Ticket)
}

// nearest is an address that works on this machine.
func nearest(daemon *peer.Daemon) string {
	for _, addr := range daemon.LibP2PAddrs {
		if strings.HasPrefix(addr, "/ip4/127.0.0.1/tcp/") {
			return addr
		}
	}
	return daemon.Addr("tcp")
}
