// Package room is a file system for a storage engine that cannot take an error where it writes its manifest: there it
// waits until the disk has room. Besides, it tells who called an engine that gives up.
//
// Names and bytes are the engine's and go to the disk as they are. Nobody is trusted and nothing is limited here.
package room

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// retryDelay is how long a manifest waits before it tries again.
const retryDelay = 100 * time.Millisecond

// FS is a file system on which a manifest that finds the disk full waits until there is room. The engine cannot take
// an error there: it would end the process. A write that the disk refused for want of space has changed nothing and can
// be made again; a sync that failed can not, and is the error that it is.
type FS struct {
	vfs.FS
	Full *Full
}

// Full is whether a manifest waits for room. While one does, writers are refused, or they would come to wait, too.
type Full struct {
	mu      sync.Mutex
	waiting bool // set once the store is open: who opens it must not wait for ever
	err     error
}

// Start lets manifests wait.
func (f *Full) Start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = true
}

// Refused returns the error of the manifest that waits, nil if none does.
func (f *Full) Refused() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// again notes how a try ended, and tells whether to try again, after a while.
func (f *Full) again(err error) bool {
	f.mu.Lock()
	if err == nil || !f.waiting || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		f.err = nil
		f.mu.Unlock()
		return false
	}
	f.err = err
	f.mu.Unlock()
	time.Sleep(retryDelay)
	return true
}

// Create makes a file. A manifest waits for room.
func (r FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	base := r.FS.PathBase(name)
	if !strings.HasPrefix(base, "MANIFEST-") && !strings.HasPrefix(base, "marker.") {
		return r.FS.Create(name, c)
	}
	for {
		f, err := r.FS.Create(name, c)
		if err == nil {
			r.Full.again(nil)
			return roomFile{f, r.Full}, nil
		}
		if !r.Full.again(err) {
			return nil, fmt.Errorf("%s: %w", base, err)
		}
	}
}

// Unwrap returns the file system below.
func (r FS) Unwrap() vfs.FS { return r.FS }

// roomFile is a manifest.
type roomFile struct {
	vfs.File
	full *Full
}

func (f roomFile) Write(p []byte) (n int, err error) {
	for {
		m, err := f.File.Write(p[n:])
		n += m
		if err == nil || n == len(p) {
			f.full.again(nil)
			return n, nil
		}
		if !f.full.again(err) {
			return n, err
		}
	}
}
