// Package disk is the folder of a store: where its files are, how they come
// there and how they become durable.
//
//	<dir>/lock                         held by the one process that uses the folder
//	<dir>/data/<2 hex>/<hex>.data      the bytes of a blob, whole or partial
//	<dir>/data/<2 hex>/<hex>.obao4     its outboard, if it is not in the database
//	<dir>/tmp/<n>.data, <n>.obao4      what has no hash or no record yet
//	<dir>/meta/                        the database
//
// A file is written under tmp/ and gets its final name by a rename on the same
// file system. Everything under tmp/ is removed when the folder is opened. All
// of it is readable by the owner only.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// syncWorkers is how many folders are synced at the same time.
const syncWorkers = 16

// ErrLocked says that another process uses the folder.
var ErrLocked = errors.New("store: folder is in use by another process")

// Folder is an open and locked folder. It is safe for concurrent use.
type Folder struct {
	dir   string
	lock  *flock.Flock
	names atomic.Uint64 // of temporary files
	space space
	trace Trace
}

// Trace is told what was done to files: "sync" with the open file or folder,
// "rename" with the new name, and "remove" with the name before it is done.
type Trace func(op string, file *os.File, name string)

// Open makes the folder if need be, locks it and empties its tmp. Writes are
// refused while less than reserve bytes are free. trace may be nil.
func Open(dir string, reserve uint64, trace Trace) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "data"), filepath.Join(dir, "tmp")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	f := &Folder{
		dir:   dir,
		lock:  flock.New(filepath.Join(dir, "lock")),
		space: space{dir: dir, reserve: reserve},
		trace: trace,
	}
	if trace == nil {
		f.trace = func(string, *os.File, string) {}
	}
	if ok, err := f.lock.TryLock(); err != nil {
		return nil, fmt.Errorf("store: locking %s: %w", dir, err)
	} else if !ok {
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	if err := f.sweep(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Folder) sweep() error {
	tmp := filepath.Join(f.dir, "tmp")
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(tmp, e.Name())); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

// Close gives the folder free.
func (f *Folder) Close() error {
	if err := f.lock.Unlock(); err != nil {
		return fmt.Errorf("store: unlocking %s: %w", f.dir, err)
	}
	return nil
}

// Meta is the folder of the database.
func (f *Folder) Meta() string { return filepath.Join(f.dir, "meta") }

// Data is the final name of a blob's bytes.
func (f *Folder) Data(h bao.Hash) string { return f.path(h, ".data") }

// Outboard is the final name of a blob's outboard.
func (f *Folder) Outboard(h bao.Hash) string { return f.path(h, ".obao4") }

func (f *Folder) path(h bao.Hash, suffix string) string {
	name := h.String()
	return filepath.Join(f.dir, "data", name[:2], name+suffix)
}

// Create makes a temporary file; suffix is ".data" or ".obao4".
func (f *Folder) Create(suffix string) (*os.File, error) {
	name := filepath.Join(f.dir, "tmp", fmt.Sprintf("%d%s", f.names.Add(1), suffix))
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return file, nil
}

// Take accounts for n bytes that are about to be written anywhere in the
// folder. Its error is an ENOSPC. Urgent writes, those that free space or keep
// what is there consistent, may use nearly all of the reserve.
func (f *Folder) Take(n int, urgent bool) error { return f.space.take(n, urgent) }

// Temp names the temporary files of a blob, "" where there is none or it has
// got its final name.
type Temp struct{ Data, Outboard string }

// Empty reports whether there is no temporary file.
func (t *Temp) Empty() bool { return *t == Temp{} }

// Remove removes the temporary files.
func (t *Temp) Remove() error {
	err := Remove(t.Data, t.Outboard)
	*t = Temp{}
	return err
}

// Place gives the temporary files their final names, in place of what has them
// now. The names are durable once dirs are synced.
func (f *Folder) Place(h bao.Hash, t *Temp, dirs Dirs) error {
	if t.Empty() {
		return nil
	}
	dir := filepath.Dir(f.Data(h))
	if err := os.Mkdir(dir, 0o700); err == nil {
		dirs[filepath.Dir(dir)] = struct{}{}
	} else if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("store: %w", err)
	}
	dirs[dir] = struct{}{}
	if err := f.rename(&t.Outboard, f.Outboard(h)); err != nil {
		return err
	}
	return f.rename(&t.Data, f.Data(h))
}

func (f *Folder) rename(tmp *string, to string) error {
	if *tmp == "" {
		return nil
	}
	if err := os.Rename(*tmp, to); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	f.trace("rename", nil, to)
	*tmp = ""
	return nil
}

// RemoveFinal removes the data, the outboard, or both, of a blob. They stay
// gone once dirs are synced.
func (f *Folder) RemoveFinal(h bao.Hash, data, outboard bool, dirs Dirs) error {
	dirs[filepath.Dir(f.Data(h))] = struct{}{}
	var names []string
	if data {
		names = append(names, f.Data(h))
	}
	if outboard {
		names = append(names, f.Outboard(h))
	}
	for _, name := range names {
		f.trace("remove", nil, name)
	}
	return Remove(names...)
}

// Remove removes files; "" and those that are gone already are no error.
func Remove(names ...string) error {
	var errs []error
	for _, name := range names {
		if name == "" {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("store: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Discard closes a file, if it is not closed yet, and removes it.
func Discard(f *os.File) error {
	err := f.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, Remove(f.Name()))
}

// Dirs are folders in which names changed.
type Dirs map[string]struct{}

// SyncDirs makes the names in the folders durable.
func (f *Folder) SyncDirs(dirs Dirs) error {
	var g errgroup.Group
	g.SetLimit(syncWorkers)
	for dir := range dirs {
		g.Go(func() error {
			err := f.Sync(dir)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // nothing was ever put there
			}
			return err
		})
	}
	return g.Wait()
}

// Sync makes a file or folder durable; "" is nothing to do.
func (f *Folder) Sync(name string) error {
	if name == "" {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return errors.Join(f.SyncFile(file), file.Close())
}

// SyncFile makes an open file durable.
func (f *Folder) SyncFile(file *os.File) error {
	if err := file.Sync(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	f.trace("sync", file, "")
	return nil
}
