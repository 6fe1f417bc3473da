package scrub

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/bridge/collection"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/layout"
)

// Links looks at every link of the mapping, and with repair indexes anew what has wrong rows and good bytes.
func (s *Scrubber) Links(ctx context.Context, repair bool, p Progress, yield func(Finding) error) error {
	for l, err := range s.Mapping.Links(ctx) {
		if err != nil {
			return err
		}
		p.Item(l.CID.String(), int64(l.Size))
		f, err := s.verifyLink(ctx, l, repair)
		if err != nil {
			return err
		}
		p.Bytes(l.Size)
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}

// verifyLink looks at one link's blobs, layout and index rows. Its error is for what keeps it from looking.
func (s *Scrubber) verifyLink(ctx context.Context, l mapping.Link, repair bool) (Finding, error) {
	f := Finding{CID: l.CID.String()}
	c := &checker{s: s, ctx: ctx}
	if err := c.blob(l.Layout); err != nil {
		return f, err
	}
	if err := c.content(l); err != nil {
		return f, err
	}
	f.Problems, f.OK = c.problems, len(c.problems) == 0
	if f.OK && c.index > 0 {
		f.OK = false
		f.Problems = append(f.Problems, fmt.Sprintf("%d blocks are missing from the index, or wrong in it; run with --repair", c.index))
		if repair {
			if err := s.reindex(ctx, l); err != nil {
				return f, err
			}
			f.OK, f.Repaired = true, true
		}
	}
	return f, nil
}

// checker gathers what is wrong with one link.
type checker struct {
	s        *Scrubber
	ctx      context.Context
	problems []string
	more     int
	index    int // blocks whose index row does not hold

	unindexed bool         // there are no index rows yet
	unread    bool         // that blobs are there is enough
	root      mh.Multihash // the link's, until it is found
}

func (c *checker) problem(format string, args ...any) {
	if len(c.problems) == maxProblems {
		c.more++
		c.problems[maxProblems-1] = fmt.Sprintf("and %d more", c.more+1)
		return
	}
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// blob hashes one blob whole.
func (c *checker) blob(hash bao.Hash) error {
	if c.unread {
		st, err := c.s.Store.Status(hash)
		if err == nil && st.State != store.Complete {
			c.problem("blob %s is %s", hash, st.State)
		}
		return err
	}
	err := c.s.Store.Verify(c.ctx, hash)
	if err == nil {
		return nil
	}
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	c.problem("%v", c.s.Source.Explain(hash, err))
	return nil
}

// content looks at all that a link's layout names: the link's own blob, the files, the blocks. That a layout is whole
// was looked at before.
func (c *checker) content(l mapping.Link) error {
	if err := c.blob(l.Hash); err != nil || len(c.problems) > 0 {
		return err
	}
	if err := c.children(l); err != nil || len(c.problems) > 0 {
		return err
	}
	if err := c.layout(l); err != nil {
		return err
	}
	if c.root != nil && !mapping.IsIdentity(c.root) {
		c.problem("the root block %s is not in the layout", l.CID)
	}
	return nil
}

// children looks whether the blobs of a hash sequence are there. Those of files are hashed with the layout.
func (c *checker) children(l mapping.Link) error {
	if l.Format == mapping.FormatBlob {
		return nil
	}
	seq, err := collection.ReadBlob(c.s.Store, l.Hash)
	var hashes []bao.Hash
	if err == nil {
		hashes, err = blobs.ParseHashSeq(seq)
	}
	if err != nil {
		c.problem("hash sequence %x: %v", l.Hash, err)
		return nil
	}
	for i, h := range hashes {
		if i == 0 && l.Format == mapping.FormatCollection {
			if err := c.blob(h); err != nil { // the names
				return err
			}
			continue
		}
		st, err := c.s.Store.Status(h)
		if err != nil {
			return err
		}
		if st.State != store.Complete {
			c.problem("blob %s of the hash sequence is %s", h, st.State)
		}
	}
	return nil
}

// layout replays the link's records: each blob and each block is hashed, and each index row compared.
func (c *checker) layout(l mapping.Link) error {
	c.root = l.CID.Hash()
	return recording.Replay(c.s.Store, l, func(rec layout.Record) error {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		switch rec.Kind {
		case layout.File:
			return c.file(rec)
		case layout.Leaf, layout.Node:
			if string(rec.Block.Multihash) == string(c.root) {
				c.root = nil
			}
			return c.block(rec)
		}
		return nil
	})
}

// file hashes a file's blob, and looks whether it is as long as the layout has it.
func (c *checker) file(rec layout.Record) error {
	if err := c.blob(rec.Hash); err != nil {
		return err
	}
	st, err := c.s.Store.Status(rec.Hash)
	if err == nil && st.State == store.Complete && st.Size != rec.Size {
		c.problem("blob %s has %d bytes, and the layout says %d", bao.Hash(rec.Hash), st.Size, rec.Size)
	}
	return err
}

// block hashes one block, and looks whether the index gives the same bytes for it. The row it finds may be that of
// another link: what counts is what it gives.
func (c *checker) block(rec layout.Record) error {
	if c.unread {
		return nil
	}
	data, _, err := c.s.Source.ReadBlock(rec.Block)
	if err == nil {
		err = c.s.Source.CheckBlock(rec.CID, data)
	}
	if err != nil {
		c.problem("block %s: %v", rec.CID, err)
		return nil
	}
	if c.unindexed {
		return nil
	}
	row, err := c.s.Mapping.Block(c.ctx, rec.CID.Hash())
	if err != nil && !errors.Is(err, mapping.ErrNotFound) {
		return err
	}
	if err == nil {
		var got []byte
		if got, _, err = c.s.Source.ReadBlock(row); err == nil && string(got) == string(data) {
			return nil
		}
	}
	c.index++
	return nil
}

// reindex writes a link's rows again and puts them in the place of the old ones.
func (s *Scrubber) reindex(ctx context.Context, l mapping.Link) error {
	tx, err := s.Mapping.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Abort()
	if err := s.references(tx, l); err != nil {
		return err
	}
	if err := recording.Index(ctx, s.Store, tx, l); err != nil {
		return err
	}
	return tx.Commit(ctx, l)
}

// references writes anew which blobs a link needs: its files, and what describes a collection.
func (s *Scrubber) references(tx mapping.Tx, l mapping.Link) error {
	if err := recording.Replay(s.Store, l, func(rec layout.Record) error {
		if rec.Kind != layout.File {
			return nil
		}
		return tx.Ref(rec.Hash, rec.CID)
	}); err != nil {
		return err
	}
	if l.Format != mapping.FormatCollection {
		return nil // the link's own hash is referred to by its commit
	}
	seq, err := collection.ReadBlob(s.Store, l.Hash)
	if err != nil {
		return s.Source.Explain(l.Hash, err)
	}
	hashes, err := blobs.ParseHashSeq(seq)
	if err != nil {
		return err
	}
	if len(hashes) == 0 {
		return fmt.Errorf("collection %x is an empty hash sequence", l.Hash)
	}
	return tx.Ref(hashes[0], cid.Undef) // the names
}
