// Command fuzz runs every native fuzz target of this module, each for the same time.
//
//	go run ./integration/fuzz [-time 20s] [-jobs 2] [-fresh] [-list] [packages]
//
// Without packages it takes all of them. Targets are found by go test -list, and compared with the functions in the test
// files that look like targets, so that none is left out unnoticed; a target that ran no input counts as failed. Each
// runs in one worker, and jobs of them at the same time.
//
// Where a target fails the others go on. At the end every failed one is named, with what it printed; the input that made
// it fail stays in testdata/fuzz of its package, where go test runs it from then on.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	var c config
	flag.DurationVar(&c.time, "time", 20*time.Second, "how long each target runs")
	flag.IntVar(&c.jobs, "jobs", 2, "how many targets run at the same time")
	flag.BoolVar(&c.fresh, "fresh", false, "begin with the seed corpora alone, without what earlier runs on this machine have found")
	list := flag.Bool("list", false, "list the targets, run none")
	flag.Parse()
	patterns := flag.Args()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c, os.Stdout, patterns, *list); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// config is how to run targets.
type config struct {
	dir  string // the module; empty is the working folder
	time time.Duration
	jobs int

	fresh bool
}

// run finds the targets and runs them. It reports the failed ones on out and by its error.
func run(ctx context.Context, c config, out io.Writer, patterns []string, list bool) error {
	targets, err := find(ctx, c.dir, patterns)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("there are no targets in %q", patterns)
	}
	if list {
		for _, t := range targets {
			fmt.Fprintln(out, t)
		}
		return nil
	}
	fmt.Fprintf(out, "%d targets, %s each, %d at a time\n", len(targets), c.time, c.jobs)
	results := make([]result, len(targets))
	var jobs errgroup.Group
	jobs.SetLimit(max(1, c.jobs))
	done := make(chan int)
	go func() {
		defer close(done)
		for i, t := range targets {
			jobs.Go(func() error {
				results[i] = t.run(ctx, c)
				done <- i
				return nil
			})
		}
		jobs.Wait()
	}()
	var failed []int
	for i := range done {
		fmt.Fprintln(out, results[i])
		if results[i].err != nil {
			failed = append(failed, i)
		}
	}
	for _, i := range failed {
		fmt.Fprintf(out, "\n--- %s FAILED: %v\n%s\n", targets[i], results[i].err, results[i].output)
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d targets failed", len(failed), len(targets))
	}
	return nil
}
