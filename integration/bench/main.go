// Command bench measures the bridge against the peers that it stands between, and prints the tables of
// docs/benchmarks.md.
//
//	go run ./integration/bench [-rounds 5] [-size 1073741824] [-far 33554432] [-files 10000] [-names 100000] [-only REGEXP] [-dir DIR]
//
// Every figure is a ratio within one run on one machine: the bridge and what it is compared with take turns, round
// after round, each round in the other order, and the medians are divided; over the long path both run at once. All peers are real programs with empty
// stores on 127.0.0.1; inputs are random bytes, read once before so that they are in the page cache for everybody; what
// preparing a turn wrote is on disk before the clock starts.
// Wall time is that of the client's whole command; processor time and peak memory are what the kernel accounts to the
// bridge's processes. It needs about ten times -size of disk in DIR and ends with status 1 when a limit is missed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// options are the command's flags.
type options struct {
	rounds  int
	size    int64
	far     int64 // bytes of the file for the long path
	files   int
	names   int
	only    *regexp.Regexp
	dir     string
	profile string // file for the CPU profile of the bridge's processes; "" is none
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each figure")
	flag.Int64Var(&o.size, "size", 1<<30, "bytes of the big file")
	flag.Int64Var(&o.far, "far", 32<<20, "bytes of the file that goes over the long path, some 350 kB/s for everybody")
	flag.IntVar(&o.files, "files", 10000, "files of 4 KiB in the folder")
	flag.IntVar(&o.names, "names", 100000, "files of 1 KiB in the folder of many names")
	flag.StringVar(&o.dir, "dir", "", "folder for stores and inputs (default: a temporary one)")
	flag.StringVar(&o.profile, "profile", "", "file for the CPU profile of the bridge, all its processes together")
	only := flag.String("only", "", "measure only figures whose name matches")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil || flag.NArg() > 0 || o.rounds < 1 {
		fmt.Fprintln(os.Stderr, "bench: bad arguments", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	missed, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if missed > 0 {
		fmt.Fprintf(os.Stderr, "bench: %d limits missed\n", missed)
		os.Exit(1)
	}
}

// run measures everything and prints the report; it returns how many limits were missed.
func run(ctx context.Context, o options) (int, error) {
	dir, err := os.MkdirTemp(o.dir, "bridge-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	b, err := prepare(ctx, o, dir)
	if err != nil {
		return 0, err
	}
	var results []result
	for _, f := range b.figures() {
		if !o.only.MatchString(f.name) {
			continue
		}
		r, err := b.measure(ctx, f)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f.name, err)
		}
		results = append(results, r)
	}
	if o.profile != "" {
		if err := mergeProfiles(b.profiles(), o.profile); err != nil {
			return 0, fmt.Errorf("profile: %w", err)
		}
	}
	return report(os.Stdout, o, results), nil
}
