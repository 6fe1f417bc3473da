package receive

import (
	"slices"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// ChunkSpan is the chunk range of n bytes at off.
func ChunkSpan(off, n uint64) (start, end uint64) {
	return off / bao.ChunkSize, (off + n + bao.ChunkSize - 1) / bao.ChunkSize
}

// Chunks is the number of chunks of a blob of that size; the empty blob has
// one.
func Chunks(size uint64) uint64 {
	return max(1, (size+bao.ChunkSize-1)/bao.ChunkSize)
}

// Covers reports whether r contains all of [start, end).
func Covers(r bao.Ranges, start, end uint64) bool {
	i, found := slices.BinarySearch(r, start)
	if found {
		i++ // r[i] == start begins or ends a range
	}
	// An odd number of boundaries at or before start: inside a range.
	return start >= end || i%2 == 1 && (i == len(r) || end <= r[i])
}

// Progress is the part of a blob that is on disk. The range lists are replaced,
// never changed, so that a copy of the slice header is a snapshot.
type Progress struct {
	mu     sync.Mutex
	groups bao.Ranges // chunks
	pairs  bao.Ranges // hash pairs, by index in the pre-order outboard
	grown  func()     // called after groups has grown; may be nil
}

// OnGrowth sets what is called, in place of what was, after every growth of the
// groups. It must not block.
func (p *Progress) OnGrowth(grown func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grown = grown
}

func (p *Progress) addGroups(start, end uint64) {
	p.mu.Lock()
	p.groups = p.groups.Union(bao.Span(start, end))
	grown := p.grown
	p.mu.Unlock()
	if grown != nil {
		grown()
	}
}

func (p *Progress) addPairs(start, end uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pairs = p.pairs.Union(bao.Span(start, end))
}

// Snapshot returns the chunks and the pairs that are on disk; they must not be
// changed.
func (p *Progress) Snapshot() (groups, pairs bao.Ranges) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.groups, p.pairs
}

// Whole reports whether everything of a blob of that size is there.
func (p *Progress) Whole(size uint64) bool {
	groups, pairs := p.Snapshot()
	return Covers(groups, 0, Chunks(size)) && Covers(pairs, 0, bao.OutboardSize(size)/pairSize)
}
