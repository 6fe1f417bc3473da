package meta

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// maxBatch is the size at which a batch is applied and a new one begun; ones
// that fill half a memtable would go around it and cost memory.
const maxBatch = 256 << 10

// Batch collects writes. Up to a quarter of a mebibyte they are applied together or not
// at all; beyond that in this order, each alone or with its neighbours. After
// an error it does nothing more; Commit returns the error.
type Batch struct {
	db  *DB
	b   *pebble.Batch
	err error
}

// NewBatch begins a batch, which Commit must end.
func (d *DB) NewBatch() *Batch { return &Batch{db: d} }

// SetBlob writes a record.
func (b *Batch) SetBlob(h bao.Hash, rec *Record) {
	if b.ready() {
		d := b.b.SetDeferred(1+len(h), rec.length())
		d.Key[0] = keyBlob
		copy(d.Key[1:], h[:])
		rec.append(d.Value[:0])
		b.note(d.Finish())
	}
}

// RemoveBlob removes a record.
func (b *Batch) RemoveBlob(h bao.Hash) { b.remove(hashKey(keyBlob, h)) }

// SetIntent says that files may be there.
func (b *Batch) SetIntent(h bao.Hash) { b.set(hashKey(keyIntent, h), nil) }

// RemoveIntent takes it back.
func (b *Batch) RemoveIntent(h bao.Hash) { b.remove(hashKey(keyIntent, h)) }

// SetTag writes a tag.
func (b *Batch) SetTag(name string, h bao.Hash, format byte) {
	b.set(tagKey(name), append([]byte{format}, h[:]...))
}

// RemoveTag removes a tag.
func (b *Batch) RemoveTag(name string) { b.remove(tagKey(name)) }

func (b *Batch) set(k, v []byte) {
	if b.ready() {
		b.note(b.b.Set(k, v, nil))
	}
}

func (b *Batch) remove(k []byte) {
	if b.ready() {
		b.note(b.b.Delete(k, nil))
	}
}

// ready makes room for one more write.
func (b *Batch) ready() bool {
	if b.b != nil && b.b.Len() > maxBatch && b.err == nil {
		b.err = b.db.apply(b.b, false)
		b.b = nil
	}
	if b.b == nil && b.err == nil {
		b.b = b.db.db.NewBatch()
	}
	return b.err == nil
}

func (b *Batch) note(err error) {
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("store: filling batch: %w", err)
	}
}

// Commit applies the batch. With sync it waits until this and everything that
// was applied before is durable, also when the batch is empty.
func (b *Batch) Commit(sync bool) error {
	switch {
	case b.err != nil:
		if b.b != nil {
			return errors.Join(b.err, b.b.Close())
		}
		return b.err
	case b.b != nil:
		return b.db.apply(b.b, sync)
	case sync:
		return b.db.Sync()
	}
	return nil
}

// Discard drops what was not applied.
func (b *Batch) Discard() error {
	if b.b == nil {
		return nil
	}
	return b.b.Close()
}

// Sync makes everything durable that was applied before. The log is written in
// the order of the writes, so syncing its end syncs all of it.
func (d *DB) Sync() error {
	if f := d.failed.Load(); f != nil {
		return *f
	}
	if d.applied.Load() == d.synced.Load() {
		return nil
	}
	b := d.db.NewBatch()
	if err := b.LogData(nil, nil); err != nil {
		return errors.Join(fmt.Errorf("store: filling batch: %w", err), b.Close())
	}
	return d.apply(b, true)
}

// apply applies the batch and closes it.
func (d *DB) apply(b *pebble.Batch, sync bool) (err error) {
	if f := d.failed.Load(); f != nil {
		return errors.Join(*f, b.Close())
	}
	// Pebble panics, or calls Fatalf, when it cannot write its log.
	defer func() {
		if r := recover(); r != nil {
			cause, ok := r.(error)
			if !ok {
				cause = fmt.Errorf("%v", r)
			}
			err = fmt.Errorf("store: database stopped: %w", cause)
			d.failed.Store(&err)
		}
	}()
	opts, before := pebble.NoSync, d.applied.Load()
	if sync {
		opts = pebble.Sync
	}
	if err := d.db.Apply(b, opts); err != nil {
		return errors.Join(fmt.Errorf("store: writing database: %w", err), b.Close())
	}
	if sync {
		d.noteSynced(before)
	} else {
		d.applied.Add(1)
	}
	if err := b.Close(); err != nil {
		return fmt.Errorf("store: closing batch: %w", err)
	}
	return nil
}

// noteSynced notes that everything applied before n is durable.
func (d *DB) noteSynced(n uint64) {
	for {
		old := d.synced.Load()
		if old >= n || d.synced.CompareAndSwap(old, n) {
			return
		}
	}
}
