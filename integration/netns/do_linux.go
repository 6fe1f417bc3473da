package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do calls f in a namespace; with an empty name, where the caller is. Sockets that f opens belong to the namespace for ever;
// what f starts, goroutines as well as processes, does not: f must start none, and must not end its goroutine.
func Do(namespace string, f func() error) error {
	if namespace == "" {
		return f()
	}
	done := make(chan error, 1)
	go func() { done <- do(namespace, f) }()
	return <-done
}

// do moves its thread, and moves it back. A thread that could just end instead must not: it may have started processes, and they
// are killed when it ends (PR_SET_PDEATHSIG). One that cannot be moved back has to end all the same, so it stays locked.
func do(namespace string, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netns: %w", err)
	}
	defer home.Close()
	err = enter(namespace)
	if err == nil {
		err = f()
	}
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("netns: leave %s: %w", namespace, back))
	}
	runtime.UnlockOSThread()
	return err
}

// enter moves the calling thread.
func enter(namespace string) error {
	space, err := os.Open(filepath.Join(spaceDir, namespace))
	if err != nil {
		return fmt.Errorf("netns: %w", err)
	}
	defer space.Close()
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("netns: enter %s: %w", namespace, err)
	}
	return nil
}
