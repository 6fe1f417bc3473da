package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/integration/netns"
)

// StopGrace is how long a process has between being asked to end and being killed.
const StopGrace = 15 * time.Second

// maxLine bounds one line of a process's output; a ticket or a list of addresses is a few kilobytes.
const maxLine = 4 << 20

// Command says how to start a process.
type Command struct {
	Path string
	Args []string
	Dir  string   // working folder; empty: the caller's
	Env  []string // added to the caller's environment
	// Netns is the network namespace to run in; empty: the caller's.
	Netns string
	// Ready tells whether a line of stdout means that the process is up; nil: it is up at once.
	Ready func(line string) bool
	// Stop is the signal that asks it to end; nil: os.Interrupt.
	Stop os.Signal
	// HoldStdin gives the process a pipe as stdin that is closed when it is asked to end.
	HoldStdin bool
}

// prepare makes the process that Start and Output start.
func (c Command) prepare(ctx context.Context) *exec.Cmd {
	path, args := netns.Command(c.Netns, c.Path, c.Args)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.WaitDelay = StopGrace
	dieWithParent(cmd)
	return cmd
}

// Process is a running program. Its output is kept for error messages.
type Process struct {
	cmd   *exec.Cmd
	stop  os.Signal
	stdin io.Closer
	log   tail
	ready chan string   // one line, the one that Ready accepted
	done  chan struct{} // closed when the process has ended and err is set
	err   error
}

// Start starts a process. It is killed when ctx ends. Whoever starts it calls [Process.Stop] or [Process.Kill].
func Start(ctx context.Context, c Command) (*Process, error) {
	p := &Process{stop: c.Stop, ready: make(chan string, 1), done: make(chan struct{})}
	if p.stop == nil {
		p.stop = os.Interrupt
	}
	p.cmd = c.prepare(ctx)
	p.cmd.Stderr = &p.log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	if c.HoldStdin {
		if p.stdin, err = p.cmd.StdinPipe(); err != nil {
			return nil, fmt.Errorf("peer: %w", err)
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("peer: start %s: %w", c.Path, err)
	}
	go p.watch(stdout, c.Ready)
	return p, nil
}

// watch reads stdout to its end, then waits for the process. It is the only goroutine and ends with the process.
func (p *Process) watch(stdout io.Reader, ready func(string) bool) {
	defer close(p.done)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(&p.log, line)
		if ready != nil && ready(line) {
			p.ready <- line
			ready = nil
		}
	}
	io.Copy(&p.log, stdout)
	p.err = p.cmd.Wait()
}

// WaitReady returns the line that meant readiness, or an error with the output when the process ended instead.
func (p *Process) WaitReady(ctx context.Context) (string, error) {
	select {
	case line := <-p.ready:
		return line, nil
	case <-p.done:
		select {
		case line := <-p.ready:
			return line, nil
		default:
		}
		err := p.err
		if err == nil {
			err = errors.New("exit status 0")
		}
		return "", fmt.Errorf("peer: %s ended before it was ready: %w\n%s", p.cmd.Path, err, p.Log())
	case <-ctx.Done():
		return "", fmt.Errorf("peer: waiting for %s: %w\n%s", p.cmd.Path, ctx.Err(), p.Log())
	}
}

// Reported returns the line that meant readiness if there was one so far, without waiting. It takes the line: later
// calls and WaitReady do not see it again.
func (p *Process) Reported() (string, bool) {
	select {
	case line := <-p.ready:
		return line, true
	default:
		return "", false
	}
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log returns the last output of the process, stdout and stderr mixed.
func (p *Process) Log() string { return p.log.String() }

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Wait waits until the process ends by itself. Its error is that of the process's exit.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop asks the process to end and waits for it; after [StopGrace] it is killed, which is an error.
func (p *Process) Stop() error {
	if p.stdin != nil {
		p.stdin.Close()
	} else if err := p.cmd.Process.Signal(p.stop); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.Kill()
		return fmt.Errorf("peer: stop %s: %w", p.cmd.Path, err)
	}
	timer := time.NewTimer(StopGrace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("peer: %s did not end within %s and was killed\n%s", p.cmd.Path, StopGrace, p.Log())
	}
}

// Kill ends the process at once (SIGKILL) and waits for it.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Usage is what an ended process has used.
type Usage struct {
	CPU     time.Duration // user and system time
	PeakRSS int64         // bytes; 0 where the system does not say
}

// Usage returns what the process used; it is known once the process has ended.
func (p *Process) Usage() Usage {
	<-p.done
	return usage(p.cmd.ProcessState)
}

// Output runs a program to its end and returns its stdout; an error carries its stderr.
func Output(ctx context.Context, c Command) ([]byte, Usage, error) {
	cmd := c.prepare(ctx)
	var stderr tail
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		args := strings.Join(c.Args, " ")
		return out, usage(cmd.ProcessState), fmt.Errorf("%s %s: %w\n%s%s", c.Path, args, err, stderr.String(), last(out))
	}
	return out, usage(cmd.ProcessState), nil
}

func last(out []byte) string {
	if len(out) > 4096 {
		out = out[len(out)-4096:]
	}
	return string(out)
}

// tail is a writer that keeps the last part of what was written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

// maxTail is how much output is kept of each process.
const maxTail = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if over := len(t.data) - maxTail; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}
