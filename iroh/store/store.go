package store

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/lru"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/reading"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/receive"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/stripes"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/trash"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/watch"
)

// Config tunes a store. The zero value is good for everything.
type Config struct {
	// Logger gets warnings about damage and failed clean-up. nil discards.
	Logger *slog.Logger

	// InlineMax is the largest blob, in bytes, that is kept inside the
	// database. 0 means 16 KiB, which is also the most; negative means none.
	InlineMax int

	// OpenFiles is how many blobs are kept open for reading after the last
	// reader is gone, two file descriptors each at most. 0 means 128.
	OpenFiles int

	// DiskReserve is how many bytes of the disk are left alone: adding fails
	// with ENOSPC once less is free. 0 means 16 MiB.
	DiskReserve uint64

	fs    vfs.FS     // of the database, and
	trace disk.Trace // what is done to files: tests cut the power
}

// withDefaults returns the configuration with every zero filled in.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.InlineMax == 0 || c.InlineMax > meta.MaxInline:
		c.InlineMax = meta.MaxInline
	case c.InlineMax < 0:
		c.InlineMax = -1
	}
	if c.OpenFiles <= 0 {
		c.OpenFiles = defaultOpenFiles
	}
	if c.DiskReserve == 0 {
		c.DiskReserve = defaultDiskReserve
	}
	if c.fs == nil {
		c.fs = vfs.Default
	}
	return c
}

// Store is a folder of blobs. It is safe for concurrent use.
type Store struct {
	cfg    Config
	log    *slog.Logger
	folder *disk.Folder
	db     *meta.DB
	open   *lru.Cache[bao.Hash, *reading.Files]
	pool   *receive.Pool

	watches watch.Hub[bao.Hash]
	trash   trash.List // deleted, files still there

	// settling is held (by sending) while files move to or from their final
	// places: by Sync, Delete and the first Flush of a download.
	settling chan struct{}

	// stripes serialise what changes the state of one hash. Order of locks:
	// settling, stripe, mu.
	stripes stripes.Locks

	mu           sync.Mutex
	closed       bool
	active       sync.WaitGroup         // calls in progress
	pending      map[bao.Hash]*staged   // committed, not settled
	pendingBytes int                    // of their inline outboards
	lost         map[bao.Hash]error     // committed, but could not be synced
	downloads    map[bao.Hash]*Download // open ones
}

// Open opens the store in the folder, which is created if need be. It fails
// with [ErrLocked] if the folder is in use. What an interrupted process left
// half done is removed.
func Open(dir string, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	folder, err := disk.Open(dir, cfg.DiskReserve, cfg.trace)
	if err != nil {
		return nil, err
	}
	db, err := meta.Open(folder.Meta(), cfg.fs, cfg.Logger)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	s := &Store{
		cfg: cfg, log: cfg.Logger, folder: folder, db: db,
		open:      lru.New[bao.Hash](cfg.OpenFiles, (*reading.Files).Close),
		pool:      receive.NewPool(),
		settling:  make(chan struct{}, 1),
		pending:   make(map[bao.Hash]*staged),
		lost:      make(map[bao.Hash]error),
		downloads: make(map[bao.Hash]*Download),
	}
	s.open.Dropped = s.changed
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, db.Close(), folder.Close())
	}
	return s, nil
}

// sweep removes the files of every intent that no record uses.
func (s *Store) sweep() error {
	intents, err := s.db.Intents()
	if err != nil || len(intents) == 0 {
		return err
	}
	dirs := disk.Dirs{}
	b := s.db.NewBatch()
	for _, h := range intents {
		if err := s.removeUnused(h, nil, dirs); err != nil {
			return errors.Join(err, b.Discard())
		}
		b.RemoveIntent(h)
	}
	if err := s.folder.SyncDirs(dirs); err != nil {
		return errors.Join(err, b.Discard())
	}
	return b.Commit(true)
}

// removeUnused removes the files of a hash that its record, if there is one,
// does not use; nor st, which is nil or about to get a record: what has its final
// name already, by an attempt that failed afterwards, stays.
func (s *Store) removeUnused(h bao.Hash, st *staged, dirs disk.Dirs) error {
	rec, found, err := s.db.Blob(h, false)
	if err != nil {
		return err
	}
	data, outboard := !found || !rec.DataFile(), !found || !rec.OutboardFile()
	if st != nil {
		temp := s.tempOf(h, st)
		data = data && (temp.Data != "" || !st.rec.DataFile())
		outboard = outboard && (temp.Outboard != "" || !st.rec.OutboardFile())
	}
	return s.folder.RemoveFinal(h, data, outboard, dirs)
}

// Close makes everything durable and closes the store; downloads that are
// still open keep what they have. Blobs that are open stay readable until they
// are closed themselves.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.active.Wait()

	var errs []error
	s.mu.Lock()
	open := slices.Collect(maps.Values(s.downloads))
	s.mu.Unlock()
	for _, d := range open {
		errs = append(errs, d.finish(true))
	}
	errs = append(errs, s.settle(context.Background()))
	s.open.DropAll()
	errs = append(errs, s.db.Close(), s.folder.Close())
	return errors.Join(errs...)
}

// enter begins a call that uses the database; leave ends it.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.active.Add(1)
	return nil
}

func (s *Store) leave() { s.active.Done() }

// lockHash serialises changes of one hash; it returns the unlocking.
func (s *Store) lockHash(h bao.Hash) (unlock func()) { return s.stripes.Lock(h) }

// closeFile closes a temporary file that was given up and removes it.
func (s *Store) closeFile(f *os.File) {
	if f == nil {
		return
	}
	if err := disk.Discard(f); err != nil {
		s.log.Warn("store: temporary file stays until the next start", "error", err)
	}
}

// removeTemp removes what a staged blob has under tmp/.
func (s *Store) removeTemp(st *staged) {
	if st == nil {
		return
	}
	if err := st.temp.Remove(); err != nil {
		s.log.Warn("store: temporary file stays until the next start", "error", err)
	}
}
