package unixfs

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// A farAway fetcher answers one unit of time after a block was first asked for or announced; asking waits. It has any
// bandwidth, so that the time a walk takes counts how often it waited for an answer with too little under way.
type farAway struct {
	t      testing.TB
	blocks blockMap

	now      int
	due      map[cid.Cid]int // announced or asked for, until taken
	size     int             // bytes of due
	maxDue   int
	maxBytes int
	asked    int
}

func (f *farAway) Prefetch(cids []cid.Cid) {
	for _, c := range cids {
		if _, twice := f.due[c]; twice {
			f.t.Errorf("%s announced twice", c)
		}
		if c.Prefix().MhType == mh.IDENTITY {
			f.t.Errorf("%s announced, which is inlined", c)
		}
		f.due[c] = f.now + 1
		f.size += len(f.blocks[string(c.Hash())])
	}
	f.maxDue, f.maxBytes = max(f.maxDue, len(f.due)), max(f.maxBytes, f.size)
}

func (f *farAway) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	at, ok := f.due[c]
	if !ok {
		f.t.Errorf("%s asked for and not announced", c)
		at = f.now + 1
	}
	f.now = max(f.now, at)
	f.asked++
	b, err := f.blocks.Block(ctx, c)
	f.size -= len(b)
	delete(f.due, c)
	return b, err
}

func walkFar(t *testing.T, m blockMap, root cid.Cid) (*farAway, *recorder) {
	t.Helper()
	f := &farAway{t: t, blocks: m, due: map[cid.Cid]int{}}
	r := walk(t, root, f, Limits{})
	if len(f.due) != 0 {
		t.Errorf("%d blocks announced and not asked for", len(f.due))
	}
	return f, r
}

// TestLookAhead bounds the round trips of walks from above, and what is under way at one time.
func TestLookAhead(t *testing.T) {
	v1, v0 := profile(t, "unixfs-v1-2025"), profile(t, "unixfs-v0-2015")
	v1small, v0small, narrow := v1, v0, v0
	v1small.ChunkSize, v0small.ChunkSize = 1000, 1000
	narrow.ChunkSize, narrow.Width = 500, 8
	folder := func(n int, file func(i int) tree) tree {
		entries := map[string]tree{}
		for i := range n {
			entries[fmt.Sprintf("%05d", i)] = file(i)
		}
		return dir(entries)
	}
	ofSize := func(size int) func(int) tree {
		return func(i int) tree { return tree{data: content(fmt.Sprint(i), size)} }
	}
	for name, c := range map[string]struct {
		p     Profile
		tree  tree
		trips int
	}{
		"3,000 raw leaves":                    {v1small, tree{data: content("f", 3_000_000)}, 3000/50 + 5},
		"3,000 wrapped leaves, 174 wide":      {v0small, tree{data: content("f", 3_000_000)}, 3000/48 + 6},
		"2,000 leaves, 8 wide":                {narrow, tree{data: content("f", 1_000_000)}, 2000/48 + 10},
		"100 leaves of 1 MiB":                 {v1, tree{data: content("f", 100<<20)}, 100/24 + 3},
		"10,000 raw files":                    {v1small, folder(10000, ofSize(400)), 11000/50 + 10},
		"10,000 wrapped files":                {v0small, folder(10000, ofSize(400)), 11000/50 + 10},
		"1,000 files of 4 wrapped leaves":     {v0small, folder(1000, ofSize(4000)), 5000/50 + 10},
		"1,000 files of 4 raw leaves":         {v1small, folder(1000, ofSize(4000)), 5000/50 + 10},
		"500 folders of one file of 2 leaves": {v0small, folder(500, func(i int) tree { return dir(map[string]tree{"f": ofSize(2000)(i)}) }), 2300/48 + 10},
	} {
		t.Run(name, func(t *testing.T) {
			m := blockMap{}
			root := build(t, c.p, m, c.tree)
			f, r := walkFar(t, m, root.CID)
			sameTree(t, r, c.tree)
			t.Logf("%d blocks in %d round trips; under way up to %d blocks, %d bytes", f.asked, f.now, f.maxDue, f.maxBytes)
			if f.now > c.trips {
				t.Errorf("%d round trips for %d blocks, want at most %d", f.now, f.asked, c.trips)
			}
			if f.maxDue > aheadBlocks+aheadNear+aheadNodes || f.maxBytes > aheadBytes+2*c.p.ChunkSize {
				t.Errorf("%d blocks, %d bytes under way", f.maxDue, f.maxBytes)
			}
			if f.asked < len(m) {
				t.Errorf("%d blocks asked for, there are %d", f.asked, len(m))
			}
		})
	}
}

// TestRepeatedBlocks walks a file of one block over and over: it is delivered as often as it occurs, and asked for
// seldom.
func TestRepeatedBlocks(t *testing.T) {
	p := profile(t, "unixfs-v0-2015")
	p.ChunkSize, p.Width = 1000, 20
	m := blockMap{}
	data := make([]byte, 1_000_000)
	root := build(t, p, m, tree{data: data})
	f, r := walkFar(t, m, root.CID)
	if !bytes.Equal(r.files[""], data) {
		t.Error("wrong bytes")
	}
	if f.asked > 20 {
		t.Errorf("%d blocks asked for; %d are different", f.asked, len(m))
	}
	if want := root.TreeSize; r.tree != want {
		t.Errorf("blocks of %d bytes delivered, want %d", r.tree, want)
	}
}

// TestRepeatedLargeBlocks walks more blocks that come again than are kept: each is announced again before it is asked
// for again.
func TestRepeatedLargeBlocks(t *testing.T) {
	p := profile(t, "unixfs-v1-2025")
	m := blockMap{}
	data := bytes.Repeat(content("twelve", 12<<20), 4)
	root := build(t, p, m, tree{data: data})
	f, r := walkFar(t, m, root.CID)
	if !bytes.Equal(r.files[""], data) {
		t.Error("wrong bytes")
	}
	t.Logf("%d blocks asked for, %d different", f.asked, len(m))
	if f.asked > 48 {
		t.Errorf("%d blocks asked for", f.asked)
	}
}

// BenchmarkManyRests walks folders that are read in advance and have many files each.
func BenchmarkManyRests(b *testing.B) {
	p := profile(b, "unixfs-v1-2025")
	m := blockMap{}
	folders := map[string]tree{}
	for i := range 300 {
		files := map[string]tree{}
		for j := range 270 {
			files[fmt.Sprint(j)] = tree{data: fmt.Append(nil, i, j)}
		}
		folders[fmt.Sprint(i)] = dir(files)
	}
	root := build(b, p, m, dir(folders))
	b.ReportAllocs()
	for b.Loop() {
		if err := Walk(b.Context(), root.CID, m, &silent{}, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(300*271), "ns/block")
}
