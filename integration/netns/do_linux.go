package netns

import (
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
	go func() {
		// The thread is never unlocked and so ends with the goroutine: nobody else shall get it.
		runtime.LockOSThread()
		if err := enter(namespace); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
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
