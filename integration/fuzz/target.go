package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Times beyond that of fuzzing itself.
const (
	// buildTime is for building a test program, its dependencies instrumented, on a busy machine for the first time.
	buildTime = 30 * time.Minute
	// endTime is for a target to end once it is asked to.
	endTime = 30 * time.Second
	// minimizeTime is how long an input of interest is made smaller: the default of a minute is longer than a short run.
	minimizeTime = "1s"
)

// A result is what came of running a target.
type result struct {
	target target
	inputs int
	cutOff bool
	output string
	err    error
}

func (r result) String() string {
	text := fmt.Sprintf("ok    %s: %d inputs", r.target, r.inputs)
	if r.err != nil {
		text = fmt.Sprintf("FAIL  %s: %v", r.target, r.err)
	}
	if r.cutOff {
		text += " (go test took the end of its own time for a failure)"
	}
	return text
}

// run runs the target for a time.
func (t target) run(ctx context.Context, c config) result {
	ctx, cancel := context.WithTimeout(ctx, buildTime+c.time)
	defer cancel()
	args := []string{
		"test", "-run=^$", "-fuzz=^" + regexp.QuoteMeta(t.name) + "$", "-fuzztime=" + c.time.String(),
		"-fuzzminimizetime=" + minimizeTime, "-parallel=1", "-timeout=0", t.pkg,
	}
	if c.fresh {
		dir, err := os.MkdirTemp("", "fuzz-")
		if err != nil {
			return result{target: t, err: err}
		}
		defer os.RemoveAll(dir)
		args = append(args, "-args", "-test.fuzzcachedir="+dir)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.dir
	// What the go command starts is in its group: all of it is asked to end, and what is left at the end is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = endTime
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly there is nobody any more
	}
	r := result{target: t, output: string(out), cutOff: cutOff(string(out))}
	if r.cutOff {
		err = nil
	}
	r.inputs, r.err = judge(r.output, err)
	if ctx.Err() != nil {
		r.err = fmt.Errorf("stopped: %w", ctx.Err())
	}
	return r
}

var progress = regexp.MustCompile(`(?m)^fuzz: elapsed: .*, execs: (\d+) `)

// judge reads what a run has printed: it is good only if inputs were tried, since go test is content with a pattern that
// no target has.
func judge(output string, err error) (inputs int, failed error) {
	if all := progress.FindAllStringSubmatch(output, -1); len(all) > 0 {
		inputs, _ = strconv.Atoi(all[len(all)-1][1])
	}
	switch {
	case err != nil:
		return inputs, err
	case inputs == 0:
		return 0, errors.New("no input was tried")
	}
	return inputs, nil
}

// deadline is all that a run prints that failed only since Go's fuzzing has taken its own deadline for an error.
var deadline = regexp.MustCompile(`(?m)^--- FAIL: Fuzz\w+ \([0-9.]+s\)\n    context deadline exceeded\nFAIL$`)

// cutOff reports whether a run went through its whole time and no input failed, although go test says that it did: Go before
// 1.27 does so now and then on a busy machine (https://go.dev/issue/75804).
func cutOff(output string) bool {
	return deadline.MatchString(output) && !strings.Contains(output, "Failing input") && !strings.Contains(output, "seed corpus entry")
}
