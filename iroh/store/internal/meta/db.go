// Package meta is the database of a store: what it knows about each blob, the
// bytes of the small ones, and tags, in a Pebble.
//
//	b + hash   the record of a blob, see [Record]
//	i + hash   intent: files of this hash may have their final names although no
//	           record says so; the next start looks and removes them
//	t + name   tag: format byte, hash
//	v          version of this layout, one byte
//
// Writes are atomic batches in one log. A batch that is not synced may be lost
// in a crash, with all that came after it; one that is synced makes all that
// came before it durable.
package meta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

const (
	keyBlob    = 'b'
	keyIntent  = 'i'
	keyTag     = 't'
	keyVersion = 'v'
)

// layoutVersion is bumped when an older program could not read what this one
// writes.
const layoutVersion = 1

// Pebble's share of the memory, ten mebibytes in all, and of the disk: it keeps
// one log more than there are memtables, each as large as one, to use again.
const (
	memTableSize = 1 << 20
	memTables    = 3
	blockCache   = 4 << 20
	tableFiles   = 128
)

// DB is the database. It is safe for concurrent use. Its errors are final in
// one case: when a write of the log fails, Pebble cannot go on, and every later
// call returns that error until the process opens the database anew.
type DB struct {
	db     *pebble.DB
	failed atomic.Pointer[error]

	applied atomic.Uint64 // batches applied without sync
	synced  atomic.Uint64 // how many of them are durable
}

// Open opens the database in the folder. Errors: an unknown version, I/O.
func Open(dir string, fs vfs.FS, log *slog.Logger) (_ *DB, err error) {
	defer func() { // as of Fatalf
		if p := recover(); p != nil {
			cause, ok := p.(error)
			if !ok {
				cause = fmt.Errorf("%v", p)
			}
			err = fmt.Errorf("store: opening database: %w", cause)
		}
	}()
	cache := pebble.NewCache(blockCache)
	defer cache.Unref()
	opts := &pebble.Options{
		Cache:                       cache,
		FS:                          fs,
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       32,
		MaxOpenFiles:                tableFiles,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: memTables,
		Logger:                      pebbleLog{log, os.Exit},
		// Damage found in a table is an error of the read that found it, not
		// the end of the process.
		EventListener: &pebble.EventListener{
			DataCorruption:  func(i pebble.DataCorruptionInfo) { log.Error("store: database is damaged", "detail", i.String()) },
			BackgroundError: func(err error) { log.Warn("store: database", "error", err) },
		},
	}
	for i := range opts.Levels {
		opts.Levels[i].BlockSize = 16 << 10
		opts.Levels[i].IndexBlockSize = 32 << 10
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("store: opening database: %w", err)
	}
	d := &DB{db: db}
	if err := d.checkVersion(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

func (d *DB) checkVersion() error {
	var version []byte
	found, err := d.view([]byte{keyVersion}, func(v []byte) error {
		version = append(version, v...)
		return nil
	})
	switch {
	case err != nil:
		return err
	case !found:
		b := d.NewBatch()
		b.set([]byte{keyVersion}, []byte{layoutVersion})
		return b.Commit(true)
	case len(version) != 1 || version[0] != layoutVersion:
		return fmt.Errorf("store: folder has layout version %x, this program knows %d", version, layoutVersion)
	}
	return nil
}

// Close closes the database. What was not synced may be lost.
func (d *DB) Close() error {
	if f := d.failed.Load(); f != nil {
		// The commit pipeline is stuck; closing would wait for it for ever.
		// The log holds everything that was synced.
		return *f
	}
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("store: closing database: %w", err)
	}
	return nil
}

// view calls fn with the value of the key, which is valid only during the call.
func (d *DB) view(key []byte, fn func(v []byte) error) (found bool, err error) {
	if f := d.failed.Load(); f != nil {
		return false, *f
	}
	// Not Get: that takes it for granted that the key is in the last level if it
	// is nowhere else, and reads a block to find out. Here most keys asked for
	// before a write are new, which the filters tell without reading.
	it, err := d.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return false, fmt.Errorf("store: reading database: %w", err)
	}
	if it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key) {
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			found, err = true, fn(v)
		}
	}
	if cerr := it.Close(); cerr != nil {
		return false, fmt.Errorf("store: reading database: %w", cerr)
	}
	return found, err
}

// scan calls fn with every key of a kind that goes on with prefix, without the
// kind byte, and its value, both valid only during the call; fn returns false to
// stop.
func (d *DB) scan(kind byte, prefix string, fn func(key, value []byte) bool) error {
	if f := d.failed.Load(); f != nil {
		return *f
	}
	from := append([]byte{kind}, prefix...)
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: behind(from)})
	if err != nil {
		return fmt.Errorf("store: reading database: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(fmt.Errorf("store: reading database: %w", err), it.Close())
		}
		if !fn(it.Key()[1:], v) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: reading database: %w", err)
	}
	return nil
}

// behind is the first key that does not begin with a prefix. A kind is never
// 0xff, so there is one.
func behind(prefix []byte) []byte {
	end := bytes.Clone(bytes.TrimRight(prefix, "\xff"))
	end[len(end)-1]++
	return end
}

