package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/pebble/internal/room"
)

// ErrFailed says that the disk refuses writes. What was acknowledged is there,
// and can be read; writes fail until the disk is well again, and, if the text
// says so, the store was closed and opened again.
var ErrFailed = errors.New("mapping/pebble: the disk failed")

// ErrDamaged says that what is in the folder is not, or no longer, a store that
// can be read. [Rebuild] mends it.
var ErrDamaged = errors.New("mapping/pebble: damaged")

// version is the format of the keys and values in the folder.
const version = 1

// Config says how a store runs. The zero value is useful.
type Config struct {
	// Logger gets what the storage engine has to say. Nil is silent.
	Logger *slog.Logger
	// CacheSize is the memory for blocks and filters, in bytes. 0 is 12 MiB.
	CacheSize int64
	// Existing says that there must be a store in the folder: Open fails with
	// ErrDamaged if there is none. Without it Open makes one, also where the
	// files by which the engine knows its own were lost.
	Existing bool
	// FS is the file system. Nil is the disk.
	FS vfs.FS

	// memTableSize is for tests that want many flushes. 0 is memTableSize.
	memTableSize uint64
}

// Store is a [mapping.Store] in a folder.
type Store struct {
	db     *lsm.DB
	lock   *lsm.Lock
	states states
	gate   gate
	health *health

	seqMu   sync.Mutex
	nextSeq uint64

	// links keeps two commits of one link apart, hashes keeps a reference to a
	// blob and the blob's removal apart.
	links  [stripes]sync.Mutex
	hashes [stripes]sync.RWMutex
	// purging is held, as its one element, by the Purge that runs.
	purging chan struct{}
	// closing ends a Purge that runs when the store is closed.
	closing context.Context
	cancel  context.CancelFunc
}

var _ mapping.Store = (*Store)(nil)

// Open opens the store in a folder, which it makes if need be. One process at a
// time can have it open. The error is ErrDamaged if the reason lies in the
// folder, and not in the disk, the lock or a version of the future.
func Open(dir string, cfg Config) (*Store, error) {
	s, err := open(dir, cfg)
	if err != nil {
		return nil, fmt.Errorf("mapping/pebble: open %s: %w", dir, err)
	}
	return s, nil
}

