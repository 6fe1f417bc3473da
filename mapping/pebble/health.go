package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"sync/atomic"
	"time"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/mapping/pebble/internal/room"
)

// health is what the engine says about the disk. It is the engine's logger and
// listener.
//
// The engine calls Fatalf when it cannot go on, and expects not to return. Where
// the engine was called by us Fatalf panics, and the panic becomes ErrFailed. In
// one of the engine's own goroutines (its manifest could not be synced) nothing
// can be unwound: the process ends with status 1 after a line in the log, which
// is safe, since a crash loses nothing that was acknowledged. A manifest that
// could not be written for want of space is not such a case, see room.
type health struct {
	log *slog.Logger
	// failed is set when the engine gave up.
	failed atomic.Pointer[engineError]
	// flush is the error of the last flush, nil after a good one. The engine
	// goes on trying; meanwhile its write buffers would fill, and then writers
	// wait for ever.
	flush, tried atomic.Pointer[engineError]
	// full tells of a manifest that waits for room.
	full *room.Full
	// exit ends the process: os.Exit, but for tests.
	exit func(status int)
	// ailed is when a job in the background failed last, in nanoseconds.
	ailed atomic.Int64
}

type engineError struct{ error }

func newHealth(log *slog.Logger) *health {
	h := &health{log: log, full: &room.Full{}, exit: os.Exit}
	if log == nil {
		h.log = slog.New(slog.DiscardHandler)
		h.exit = func(int) {} // so that the panic says why
	}
	return h
}

func (h *health) Infof(format string, args ...any)  { h.log.Debug(fmt.Sprintf(format, args...)) }
func (h *health) Errorf(format string, args ...any) { h.log.Error(fmt.Sprintf(format, args...)) }

func (h *health) Fatalf(format string, args ...any) {
	e := &engineError{room.Fatal{Text: fmt.Sprintf(format, args...), Causes: args}}
	h.failed.CompareAndSwap(nil, e)
	if !room.CalledBy(reflect.TypeFor[health]().PkgPath(), "(*Store).", "engine") {
		h.log.Error("the mapping database cannot go on and the process ends: see to the disk, which may be full or failing, and start again; "+
			"nothing that was acknowledged is lost", "err", e.error)
		h.exit(1)
	}
	panic(e)
}

// listener listens to the engine's jobs in the background.
func (h *health) listener() *lsm.EventListener {
	return &lsm.EventListener{
		// Left to itself the engine ends the process when a table file is damaged.
		// Who reads from it gets the error, and Rebuild mends it.
		DataCorruption: func(i lsm.DataCorruptionInfo) { h.Errorf("%s", i) },
		FlushEnd: func(i lsm.FlushInfo) {
			if i.Err == nil {
				h.flush.Store(nil)
			}
			h.tried.Store(&engineError{i.Err})
		},
		BackgroundError: func(err error) {
			h.ailed.Store(time.Now().UnixNano())
			h.Errorf("background: %v", err)
			// A flush that found nothing to write ends with an error too, but is
			// not reported here.
			if e := h.tried.Load(); e != nil && e.error != nil && errors.Is(err, e.error) {
				h.flush.Store(e)
			}
		},
	}
}

// err returns an error that wraps ErrFailed while writes cannot succeed.
func (h *health) err() error {
	if e := h.failed.Load(); e != nil {
		return fmt.Errorf("%w, reopen the store: %w", ErrFailed, e.error)
	}
	if e := h.flush.Load(); e != nil {
		return fmt.Errorf("%w: %w", ErrFailed, e.error)
	}
	if err := h.full.Refused(); err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return nil
}

// recover turns the engine's panic into an error. It is to be deferred. The
// engine panics with an error, too, where a folder cannot be synced.
func (h *health) recover(err *error) {
	switch p := recover().(type) {
	case nil:
	case *engineError:
		*err = h.err()
	case runtime.Error:
		panic(p)
	case error:
		h.failed.CompareAndSwap(nil, &engineError{p})
		*err = h.err()
	default:
		panic(p)
	}
}

// patient is a file system that slows down the engine's jobs while they fail: it
// would start a failed one again at once.
type patient struct {
	vfs.FS
	health *health
}

func (p patient) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if time.Since(time.Unix(0, p.health.ailed.Load())) < retryDelay {
		<-time.After(retryDelay) // short enough for Close to wait for it
	}
	return p.FS.Create(name, c)
}

func (p patient) Unwrap() vfs.FS { return p.FS }
