// Command bridge is a native iroh node and an IPFS node over one copy of the bytes.
//
// With a daemon on the same data folder a command works through its HTTP API; without one it opens the data folder
// itself. Results go to stdout, everything else to stderr. Exit status: 0 done, 1 failed, 2 usage, 3 not found,
// 4 verification failed, 5 some items failed and others did not, or the doctor found a problem, 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/iroh-ipfs/bridge/bridge"
)

// version is set by the linker (-X main.version=...) in a release.
var version = "0.1.0-dev"

// heapFloor is memory that is allocated and never touched, so that it is not resident. The garbage collector counts it,
// and collects when the heap has doubled: with it, after 48 MiB or more of garbage. What is alive here is small and
// blocks are large, so without it serving them would collect dozens of times a second.
const heapFloor = 48 << 20

func main() {
	floor := make([]byte, heapFloor)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	runtime.KeepAlive(floor)
	os.Exit(code)
}

// Exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitVerify      = 4
	exitPartial     = 5
	exitInterrupted = 130
)

// errUsage marks an error in how the command was called.
var errUsage = errors.New("usage")

// errProblems marks what the doctor found.
var errProblems = errors.New("not everything works")

// run carries out one command line and returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr, lookup: os.LookupEnv}
	root := a.command()
	root.SetArgs(append([]string{}, args...)) // nil would be the arguments of this process
	root.SetOut(stdout)
	root.SetErr(stderr)
	stop, err := a.profile()
	if err == nil {
		err = root.ExecuteContext(ctx)
		err = errors.Join(err, stop())
	}
	if err == nil {
		return exitDone
	}
	code := exitStatus(ctx, err)
	if code == exitInterrupted {
		fmt.Fprintln(stderr, "bridge: interrupted")
		return code
	}
	fmt.Fprintf(stderr, "bridge: %s\n", printable(strings.TrimPrefix(err.Error(), "bridge: ")))
	if errors.Is(err, errUsage) {
		fmt.Fprintln(stderr, "Run 'bridge --help' for how to call it.")
	}
	return code
}

func exitStatus(ctx context.Context, err error) int {
	switch {
	case ctx.Err() != nil && !errors.Is(err, bridge.ErrVerify):
		return exitInterrupted
	case errors.Is(err, errUsage), errors.Is(err, bridge.ErrInvalid):
		return exitUsage
	case errors.Is(err, bridge.ErrVerify):
		return exitVerify
	case errors.Is(err, bridge.ErrNotFound):
		return exitNotFound
	case errors.Is(err, bridge.ErrPartial), errors.Is(err, errProblems):
		return exitPartial
	}
	return exitFailed
}

// printable keeps control characters that a stranger put into a name from reaching the terminal (CVE-2020-26283).
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// app is one run of the program: its global flags and where its output goes.
type app struct {
	stdout, stderr io.Writer
	lookup         func(string) (string, bool)

	data    string
	json    bool
	local   bool
	quiet   bool
	verbose bool
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "bridge",
		Short: "One process, two networks, one copy of the bytes: an iroh node and an IPFS node",
		Long: "bridge names content in both iroh's and IPFS's way and serves it on both networks.\n\n" +
			"Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 verification failed,\n5 some items failed, or the doctor found a problem, 130 interrupted.",
		SilenceUsage: true, SilenceErrors: true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: unknown command %q", errUsage, args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.data, "data", "", "data folder (environment BRIDGE_DATA; default: the platform's data folder)")
	f.BoolVar(&a.json, "json", false, "one JSON object a line on stdout")
	f.BoolVar(&a.local, "local", false, "no public bootstrap peers, relays or name services (environment BRIDGE_LOCAL=1)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log what happens to stderr")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(a.daemonCommand(), a.addCommand(), a.exposeCommand(), a.importCommand(), a.getCommand(),
		a.fetchCommand(), a.pushCommand(), a.observeCommand(), a.ticketCommand(), a.peersCommand(), a.doctorCommand(),
		a.mapCommand(), a.listCommand(), a.removeCommand(), a.verifyCommand(), a.idCommand(), a.versionCommand())
	return root
}

// arguments checks how many there are, as a usage error.
func arguments(n int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%w: bridge %s takes %s", errUsage, c.Name(), names)
		}
		return nil
	}
}
