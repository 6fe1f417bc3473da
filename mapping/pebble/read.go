package pebble

import (
	"context"
	"errors"
	"fmt"
	"iter"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/mapping"
)

// errStop ends a scan or a look-up early.
var errStop = errors.New("stop")

// rows calls fn for the rows with a prefix whose owner's state is accepted,
// the newest first, until fn returns an error. Rows of a link that is live at
// some moment between start and end are found even if it is replaced meanwhile.
// fn may be called again from the start, after again.
func (s *Store) rows(ctx context.Context, prefix []byte, accept func(state) bool, again func(),
	fn func(seq uint64, rest, value []byte) error,
) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := s.states.epoch()
		passed, err := s.rowsOnce(ctx, prefix, accept, fn)
		after := s.states.epoch()
		// A row that was passed over may have been live when the iterator was
		// made, and its successor's rows too young to be in it. A row that was
		// accepted may be one of a forgotten, dead seq, or lose what belongs to it.
		stale := after.retired != before.retired || ((passed || err != nil) && after != before)
		if !stale {
			return err
		}
		again()
	}
}

func (s *Store) rowsOnce(ctx context.Context, prefix []byte, accept func(state) bool,
	fn func(seq uint64, rest, value []byte) error,
) (passed bool, err error) {
	it, err := s.db.NewIterWithContext(ctx, &lsm.IterOptions{UseL6Filters: true})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.SeekPrefixGE(prefix); ok; ok = it.Next() {
		seq, rest, err := rowSeq(it.Key())
		if err != nil {
			return passed, err
		}
		if !accept(s.states.of(seq)) {
			passed = true
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return passed, err
		}
		if err := fn(seq, rest, v); err != nil {
			if errors.Is(err, errStop) {
				return passed, nil
			}
			return passed, err
		}
	}
	return passed, it.Error()
}

func visible(st state) bool  { return st == live }
func referred(st state) bool { return st != dead }

// first calls fn for the newest visible row with a prefix. It returns
// ErrNotFound when there is none.
func (s *Store) first(ctx context.Context, prefix []byte, fn func(seq uint64, value []byte) error) error {
	found := false
	err := s.rows(ctx, prefix, visible, func() { found = false }, func(seq uint64, _, v []byte) error {
		found = true
		if err := fn(seq, v); err != nil {
			return err
		}
		return errStop
	})
	if err == nil && !found {
		return mapping.ErrNotFound
	}
	return err
}

// Block implements [mapping.Store].
func (s *Store) Block(ctx context.Context, m mh.Multihash) (b mapping.Block, err error) {
	err = s.do("block", func() error {
		if len(m) > mapping.MaxMultihash {
			return mapping.CheckMultihash(m)
		}
		k := make([]byte, 0, 2+mapping.MaxMultihash)
		return s.first(ctx, appendPrefix(k, tableBlock, m), func(_ uint64, v []byte) (err error) {
			b, err = parseBlockValue(m, v)
			return err
		})
	})
	return b, err
}

// Link implements [mapping.Store].
func (s *Store) Link(ctx context.Context, c cid.Cid) (l mapping.Link, err error) {
	err = s.do("link", func() error {
		if err := mapping.CheckCID(c); err != nil {
			return err
		}
		_, l, err = s.link(ctx, cidBody(c))
		return err
	})
	return l, err
}

// link finds the live link with a key's body, and its seq.
func (s *Store) link(ctx context.Context, body []byte) (seq uint64, l mapping.Link, err error) {
	err = s.first(ctx, appendPrefix(nil, tableLink, body), func(n uint64, v []byte) (err error) {
		seq = n
		l, err = parseLink(v)
		return err
	})
	return seq, l, err
}

// File implements [mapping.Store].
func (s *Store) File(ctx context.Context, c cid.Cid) (r mapping.Ref, err error) {
	err = s.do("file", func() error {
		if err := mapping.CheckCID(c); err != nil {
			return err
		}
		return s.first(ctx, appendPrefix(nil, tableFile, cidBody(c)), func(seq uint64, v []byte) (err error) {
			if len(v) < len(r.Hash) {
				return fmt.Errorf("%w: file %s", errDamaged, c)
			}
			v = v[copy(r.Hash[:], v):]
			if r.CID, err = cid.Cast(v); err != nil {
				return fmt.Errorf("%w: file %s: %w", errDamaged, c, err)
			}
			r.Link, err = s.owner(seq)
			return err
		})
	})
	return r, err
}

