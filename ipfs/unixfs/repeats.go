package unixfs

import (
	"hash/maphash"

	"github.com/ipfs/go-cid"
)

// repeats tells the blocks that a walk reads for the first time from those that it has read before. A DAG costs whoever
// publishes it its different blocks, and costs us every visit; a few blocks that link one another a thousand times each
// are more visits than can ever end. So what is read again must stay in proportion to what is read first.
//
// Real DAGs repeat blocks too: a sparse disk image is one leaf of zeros a million times. What a small one may repeat is
// therefore no proportion but a number.
//
// Blocks are known by 64 bits of a hash with a key of our own, so that nobody can make two of them look the same. A walk
// remembers maxSeen of them; by then it may repeat 64 times as many, and what it has not seen counts as new.
type repeats struct {
	seed maphash.Seed
	seen map[uint64]struct{}

	first, again           uint64 // blocks
	firstBytes, againBytes uint64
}

// count notes a block that was read, and tells whether the walk may go on.
func (r *repeats) count(c cid.Cid, size int, l Limits) error {
	if r.seen == nil {
		r.seed, r.seen = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	h := maphash.String(r.seed, c.KeyString())
	if _, seen := r.seen[h]; !seen {
		r.first++
		r.firstBytes += uint64(size)
		if len(r.seen) < maxSeen {
			r.seen[h] = struct{}{}
		}
		return nil
	}
	r.again++
	r.againBytes += uint64(size)
	switch {
	case r.again > max(l.Repeats, maxRepeat*r.first):
		return limited("%d blocks that came before, and only %d different ones", r.again, r.first)
	case r.againBytes > max(l.RepeatBytes, maxRepeat*r.firstBytes):
		return limited("%d bytes in blocks that came before, and only %d in different ones", r.againBytes, r.firstBytes)
	}
	return nil
}
