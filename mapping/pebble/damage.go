package pebble

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"runtime/debug"
	"syscall"

	lsm "github.com/cockroachdb/pebble/v2"
)

// engine opens the engine's part of a store. Its errors are ErrDamaged unless
// the disk or the system is to blame. Files with bits that no engine wrote may
// make it panic while it reads them.
func engine(dir string, o *lsm.Options) (db *lsm.DB, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		cause, ok := p.(error)
		if !ok {
			cause = fmt.Errorf("%v", p)
		}
		o.Logger.Infof("opening %s: %v\n%s", dir, p, debug.Stack())
		db, err = nil, blame(cause)
	}()
	if db, err = lsm.Open(dir, o); err != nil {
		return nil, blame(err)
	}
	return db, nil
}

// blame says that the folder is damaged, unless err is one that a folder in good
// order gives too.
func blame(err error) error {
	for _, other := range []error{
		iofs.ErrPermission, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
	} {
		if errors.Is(err, other) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// damaged marks the errors that tell of damage found while reading.
func damaged(err error) error {
	if errors.Is(err, ErrDamaged) || !errors.Is(err, errDamaged) && !lsm.IsCorruptionError(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
