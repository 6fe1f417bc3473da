// Package folder is a bridge's data folder: where things are in it, that one process has it at a time, and whether the last
// one came to close it.
//
//	lock         held by the process that has the folder open
//	running      there while a process has it open; one that is killed leaves it
//	iroh.key, libp2p.key, blobs/, mapping/   of the rooms that read them
//
// Everything in it belongs to the user who runs the bridge; nobody else is to write there.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// ErrBusy says that another process has the folder open.
var ErrBusy = errors.New("the data folder is in use")

// runningName is a file that is there while a process has the folder open. (A power failure may take it along, as it is not worth a
// write that waits for the disk; then what was cut short is looked for a moment after the start.)
const runningName = "running"

// Folder is an open data folder.
type Folder struct {
	dir  string
	lock *flock.Flock
	cut  bool

	closing sync.Once
}

// Open makes a folder if there is none, and locks it: ErrBusy if another process has.
func Open(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	f := &Folder{dir: dir, lock: flock.New(filepath.Join(dir, "lock"))}
	held, err := f.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("data folder: locking: %w", err)
	}
	if !held {
		return nil, fmt.Errorf("%w: another process has %s open; stop it, or wait until its daemon is ready", ErrBusy, dir)
	}
	note, err := os.OpenFile(filepath.Join(dir, runningName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		f.cut = true
		return f, nil
	case err == nil:
		err = note.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data folder: %w", err), f.lock.Unlock())
	}
	return f, nil
}

// Dir is the folder's absolute path.
func (f *Folder) Dir() string { return f.dir }

// Cut tells whether the process that had the folder before was killed.
func (f *Folder) Cut() bool { return f.cut }

// Close lets go of the folder. Unless all is well in it, the next process finds it as after a kill. A second call does nothing.
func (f *Folder) Close(well bool) (err error) {
	f.closing.Do(func() {
		if well {
			err = os.Remove(filepath.Join(f.dir, runningName))
		}
		err = errors.Join(err, f.lock.Unlock())
	})
	return err
}

// IrohKey is the file of the iroh endpoint's key.
func (f *Folder) IrohKey() string { return filepath.Join(f.dir, "iroh.key") }

// Libp2pKey is the file of the libp2p peer's key.
func (f *Folder) Libp2pKey() string { return filepath.Join(f.dir, "libp2p.key") }

// Blobs is the folder of the blob store.
func (f *Folder) Blobs() string { return filepath.Join(f.dir, "blobs") }

// Mapping is the folder of the mapping database.
func (f *Folder) Mapping() string { return filepath.Join(f.dir, "mapping") }
