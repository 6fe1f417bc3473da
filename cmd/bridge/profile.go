package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profile records where this process spends its time if BRIDGE_CPU_PROFILE names a folder, into a file there that
// `go tool pprof` reads. stop must be called before the process ends; without it nothing is written.
func (a *app) profile() (stop func() error, err error) {
	dir, ok := a.lookup("BRIDGE_CPU_PROFILE")
	if !ok || dir == "" {
		return func() error { return nil }, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("bridge-%d.pprof", os.Getpid())), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: BRIDGE_CPU_PROFILE: %w", errUsage, err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