// Blob reads the record of a hash, its payload only if asked to.
func (d *DB) Blob(h bao.Hash, payload bool) (rec Record, found bool, err error) {
	found, err = d.view(hashKey(keyBlob, h), func(v []byte) error {
		var err error
		if rec, err = ParseRecord(v); err != nil {
			return fmt.Errorf("blob %s: %w", h, err)
		}
		p := rec.Payload
		if rec.Payload = nil; payload {
			rec.Payload = append([]byte(nil), p...)
		}
		return nil
	})
	return rec, found, err
}

// Records calls fn with the records that there are of many hashes, in no
// particular order, and with the place of each. It costs a third of what asking
// one by one does. Payloads are valid only during the call.
func (d *DB) Records(hashes []bao.Hash, fn func(i int, rec *Record)) error {
	if f := d.failed.Load(); f != nil {
		return *f
	}
	order := make([]int, len(hashes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(hashes[a][:], hashes[b][:]) })
	it, err := d.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return fmt.Errorf("store: reading database: %w", err)
	}
	key := append([]byte{keyBlob}, make([]byte, len(bao.Hash{}))...)
	for _, i := range order { // ascending, which is what an iterator likes
		copy(key[1:], hashes[i][:])
		if it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key) {
			var value []byte
			var rec Record
			if value, err = it.ValueAndErr(); err == nil {
				rec, err = ParseRecord(value)
			}
			if err != nil {
				err = fmt.Errorf("blob %s: %w", hashes[i], err)
				break
			}
			fn(i, &rec)
		}
		if err = it.Error(); err != nil {
			break
		}
	}
	if err = errors.Join(err, it.Close()); err != nil {
		return fmt.Errorf("store: reading database: %w", err)
	}
	return nil
}

// Blobs calls fn with every record, whose payload is valid only during the
// call, or the error of one that cannot be read; fn returns false to stop.
func (d *DB) Blobs(fn func(h bao.Hash, rec Record, err error) bool) error {
	return d.scan(keyBlob, "", func(key, value []byte) bool {
		rec, err := ParseRecord(value)
		return fn(bao.Hash(key), rec, err)
	})
}

// Intents lists the hashes that have an intent.
func (d *DB) Intents() (all []bao.Hash, err error) {
	err = d.scan(keyIntent, "", func(key, _ []byte) bool {
		all = append(all, bao.Hash(key))
		return true
	})
	return all, err
}

// Tag looks up what a name stands for.
func (d *DB) Tag(name string) (h bao.Hash, format byte, found bool, err error) {
	found, err = d.view(tagKey(name), func(v []byte) (err error) {
		h, format, err = parseTag(name, v)
		return err
	})
	return h, format, found, err
}

// Tags calls fn with every tag whose name begins with prefix, in the order of
// the names' bytes, or the error of one that cannot be read; fn returns false to
// stop.
func (d *DB) Tags(prefix string, fn func(name string, h bao.Hash, format byte, err error) bool) error {
	return d.scan(keyTag, prefix, func(key, value []byte) bool {
		h, format, err := parseTag(string(key), value)
		return fn(string(key), h, format, err)
	})
}

func parseTag(name string, v []byte) (bao.Hash, byte, error) {
	if len(v) != 1+len(bao.Hash{}) {
		return bao.Hash{}, 0, fmt.Errorf("%w: tag %q", errRecord, name)
	}
	return bao.Hash(v[1:]), v[0], nil
}

func tagKey(name string) []byte { return append([]byte{keyTag}, name...) }

func hashKey(kind byte, h bao.Hash) []byte { return append([]byte{kind}, h[:]...) }

// pebbleLog sends Pebble's messages to slog. Fatalf must not return. Where Pebble was called by this package it panics,
// which a batch turns into an error. In one of Pebble's own goroutines (its manifest could not be written: a full or
// failing disk) nothing can be unwound, and the process ends with status 1 after a line in the log. That loses nothing
// which was synced.
type pebbleLog struct {
	log  *slog.Logger
	exit func(status int) // os.Exit, but for tests
}

// levelTrace is below debug: Pebble tells of every flush and compaction.
const levelTrace = slog.LevelDebug - 4

func (l pebbleLog) Infof(format string, args ...any) {
	if ctx := context.Background(); l.log.Enabled(ctx, levelTrace) {
		l.log.Log(ctx, levelTrace, "store: database", "detail", fmt.Sprintf(format, args...))
	}
}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Warn("store: database", "detail", fmt.Sprintf(format, args...))
}

func (l pebbleLog) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !calledByUs() && l.log.Enabled(context.Background(), slog.LevelError) { // else the panic has to say it
		l.log.Error("store: the database cannot go on and the process ends: see to the disk, which may be full or failing, and start again; "+
			"nothing that was synced is lost", "error", text)
		l.exit(1)
	}
	for _, a := range args {
		if err, ok := a.(error); ok {
			panic(fmt.Errorf("%s: %w", text, err))
		}
	}
	panic(text)
}

// calledByUs tells whether a call of this package, which awaits a panic, is on the stack.
func calledByUs() bool {
	here := reflect.TypeFor[DB]().PkgPath()
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, here+".(*DB).") || strings.HasPrefix(f.Function, here+".Open") {
			return true
		}
		if !more {
			return false
		}
	}
}
