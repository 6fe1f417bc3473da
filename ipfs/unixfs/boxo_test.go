package unixfs

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	boxo "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	mh "github.com/multiformats/go-multihash"
	"pgregory.net/rapid"
)

// A dagMap is the storage that boxo's builders want, over a blockMap.
type dagMap struct{ blockMap }

func (d dagMap) Add(_ context.Context, n ipld.Node) error {
	d.blockMap[string(n.Cid().Hash())] = n.RawData()
	return nil
}

func (d dagMap) AddMany(ctx context.Context, nodes []ipld.Node) error {
	for _, n := range nodes {
		if err := d.Add(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (d dagMap) Get(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	b, err := d.Block(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Type() == cid.Raw {
		return merkledag.NewRawNodeWPrefix(b, c.Prefix())
	}
	n, err := merkledag.DecodeProtobuf(b)
	if err != nil {
		return nil, err
	}
	return n, n.SetCidBuilder(c.Prefix())
}

func (d dagMap) GetMany(ctx context.Context, cids []cid.Cid) <-chan *ipld.NodeOption {
	out := make(chan *ipld.NodeOption, len(cids))
	for _, c := range cids {
		n, err := d.Get(ctx, c)
		out <- &ipld.NodeOption{Node: n, Err: err}
	}
	close(out)
	return out
}

func (d dagMap) Remove(context.Context, cid.Cid) error       { return nil }
func (d dagMap) RemoveMany(context.Context, []cid.Cid) error { return nil }

// boxoTree builds a tree with boxo's importer, the code that Kubo runs.
func boxoTree(t rapid.TB, p Profile, d dagMap, tr tree) ipld.Node {
	t.Helper()
	builder := cid.Prefix{Version: uint64(p.CIDVersion), Codec: cid.DagProtobuf, MhType: p.HashCode, MhLength: -1}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case tr.entries != nil:
		mode := uio.SizeEstimationLinks
		if p.ShardEstimate == EstimateBlock {
			mode = uio.SizeEstimationBlock
		}
		folder, err := uio.NewDirectory(d, uio.WithCidBuilder(builder), uio.WithSizeEstimationMode(mode), uio.WithMaxHAMTFanout(p.ShardFanout))
		check(err)
		folder.(interface{ SetHAMTShardingSize(int) }).SetHAMTShardingSize(p.ShardThreshold)
		for name, child := range tr.entries {
			check(folder.AddChild(context.Background(), name, boxoTree(t, p, d, child)))
		}
		n, err := folder.GetNode()
		check(err)
		check(d.Add(context.Background(), n))
		return n
	case tr.target != "":
		data, err := boxo.SymlinkData(tr.target)
		check(err)
		n := merkledag.NodeWithData(data)
		check(n.SetCidBuilder(builder))
		check(d.Add(context.Background(), n))
		return n
	}
	params := helpers.DagBuilderParams{Maxlinks: p.Width, RawLeaves: p.RawLeaves, CidBuilder: builder, Dagserv: d}
	helper, err := params.New(chunk.NewSizeSplitter(bytes.NewReader(tr.data), int64(p.ChunkSize)))
	check(err)
	n, err := balanced.Layout(helper)
	check(err)
	return n
}

// genProfile draws profiles small enough that trees are deep and directories are sharded.
func genProfile(t *rapid.T) Profile {
	p := Profile{
		Name:           "random",
		CIDVersion:     rapid.IntRange(0, 1).Draw(t, "version"),
		HashCode:       mh.SHA2_256,
		ChunkSize:      rapid.IntRange(1, 300).Draw(t, "chunk"),
		Width:          rapid.IntRange(2, 7).Draw(t, "width"),
		RawLeaves:      rapid.Bool().Draw(t, "raw"),
		ShardThreshold: rapid.IntRange(1, 700).Draw(t, "threshold"),
		ShardEstimate:  Estimate(rapid.IntRange(0, 1).Draw(t, "estimate")),
		ShardFanout:    8 << rapid.IntRange(0, 7).Draw(t, "fanout"),
	}
	if p.CIDVersion == 1 {
		p.HashCode = rapid.SampledFrom([]uint64{mh.SHA2_256, mh.SHA2_512, mh.BLAKE3}).Draw(t, "hash")
	}
	return p
}

func genTree(t *rapid.T, p Profile, depth int) tree {
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case kind == 0:
		return tree{target: rapid.StringN(1, 40, 120).Draw(t, "target")}
	case kind < 6 && depth > 0 || kind < 2:
		entries := map[string]tree{}
		for range rapid.IntRange(0, 12).Draw(t, "entries") {
			name := string(rapid.SliceOfN(rapid.Byte().Filter(func(b byte) bool { return b != 0 && b != '/' }), 1, 30).Draw(t, "name"))
			if name != "." && name != ".." {
				entries[name] = genTree(t, p, depth-1)
			}
		}
		return dir(entries)
	}
	n := rapid.IntRange(0, 20*p.ChunkSize).Draw(t, "size")
	seed := rapid.Uint64Range(0, 3).Draw(t, "seed") // few seeds: blocks and files that occur more than once
	return tree{data: content(fmt.Sprint(seed), n)}
}

// TestSameAsBoxo compares all blocks of random trees with those that boxo makes, and walks them.
func TestSameAsBoxo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := genProfile(rt)
		tr := genTree(rt, p, 3)
		want := blockMap{}
		root := boxoTree(rt, p, dagMap{want}, tr)
		m := blockMap{}
		e := build(t, p, m, tr)
		if e.CID != root.Cid() {
			rt.Fatalf("%+v: root %s, boxo's is %s", p, e.CID, root.Cid())
		}
		if size, err := root.Size(); err != nil || e.TreeSize != size {
			rt.Fatalf("tree size %d, boxo's is %d (%v)", e.TreeSize, size, err)
		}
		for h, b := range m {
			if !bytes.Equal(b, want[h]) {
				rt.Fatalf("a block that boxo does not have: %x", b)
			}
		}
		r := walk(t, e.CID, m, Limits{})
		sameTree(t, r, tr)
		if len(r.blocks) != len(m) {
			rt.Fatalf("%d blocks built, %d walked", len(m), len(r.blocks))
		}
	})
}

