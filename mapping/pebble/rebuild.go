package pebble

import (
	"errors"
	"fmt"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/mapping"
)

// The folders beside the store's while it is rebuilt: one that is being filled,
// and one that is full and waits to take the store's place.
const (
	fillingSuffix = ".filling"
	filledSuffix  = ".filled"
)

// Rebuild replaces the store in a folder, which must not be open, by one that
// fill has filled: with a transaction for each link, whose rows come from the
// link's layout. It reads nothing of what was there, so it mends what cannot be
// read; the caller lists the links beforehand. A crash leaves the old store or
// the new one, whole.
func Rebuild(dir string, cfg Config, fill func(mapping.Store) error) error {
	if err := rebuild(dir, cfg, fill); err != nil {
		return fmt.Errorf("mapping/pebble: rebuild %s: %w", dir, err)
	}
	return nil
}

func rebuild(dir string, cfg Config, fill func(mapping.Store) error) error {
	fs := cfg.FS
	if fs == nil {
		fs = vfs.Default
	}
	lock, err := acquire(fs, dir)
	if err != nil {
		return err
	}
	err = fillBeside(fs, dir, cfg, fill)
	if err == nil {
		err = takePlace(fs, dir)
	}
	return errors.Join(err, lock.Close())
}

// fillBeside fills a store beside the one in dir. It is there, complete, when
// there is no error, and not at all otherwise.
func fillBeside(fs vfs.FS, dir string, cfg Config, fill func(mapping.Store) error) error {
	if err := fs.RemoveAll(dir + fillingSuffix); err != nil {
		return err
	}
	s, err := open(dir+fillingSuffix, cfg)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(s), s.Close()); err != nil {
		return errors.Join(err, fs.RemoveAll(dir+fillingSuffix))
	}
	return rename(fs, dir+fillingSuffix, dir+filledSuffix)
}

// takePlace puts the filled store in the place of the one in dir.
func takePlace(fs vfs.FS, dir string) error {
	if err := fs.RemoveAll(dir); err != nil {
		return err
	}
	return rename(fs, dir+filledSuffix, dir)
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
			return lock, nil // the usual case: there is none
		}
		if err := errors.Join(takePlace(fs, dir), lock.Close()); err != nil {
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