func open(dir string, cfg Config) (_ *Store, err error) {
	s := &Store{
		states:  states{m: make(map[uint64]state)},
		health:  newHealth(cfg.Logger),
		purging: make(chan struct{}, 1),
	}
	s.gate.init()
	defer func() {
		if err != nil && s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	defer s.health.recover(&err)
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	if s.lock, err = acquire(cfg.FS, dir); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, err
	}
	o := options(cfg, s.health)
	o.Lock = s.lock
	o.ErrorIfNotExists = cfg.Existing
	if s.db, err = engine(dir, o); err != nil {
		return nil, err
	}
	if err := s.load(cfg.Existing); err != nil {
		return nil, errors.Join(damaged(err), s.db.Close())
	}
	s.health.full.Start()
	s.closing, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func options(cfg Config, log *health) *lsm.Options {
	o := &lsm.Options{
		FS:                          patient{room.FS{FS: cfg.FS, Full: log.full}, log},
		Comparer:                    comparer(),
		FormatMajorVersion:          lsm.FormatTableFormatV6,
		CacheSize:                   cfg.CacheSize,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: memTables,
		MaxOpenFiles:                maxOpenFiles,
		Logger:                      log,
		EventListener:               log.listener(),
		L0StopWritesThreshold:       1 << 20, // a damaged table that cannot be compacted must not stop writing
		LBaseMaxBytes:               64 << 20,
		L0CompactionThreshold:       2,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	if cfg.memTableSize != 0 {
		o.MemTableSize = cfg.memTableSize
	}
	if o.CacheSize == 0 {
		o.CacheSize = cacheSize
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = 8 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBits)
		o.Levels[i].FilterType = lsm.TableFilter
		o.TargetFileSizes[i] = tableSize
	}
	return o
}

// load reads the version, the next seq, and the seqs that are not live.
func (s *Store) load(existing bool) error {
	v, err := s.meta("version")
	if err != nil {
		return err
	}
	if v == nil && existing {
		// The engine takes a file of its own that breaks off for one that a crash cut short.
		return fmt.Errorf("%w: what was written first is not there", errDamaged)
	}
	if v == nil {
		if err := s.db.Set(metaKey("version"), []byte{version}, lsm.Sync); err != nil {
			return err
		}
	} else if len(v) != 1 || v[0] != version {
		return fmt.Errorf("the folder has format %x, this program reads %d", v, version)
	}
	s.nextSeq = 1
	if v, err = s.meta("seq"); err != nil {
		return err
	}
	if len(v) == seqSize {
		s.nextSeq = binary.BigEndian.Uint64(v)
	} else if v != nil {
		return fmt.Errorf("%w: seq %x", errDamaged, v)
	}
	for _, table := range []byte{tablePending, tableDead} {
		err := s.scan(context.Background(), table, func(k, _ []byte) error {
			if b := body(k); len(b) == seqSize {
				s.states.m[binary.BigEndian.Uint64(b)] = dead
				return nil
			}
			return fmt.Errorf("%w: key %x", errDamaged, k)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) meta(name string) ([]byte, error) {
	v, c, err := s.db.Get(metaKey(name))
	if errors.Is(err, lsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := append([]byte{}, v...)
	return out, c.Close()
}

// Close closes the store. It waits for calls that run; running transactions are
// lost, as in a crash. When the disk has failed, calls may never end: then it
// gives up after a while with ErrFailed, and leaves the folder locked until the
// process ends.
func (s *Store) Close() error {
	if !s.gate.shut() {
		return nil
	}
	s.cancel()
	if !s.gate.wait(func() bool { return s.health.err() != nil }) {
		return fmt.Errorf("mapping/pebble: close: %w", s.health.err())
	}
	err, ended := s.closeEngine()
	if !ended {
		return fmt.Errorf("mapping/pebble: close: %w", s.health.err())
	}
	err = errors.Join(err, s.lock.Close())
	if failed := s.health.err(); failed != nil {
		err = failed // what Close says then is a consequence
	}
	if err != nil {
		return fmt.Errorf("mapping/pebble: close: %w", err)
	}
	return nil
}

// closeEngine closes the engine, which waits for its jobs. It gives up, like
// Close, when they have been waiting for room on the disk for a while.
func (s *Store) closeEngine() (err error, ended bool) {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer s.health.recover(&err)
		err = s.db.Close()
	}()
	look := time.NewTicker(closeWait)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err, true
		case <-look.C:
			if s.health.full.Refused() != nil {
				return nil, false
			}
		}
	}
}

// do runs fn while the store is open, and names the package in its error.
func (s *Store) do(what string, fn func() error) (err error) {
	if !s.gate.enter() {
		return fmt.Errorf("mapping/pebble: %s: %w", what, mapping.ErrClosed)
	}
	defer s.gate.leave()
	defer func() {
		if err != nil {
			err = fmt.Errorf("mapping/pebble: %s: %w", what, damaged(err))
		}
	}()
	defer s.health.recover(&err)
	return fn()
}

// op is one write: a row, or the removal of one.
type op struct {
	key, value []byte
	remove     bool
}

// write makes some writes together, and waits until they are durable if sync is
// set.
func (s *Store) write(sync bool, ops ...op) error {
	b := s.db.NewBatch()
	for _, o := range ops {
		err := error(nil)
		if o.remove {
			err = b.Delete(o.key, nil)
		} else {
			err = b.Set(o.key, o.value, nil)
		}
		if err != nil {
			return errors.Join(err, b.Close())
		}
	}
	return s.apply(b, sync)
}

// apply writes a batch, and waits until it is durable if sync is set.
func (s *Store) apply(b *lsm.Batch, sync bool) error {
	if err := s.health.err(); err != nil {
		return err
	}
	o := lsm.NoSync
	if sync {
		o = lsm.Sync
	}
	if err := s.db.Apply(b, o); err != nil {
		return err
	}
	return b.Close()
}

// hashLock is the lock over the references to a blob. Other stores of the
// process spread over hashes by their first byte, so this takes the last.
func (s *Store) hashLock(hash [32]byte) *sync.RWMutex {
	return &s.hashes[int(hash[31])%stripes]
}

// linkLock is the lock over a link, by its key's body.
func (s *Store) linkLock(body []byte) *sync.Mutex {
	return &s.links[int(body[len(body)-1])%stripes]
}