// TestFileLayout compares every number of leaves up to five levels of every small width with boxo.
func TestFileLayout(t *testing.T) {
	data := content("layout", 300)
	for width := 2; width <= 6; width++ {
		for n := 0; n <= len(data); n++ {
			p := Profile{CIDVersion: n % 2, HashCode: mh.SHA2_256, ChunkSize: 1, Width: width, RawLeaves: n%3 == 0}
			e := build(t, p, blockMap{}, tree{data: data[:n]})
			root := boxoTree(t, p, dagMap{blockMap{}}, tree{data: data[:n]})
			if size, err := root.Size(); err != nil || e.CID != root.Cid() || e.TreeSize != size || e.Size != uint64(n) || e.Kind != KindFile {
				t.Fatalf("width %d, %d leaves: %+v, boxo has %s of %d", width, n, e, root.Cid(), size)
			}
		}
	}
}

// TestShardLayout compares directories around random thresholds with boxo, added in random order.
func TestShardLayout(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		p := Profile{CIDVersion: i % 2, HashCode: mh.SHA2_256, ChunkSize: 100, Width: 4, RawLeaves: true,
			ShardEstimate: Estimate(i / 2 % 2), ShardFanout: 8 << rng.IntN(8)}
		entries := map[string]tree{}
		for range 1 + rng.IntN(200) {
			name := fmt.Sprintf("%x", rng.Uint64N(1<<(8*uint(1+rng.IntN(7)))))
			entries[name] = tree{data: content(name, rng.IntN(400))}
		}
		// The plain directory has this size, exactly.
		p.ShardThreshold = 1 << 30
		plain := blockMap{}
		size := len(plain[string(build(t, p, plain, dir(entries)).CID.Hash())])
		if p.ShardEstimate == EstimateLinks {
			size = 0
			for name, child := range entries {
				size += len(name) + build(t, p, blockMap{}, child).CID.ByteLen()
			}
		}
		for over := -1; over <= 1; over++ {
			p.ShardThreshold = size - over
			e := build(t, p, blockMap{}, dir(entries))
			if want := boxoTree(t, p, dagMap{blockMap{}}, dir(entries)).Cid(); e.CID != want {
				t.Fatalf("%d entries, %+d bytes over the threshold: %s, boxo has %s", len(entries), over, e.CID, want)
			}
		}
	}
}