// owner returns the CID of the link that a live seq belongs to.
func (s *Store) owner(seq uint64) (cid.Cid, error) {
	v, closer, err := s.db.Get(seqKey(tableOwner, seq))
	if errors.Is(err, lsm.ErrNotFound) {
		return cid.Undef, fmt.Errorf("%w: seq %d has no link", errDamaged, seq)
	}
	if err != nil {
		return cid.Undef, err
	}
	c, err := cid.Cast(append([]byte{}, v...))
	if err != nil {
		err = fmt.Errorf("%w: link of seq %d: %w", errDamaged, seq, err)
	}
	return c, errors.Join(err, closer.Close())
}

// Refs implements [mapping.Store].
func (s *Store) Refs(ctx context.Context, hash [32]byte) (refs []mapping.Ref, err error) {
	err = s.do("refs", func() error {
		again := func() { refs = nil }
		return s.rows(ctx, appendPrefix(nil, tableHash, hash[:]), visible, again, func(seq uint64, rest, _ []byte) error {
			if len(rest) == 0 {
				return nil
			}
			c, err := cid.Cast(append([]byte{}, rest...))
			if err != nil {
				return fmt.Errorf("%w: reference of %x: %w", errDamaged, hash, err)
			}
			owner, err := s.owner(seq)
			if err != nil {
				return err
			}
			refs = append(refs, mapping.Ref{Hash: hash, CID: c, Link: owner})
			if len(refs) == mapping.MaxRefs {
				return errStop
			}
			return nil
		})
	})
	return refs, err
}

// Referenced implements [mapping.Store].
func (s *Store) Referenced(ctx context.Context, hash [32]byte) (found bool, err error) {
	err = s.do("referenced", func() error {
		found, err = s.referenced(ctx, hash)
		return err
	})
	return found, err
}

func (s *Store) referenced(ctx context.Context, hash [32]byte) (found bool, err error) {
	again := func() { found = false }
	err = s.rows(ctx, appendPrefix(nil, tableHash, hash[:]), referred, again, func(uint64, []byte, []byte) error {
		found = true
		return errStop
	})
	return found, err
}

// Links implements [mapping.Store]. Links come in the order of their keys.
func (s *Store) Links(ctx context.Context) iter.Seq2[mapping.Link, error] {
	return func(yield func(mapping.Link, error) bool) {
		next := []byte{tableLink}
		for next != nil {
			var links []mapping.Link
			err := s.do("links", func() (err error) {
				links, next, err = s.linksFrom(ctx, next)
				return err
			})
			for _, l := range links {
				if !yield(l, nil) {
					return
				}
			}
			if err != nil {
				yield(mapping.Link{}, err)
				return
			}
		}
	}
}

// linksFrom returns some links from a key on, and the key to go on from, nil
// after the last.
func (s *Store) linksFrom(ctx context.Context, from []byte) (links []mapping.Link, next []byte, err error) {
	it, err := s.db.NewIterWithContext(ctx, &lsm.IterOptions{LowerBound: from, UpperBound: tableEnd(tableLink)})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	size := 0
	for ok := it.First(); ok; ok = it.NextPrefix() {
		if err := ctx.Err(); err != nil {
			return links, nil, err
		}
		if len(links) == linkChunk || size > linkChunkSize {
			return links, append([]byte{}, it.Key()...), nil
		}
		// The row under the iterator may be of any age: look the link up.
		_, l, err := s.link(ctx, body(it.Key()))
		if errors.Is(err, mapping.ErrNotFound) {
			continue
		}
		if err != nil {
			return links, nil, err
		}
		links = append(links, l)
		size += 256
		for _, n := range l.Notes {
			size += len(n)
		}
	}
	return links, nil, it.Error()
}

// scan calls fn for every row of a table. fn may write.
func (s *Store) scan(ctx context.Context, table byte, fn func(k, v []byte) error) error {
	next := []byte{table}
	for next != nil {
		var err error
		if next, err = s.scanFrom(ctx, table, next, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) scanFrom(ctx context.Context, table byte, from []byte, fn func(k, v []byte) error) (next []byte, err error) {
	it, err := s.db.NewIterWithContext(ctx, &lsm.IterOptions{LowerBound: from, UpperBound: tableEnd(table)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if n++; n > scanRows {
			return append([]byte{}, it.Key()...), nil
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		if err := fn(it.Key(), v); err != nil {
			return nil, err
		}
	}
	return nil, it.Error()
}
