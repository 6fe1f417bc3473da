package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/mapping"
)

// tx is a transaction. It owns the rows with its seq.
type tx struct {
	s   *Store
	seq uint64

	mu sync.Mutex
	// batch has the rows that are not written yet.
	batch *lsm.Batch
	// wrote says that rows other than the pending marker may be in the store.
	wrote bool
	done  bool
}

// Begin implements [mapping.Store].
func (s *Store) Begin(ctx context.Context) (mapping.Tx, error) {
	t := &tx{s: s}
	err := s.do("begin", func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.health.err(); err != nil {
			return err // who holds the lock may be waiting for the disk
		}
		s.seqMu.Lock()
		defer s.seqMu.Unlock()
		t.seq = s.nextSeq
		if err := s.states.begin(t.seq); err != nil {
			return err
		}
		s.nextSeq++
		next := binary.BigEndian.AppendUint64(nil, s.nextSeq)
		return s.write(false, op{key: seqKey(tablePending, t.seq)}, op{key: metaKey("seq"), value: next})
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// run runs fn while the transaction and the store are open.
func (t *tx) run(what string, fn func() error) error {
	return t.s.do(what, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.done {
			return mapping.ErrClosed
		}
		return fn()
	})
}

// Block implements [mapping.Tx].
func (t *tx) Block(b mapping.Block) error {
	if mapping.IsIdentity(b.Multihash) {
		return nil
	}
	return t.run("block", func() error {
		if err := b.Check(); err != nil {
			return err
		}
		if t.batch == nil {
			t.batch = t.s.db.NewBatch()
		}
		op := t.batch.SetDeferred(2+len(b.Multihash)+seqSize, blockValueSize(&b))
		k := appendPrefix(op.Key[:0], tableBlock, b.Multihash)
		binary.BigEndian.AppendUint64(k, ^t.seq)
		appendBlockValue(op.Value[:0], &b)
		if err := op.Finish(); err != nil {
			return err
		}
		if t.batch.Len() < batchSize {
			return nil
		}
		return t.flush()
	})
}

// flush writes the buffered rows.
func (t *tx) flush() error {
	if t.batch == nil {
		return nil
	}
	t.wrote = true
	b := t.batch
	t.batch = nil
	return t.s.apply(b, false)
}

// Ref implements [mapping.Tx].
func (t *tx) Ref(hash [32]byte, file cid.Cid) error {
	lock := t.s.hashLock(hash) // before the store's gate: Purge holds it for long
	lock.RLock()
	defer lock.RUnlock()
	return t.run("ref", func() error {
		if file.Defined() {
			if err := mapping.CheckCID(file); err != nil {
				return err
			}
		}
		return t.ref(hash, file, file.Defined())
	})
}

// ref writes the rows of a reference. The caller holds the lock of the hash.
func (t *tx) ref(hash [32]byte, c cid.Cid, isFile bool) error {
	t.wrote = true
	ops := []op{{key: append(rowKey(tableHash, hash[:], t.seq), c.Bytes()...)}}
	if isFile {
		ops = append(ops, op{key: rowKey(tableFile, cidBody(c), t.seq), value: append(hash[:], c.Bytes()...)})
	}
	return t.s.write(false, ops...)
}

// Commit implements [mapping.Tx].
func (t *tx) Commit(ctx context.Context, l mapping.Link) error {
	if l.Created.IsZero() {
		l.Created = time.Now()
	}
	err := t.s.do("commit", func() error { return errors.Join(ctx.Err(), l.Check()) })
	if err == nil {
		err = t.refLink(l)
	}
	if err == nil {
		err = t.run("commit", func() error { return t.commit(ctx, l) })
	}
	if err != nil {
		return errors.Join(err, t.Abort())
	}
	return nil
}

// refLink refers to what the link itself names.
func (t *tx) refLink(l mapping.Link) error {
	lock := t.s.hashLock(l.Hash)
	lock.RLock()
	err := t.run("commit", func() error { return t.ref(l.Hash, l.CID, l.Format == mapping.FormatBlob) })
	lock.RUnlock()
	if err != nil || l.Layout == [32]byte{} {
		return err
	}
	return t.Ref(l.Layout, cid.Undef)
}

func (t *tx) commit(ctx context.Context, l mapping.Link) error {
	s := t.s
	v, err := encodeLink(l)
	if err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	key := cidBody(l.CID)
	lock := s.linkLock(key)
	lock.Lock()
	defer lock.Unlock()
	replaced, _, err := s.link(ctx, key)
	if err != nil && !errors.Is(err, mapping.ErrNotFound) {
		return err
	}
	ops := []op{
		{key: rowKey(tableLink, key, t.seq), value: v},
		{key: seqKey(tableOwner, t.seq), value: l.CID.Bytes()},
		{key: seqKey(tablePending, t.seq), remove: true},
	}
	if replaced != 0 {
		ops = append(ops, op{key: seqKey(tableDead, replaced)})
	}
	if err := s.write(true, ops...); err != nil {
		return err
	}
	s.states.commit(t.seq, replaced)
	t.done = true
	return nil
}

// Abort implements [mapping.Tx].
func (t *tx) Abort() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return nil
	}
	t.done = true
	if t.batch != nil {
		b := t.batch
		t.batch = nil
		if err := b.Close(); err != nil {
			return err
		}
	}
	if t.wrote {
		t.s.states.kill(t.seq) // the pending marker stays until Purge
		return nil
	}
	err := t.s.do("abort", func() error {
		return t.s.write(false, op{key: seqKey(tablePending, t.seq), remove: true})
	})
	if errors.Is(err, mapping.ErrClosed) || errors.Is(err, ErrFailed) {
		return nil // the next Open finds the marker
	}
	if err == nil {
		t.s.states.drop(t.seq)
	}
	return err
}

// Delete implements [mapping.Store].
func (s *Store) Delete(ctx context.Context, c cid.Cid) error {
	return s.do("delete", func() error {
		if err := mapping.CheckCID(c); err != nil {
			return err
		}
		key := cidBody(c)
		lock := s.linkLock(key)
		lock.Lock()
		defer lock.Unlock()
		seq, _, err := s.link(ctx, key)
		if err != nil {
			return err
		}
		if err := s.write(true, op{key: seqKey(tableDead, seq)}); err != nil {
			return err
		}
		s.states.kill(seq)
		return nil
	})
}
