package pebble

import (
	"context"
	"errors"
	"fmt"

	lsm "github.com/cockroachdb/pebble/v2"
)

// purge is one run of Purge.
type purge struct {
	s      *Store
	gone   map[uint64]struct{}
	orphan func(hash [32]byte) error
	looks  bool // and changes nothing, so that nobody has to wait
	batch  *lsm.Batch
	// hash is the blob hash that was looked at last.
	hash    [32]byte
	hashSet bool
}

// Purge implements [mapping.Store]. It reads every row once. A second Purge
// waits for the first.
func (s *Store) Purge(ctx context.Context, orphan func(hash [32]byte) error) error {
	return s.do("purge", func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.closing, cancel)()
		select {
		case s.purging <- struct{}{}:
			defer func() { <-s.purging }()
		case <-ctx.Done():
			return ctx.Err()
		}
		p := &purge{s: s, gone: s.states.dead(), orphan: orphan}
		if len(p.gone) == 0 {
			return nil
		}
		return p.run(ctx)
	})
}

// Orphans implements [mapping.Store]. It reads the rows of references, if
// anything is gone.
func (s *Store) Orphans(ctx context.Context, yield func(hash [32]byte) error) error {
	return s.do("orphans", func() error {
		p := &purge{s: s, gone: s.states.dead(), orphan: yield, looks: true}
		if len(p.gone) == 0 {
			return nil
		}
		return s.scan(ctx, tableHash, func(k, _ []byte) error {
			seq, _, err := rowSeq(k)
			if _, ok := p.gone[seq]; !ok || err != nil {
				return err
			}
			return p.release(body(k))
		})
	})
}

func (p *purge) run(ctx context.Context) (err error) {
	p.batch = p.s.db.NewBatch()
	defer func() {
		if p.batch != nil {
			err = errors.Join(err, p.batch.Close())
		}
	}()
	for _, table := range []byte{tableHash, tableFile, tableLink, tableBlock} {
		if err := p.s.scan(ctx, table, p.row); err != nil {
			return err
		}
	}
	for seq := range p.gone {
		if err := p.remove(seqKey(tableOwner, seq)); err != nil {
			return err
		}
	}
	// The rows are gone in the log before the markers are: a crash in between
	// only makes the next Purge look again.
	for seq := range p.gone {
		if err := errors.Join(p.remove(seqKey(tablePending, seq)), p.remove(seqKey(tableDead, seq))); err != nil {
			return err
		}
	}
	b := p.batch
	p.batch = nil
	if err := p.s.apply(b, true); err != nil {
		return err
	}
	p.s.states.forget(p.gone)
	return nil
}

// row removes a row if its owner is gone.
func (p *purge) row(k, _ []byte) error {
	seq, _, err := rowSeq(k)
	if err != nil {
		return err
	}
	if _, ok := p.gone[seq]; !ok {
		return nil
	}
	if k[0] == tableHash {
		if err := p.release(body(k)); err != nil {
			return err
		}
	}
	return p.remove(k)
}

// remove removes a row, and writes the removals when there are enough of them.
func (p *purge) remove(k []byte) error {
	if err := p.batch.Delete(k, nil); err != nil {
		return err
	}
	if p.batch.Len() < batchSize {
		return nil
	}
	b := p.batch
	p.batch = nil
	if err := p.s.apply(b, false); err != nil {
		return err
	}
	p.batch = p.s.db.NewBatch()
	return nil
}

// release calls orphan, once, for a blob hash that nothing refers to any more.
func (p *purge) release(b []byte) error {
	var hash [32]byte
	if len(b) != len(hash) {
		return fmt.Errorf("%w: reference of %x", errDamaged, b)
	}
	copy(hash[:], b)
	if p.hashSet && p.hash == hash {
		return nil
	}
	p.hash, p.hashSet = hash, true
	if !p.looks {
		lock := p.s.hashLock(hash)
		lock.Lock()
		defer lock.Unlock()
	}
	found, err := p.s.referenced(context.Background(), hash)
	if err != nil || found {
		return err
	}
	if err := p.orphan(hash); err != nil {
		return fmt.Errorf("orphan %x: %w", hash, err)
	}
	return nil
}
