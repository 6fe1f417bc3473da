package netns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"
)

// ErrUnsupported says that namespaces with a NAT cannot be made here.
var ErrUnsupported = errors.New("netns: no network namespaces here")

// prefix begins the name of every namespace of every lab; what follows is the lab's name and the host's.
const prefix = "bridgelab-"

// Lab is the hosts and segments of one test.
type Lab struct {
	name string // of six hex digits
	lock *flock.Flock

	mu     sync.Mutex // guards spaces
	spaces []string   // namespaces, in the order in which they were made
}

// New starts an empty lab, and removes what labs of killed processes have left. Whoever calls it calls [Lab.Close].
func New(ctx context.Context) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root makes them", ErrUnsupported)
	}
	l, err := reserve()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.try(ctx), sweep(ctx)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// reserve takes a name for a lab, by a locked file.
func reserve() (*Lab, error) {
	if err := os.MkdirAll(lockDir(), 0o755); err != nil {
		return nil, fmt.Errorf("netns: %w", err)
	}
	for range 10 {
		random := make([]byte, 3)
		rand.Read(random)
		l := &Lab{name: hex.EncodeToString(random)}
		l.lock = flock.New(filepath.Join(lockDir(), l.name))
		if held, err := l.lock.TryLock(); err != nil {
			return nil, fmt.Errorf("netns: %w", err)
		} else if held {
			return l, nil
		}
	}
	return nil, errors.New("netns: no name is free for a lab")
}

func lockDir() string { return filepath.Join(os.TempDir(), "bridgelab") }

// try makes what every lab needs, once, and removes it again.
func (l *Lab) try(ctx context.Context) error {
	h, err := l.Host(ctx, "try")
	if err == nil {
		err = h.Masquerade(ctx, "lo", EndpointIndependent)
	}
	if err == nil {
		err = Do(h.Namespace, func() error { return nil })
	}
	if err := errors.Join(err, l.remove(ctx)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return nil
}

// Close removes everything of the lab. Processes on its hosts must have ended; those that have not keep their namespace
// alive without its name.
func (l *Lab) Close() error {
	err := l.remove(context.Background())
	return errors.Join(err, l.release())
}

// release gives the lab's name back. Its file may be gone, if another process took it for a dead lab's before it was locked.
func (l *Lab) release() error {
	err := os.Remove(l.lock.Path())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.lock.Unlock())
}

func (l *Lab) remove(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, space := range l.spaces {
		errs = append(errs, run(ctx, "", "ip", "netns", "delete", space))
	}
	l.spaces = nil
	return errors.Join(errs...)
}

// sweep removes labs that nobody holds any more.
func sweep(ctx context.Context) error {
	files, err := os.ReadDir(lockDir())
	if err != nil {
		return fmt.Errorf("netns: %w", err)
	}
	for _, file := range files {
		lock := flock.New(filepath.Join(lockDir(), file.Name()))
		if held, err := lock.TryLock(); err != nil || !held {
			continue // in use, or removed at this moment
		}
		left := &Lab{name: file.Name(), lock: lock}
		spaces, err := filepath.Glob(filepath.Join(spaceDir, prefix+left.name+"-*"))
		if err != nil {
			return fmt.Errorf("netns: %w", err)
		}
		for _, space := range spaces {
			left.spaces = append(left.spaces, filepath.Base(space))
		}
		if err := errors.Join(left.remove(ctx), left.release()); err != nil {
			return fmt.Errorf("netns: sweep: %w", err)
		}
	}
	return nil
}

// spaceDir is where ip keeps named namespaces.
const spaceDir = "/run/netns"

// Program finds a program that may be in a folder for administrators only.
func Program(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	if err != nil {
		return "", fmt.Errorf("netns: %s is not installed", name)
	}
	return path, nil
}

// program is Program that leaves it to the start of the program to fail.
func program(name string) string {
	if path, err := Program(name); err == nil {
		return path
	}
	return name
}

// Command returns the program and the arguments that run a program in a namespace; with an empty name, as it is. The
// process is the program itself, not a parent of it.
func Command(namespace, path string, args []string) (string, []string) {
	if namespace == "" {
		return path, args
	}
	return program("ip"), append([]string{"netns", "exec", namespace, path}, args...)
}

// run runs one of the system's programs to its end.
func run(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, program(name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("netns: %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(output.String()))
	}
	return nil
}
