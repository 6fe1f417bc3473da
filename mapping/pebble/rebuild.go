package pebble

import (
	"errors"
	"fmt"
	iofs "io/fs"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/mapping"
)

// The folders beside the store's while it is rebuilt: one that is being filled,
// and one that is full and waits to take the store's place. Afterwards the old
// store stands beside the new one, as .damaged.1, .damaged.2 and so on.
const (
	fillingSuffix = ".filling"
	filledSuffix  = ".filled"
	damagedSuffix = ".damaged."
)

// Rebuild replaces the store in a folder, which must not be open, by one that
// fill has filled: with a transaction for each link, whose rows come from the
// link's layout. It reads nothing of what was there, so it mends what cannot be
// read, be it a damaged file, a missing one or the whole folder; the caller
// knows the links from elsewhere. What was there is not deleted but moved to the
// folder that aside names, empty if there was nothing. A crash leaves the old
// store or the new one, whole.
func Rebuild(dir string, cfg Config, fill func(mapping.Store) error) (aside string, err error) {
	if aside, err = rebuild(dir, cfg, fill); err != nil {
		return aside, fmt.Errorf("mapping/pebble: rebuild %s: %w", dir, err)
	}
	return aside, nil
}

func rebuild(dir string, cfg Config, fill func(mapping.Store) error) (aside string, err error) {
	fs := cfg.FS
	if fs == nil {
		fs = vfs.Default
	}
	if info, err := fs.Stat(dir); err == nil && !info.IsDir() {
		// A file stands where the folder should be: it cannot even be locked.
		if aside, err = setAside(fs, dir); err != nil {
			return "", err
		}
	}
	lock, err := acquire(fs, dir)
	if err != nil {
		return aside, err
	}
	err = fillBeside(fs, dir, cfg, fill)
	if err == nil {
		var moved string
		if moved, err = takePlace(fs, dir); moved != "" {
			aside = moved
		}
	}
	return aside, errors.Join(err, lock.Close())
}

// fillBeside fills a store beside the one in dir. It is there, complete, when
// there is no error, and not at all otherwise.
func fillBeside(fs vfs.FS, dir string, cfg Config, fill func(mapping.Store) error) error {
	cfg.Existing = false
	s, err := open(dir+fillingSuffix, cfg)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(s), s.Close()); err != nil {
		return errors.Join(err, fs.RemoveAll(dir+fillingSuffix))
	}
	return rename(fs, dir+fillingSuffix, dir+filledSuffix)
}

// takePlace puts the filled store in the place of the one in dir, which it sets
// aside.
func takePlace(fs vfs.FS, dir string) (aside string, err error) {
	empty, err := unused(fs, dir)
	if err != nil {
		return "", err
	}
	if empty {
		err = fs.RemoveAll(dir)
	} else {
		aside, err = setAside(fs, dir)
	}
	if err != nil {
		return "", err
	}
	return aside, rename(fs, dir+filledSuffix, dir)
}

// unused tells whether a folder holds nothing, or no more than the lock that
// acquire makes.
func unused(fs vfs.FS, dir string) (bool, error) {
	names, err := fs.List(dir)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if name != lockName {
			return false, nil
		}
	}
	return true, nil
}

// lockName is the file by which the engine locks a folder.
const lockName = "LOCK"

// setAside renames a store's folder to the first name that is free.
func setAside(fs vfs.FS, dir string) (aside string, err error) {
	for n := 1; ; n++ {
		aside = fmt.Sprintf("%s%s%d", dir, damagedSuffix, n)
		if _, err := fs.Stat(aside); errors.Is(err, iofs.ErrNotExist) {
			return aside, rename(fs, dir, aside)
		} else if err != nil {
			return "", err
		}
	}
}

// acquire locks a store's folder, which it makes if need be, for this process.
// It ends a rebuild that a crash cut short.
func acquire(fs vfs.FS, dir string) (*lsm.Lock, error) {
	for {
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		lock, err := lsm.LockDirectory(dir, fs)
		if err != nil {
			return nil, err
		}
		if _, err := fs.Stat(dir + filledSuffix); err != nil {
			// The usual case. What was being filled is begun anew.
			if err := fs.RemoveAll(dir + fillingSuffix); err != nil {
				return nil, errors.Join(err, lock.Close())
			}
			return lock, nil
		}
		_, err = takePlace(fs, dir)
		if err := errors.Join(err, lock.Close()); err != nil {
			return nil, err
		}
	}
}

// rename renames a folder, durably.
func rename(fs vfs.FS, from, to string) error {
	if err := fs.Rename(from, to); err != nil {
		return err
	}
	d, err := fs.OpenDir(fs.PathDir(to))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
