package unixfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// A silent visitor takes everything and counts the bytes.
type silent struct{ bytes, leaves, nodes int }

func (s *silent) BeginDirectory(string, Meta) error             { return nil }
func (s *silent) EndDirectory(string) error                     { return nil }
func (s *silent) BeginFile(string, uint64, Meta, cid.Cid) error { return nil }
func (s *silent) Leaf(_ Leaf, _ uint64, payload, _ []byte) error {
	s.bytes += len(payload)
	s.leaves++
	return nil
}
func (s *silent) Node(cid.Cid, []byte) error         { s.nodes++; return nil }
func (s *silent) EndFile(string, Entry) error        { return nil }
func (s *silent) Symlink(string, string, Meta) error { return nil }

// A culprit is the block that an error has to name.
type culprit struct {
	root, at cid.Cid
}

func only(c cid.Cid) culprit { return culprit{c, c} }

func entry(m blockMap, name string) culprit {
	return only(m.node(links(pbLink(name, m.raw("x"), 1)), isDirectory))
}

// shardOf makes a root shard with one link, in the slot that label names.
func shardOf(m blockMap, label string, c cid.Cid, bitfield []byte, n uint64) culprit {
	return only(m.node(links(pbLink(label, c, 1)), isShard, pbBytes(2, bitfield), fanout(n)))
}

// slotBits is a bitfield of 32 bytes with one slot.
func slotBits(slot int) []byte {
	b := make([]byte, 32)
	b[31-slot/8] = 1 << (slot % 8)
	return b
}

// rightful returns the label of name in the root shard of 256, and its slot.
func rightful(name string) (string, int) {
	slot := slotOf(nameHash(name), 0, 8)
	return slotName(slot, 256) + name, slot
}

// inFile makes a file of one link with the given size.
func inFile(m blockMap, child cid.Cid, size uint64) culprit {
	return culprit{m.node(links(pbLink("", child, 50)), isFile, filesize(size), blocksize(size)), child}
}

func TestHostileDAGs(t *testing.T) {
	label, slot := rightful("name")
	for name, c := range map[string]struct {
		want error
		make func(m blockMap) culprit
	}{
		// What is not UnixFS.
		"dag-cbor root": {ErrNotUnixFS, func(m blockMap) culprit { return only(m.put(cid.DagCBOR, []byte{0xa0})) }},
		"dag-json root": {ErrNotUnixFS, func(m blockMap) culprit { return only(m.put(cid.DagJSON, []byte("{}"))) }},
		"key root":      {ErrNotUnixFS, func(blockMap) culprit { return only(inline(cid.Libp2pKey, []byte{1, 2})) }},
		"dag-cbor entry": {ErrNotUnixFS, func(m blockMap) culprit {
			c := m.put(cid.DagCBOR, []byte{0xa0})
			return culprit{m.node(links(pbLink("a", c, 1)), isDirectory), c}
		}},
		"dag-cbor in file":  {ErrNotUnixFS, func(m blockMap) culprit { return inFile(m, m.put(cid.DagCBOR, []byte{0xa0}), 1) }},
		"dag-pb, no data":   {ErrNotUnixFS, func(m blockMap) culprit { return only(m.put(cid.DagProtobuf, pbLink("a", m.raw("x"), 1))) }},
		"empty dag-pb":      {ErrNotUnixFS, func(m blockMap) culprit { return only(m.put(cid.DagProtobuf, nil)) }},
		"empty data":        {ErrNotUnixFS, func(m blockMap) culprit { return only(m.put(cid.DagProtobuf, pbBytes(1, nil))) }},
		"data not protobuf": {ErrNotUnixFS, func(m blockMap) culprit { return only(m.put(cid.DagProtobuf, pbBytes(1, []byte("hello")))) }},
		"unknown type":      {ErrNotUnixFS, func(m blockMap) culprit { return only(m.node(nil, pbVarint(1, 6))) }},
		"negative type":     {ErrNotUnixFS, func(m blockMap) culprit { return only(m.node(nil, pbVarint(1, 1<<64-1))) }},
		"two datas": {ErrNotUnixFS, func(m blockMap) culprit {
			return only(m.put(cid.DagProtobuf, cat(pbBytes(1, isFile), pbBytes(1, isFile))))
		}},
		"data amid links": {ErrNotUnixFS, func(m blockMap) culprit {
			l := pbLink("", m.raw("x"), 1)
			return only(m.put(cid.DagProtobuf, cat(l, pbBytes(1, cat(isFile, blocksize(1), blocksize(1))), l)))
		}},
		"link without CID": {ErrNotUnixFS, func(m blockMap) culprit { return only(m.node(links(pbBytes(2, pbBytes(2, []byte("a")))), isDirectory)) }},
		"link with half a CID": {ErrNotUnixFS, func(m blockMap) culprit {
			return only(m.node(links(pbBytes(2, pbBytes(1, []byte{1, 0x55, 0x12, 32, 0}))), isDirectory))
		}},
		"name before CID": {ErrNotUnixFS, func(m blockMap) culprit {
			return only(m.node(links(pbBytes(2, cat(pbBytes(2, []byte("a")), pbBytes(1, m.raw("x").Bytes())))), isDirectory))
		}},
		"unknown field in dag-pb": {ErrNotUnixFS, func(m blockMap) culprit {
			return only(m.put(cid.DagProtobuf, cat(pbBytes(3, nil), pbBytes(1, isFile))))
		}},
		"mtime without seconds": {ErrNotUnixFS, func(m blockMap) culprit { return only(m.node(nil, isFile, pbBytes(8, nil))) }},

		// Sizes that are not true.
		"filesize too large": {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, isFile, data("x"), filesize(2))) }},
		"filesize too small": {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, isFile, data("xyz"), filesize(2))) }},
		"filesize 2^63":      {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, isFile, filesize(1<<63))) }},
		"root filesize": {ErrMalformed, func(m blockMap) culprit {
			return only(m.node(links(pbLink("", m.raw("x"), 1)), isFile, filesize(9), blocksize(1)))
		}},
		"block size of raw":     {ErrMalformed, func(m blockMap) culprit { return inFile(m, m.raw("four"), 5) }},
		"block size of leaf":    {ErrMalformed, func(m blockMap) culprit { return inFile(m, m.node(nil, isFile, data("four")), 3) }},
		"block size of inlined": {ErrMalformed, func(m blockMap) culprit { return inFile(m, inline(cid.Raw, []byte("four")), 5) }},
		"block size of node": {ErrMalformed, func(m blockMap) culprit {
			return inFile(m, m.node(links(pbLink("", m.raw("four"), 4)), isFile, blocksize(4)), 8)
		}},
		"too few block sizes": {ErrMalformed, func(m blockMap) culprit { return only(m.node(links(pbLink("", m.raw("x"), 1)), isFile, filesize(0))) }},
		"too many block sizes": {ErrMalformed, func(m blockMap) culprit {
			return only(m.node(links(pbLink("", m.raw("x"), 1)), isFile, blocksize(1), blocksize(0)))
		}},
		"block sizes, no links": {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, isFile, pbBytes(4, make([]byte, 1<<20)))) }},
		"block sizes over 2^64": {ErrMalformed, func(m blockMap) culprit {
			l := pbLink("", m.raw("x"), 1)
			return only(m.node(links(l, l), isFile, blocksize(1<<63), blocksize(1<<63)))
		}},
		"more bytes than allowed": {ErrLimit, func(m blockMap) culprit { return only(inFile(m, m.raw("x"), 1<<44+1).root) }},

		// Things at places where they cannot be.
		"directory in a file": {ErrMalformed, func(m blockMap) culprit { return inFile(m, m.node(nil, isDirectory), 0) }},
		"symlink in a file":   {ErrMalformed, func(m blockMap) culprit { return inFile(m, m.node(nil, isSymlink, data("x")), 1) }},
		"shard in a file":     {ErrMalformed, func(m blockMap) culprit { return inFile(m, m.node(nil, isShard, fanout(256)), 0) }},
		"metadata in a file":  {ErrMalformed, func(m blockMap) culprit { return inFile(m, m.node(links(pbLink("", m.raw("x"), 1)), isMetadata), 1) }},
		"symlink with links":  {ErrMalformed, func(m blockMap) culprit { return only(m.node(links(pbLink("a", m.raw("x"), 1)), isSymlink, data("x"))) }},
		"symlink to anywhere": {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, isSymlink, data(strings.Repeat("x", maxTarget+1)))) }},
		"metadata of nothing": {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, isMetadata)) }},
		"metadata of a folder": {ErrMalformed, func(m blockMap) culprit {
			c := m.node(nil, isDirectory)
			return culprit{m.node(links(pbLink("", c, 1)), isMetadata), c}
		}},
		"large inlined block": {ErrLimit, func(blockMap) culprit { return only(inline(cid.Raw, make([]byte, 129))) }},
		"missing leaf":        {errMissing, func(m blockMap) culprit { c := m.raw("x"); delete(m, string(c.Hash())); return inFile(m, c, 1) }},
		"missing root":        {errMissing, func(m blockMap) culprit { c := m.raw("x"); delete(m, string(c.Hash())); return only(c) }},

		// Names.
		"no name":      {ErrName, func(m blockMap) culprit { return entry(m, "") }},
		"dot":          {ErrName, func(m blockMap) culprit { return entry(m, ".") }},
		"dot dot":      {ErrName, func(m blockMap) culprit { return entry(m, "..") }},
		"slash":        {ErrName, func(m blockMap) culprit { return entry(m, "/") }},
		"absolute":     {ErrName, func(m blockMap) culprit { return entry(m, "/etc/passwd") }},
		"climbing":     {ErrName, func(m blockMap) culprit { return entry(m, "../../x") }},
		"slash within": {ErrName, func(m blockMap) culprit { return entry(m, "a/b") }},
		"slash at end": {ErrName, func(m blockMap) culprit { return entry(m, "a/") }},
		"NUL":          {ErrName, func(m blockMap) culprit { return entry(m, "a\x00b") }},
		"endless name": {ErrName, func(m blockMap) culprit { return entry(m, strings.Repeat("n", maxName+1)) }},
		"twice": {ErrName, func(m blockMap) culprit {
			l := pbLink("a", m.raw("x"), 1)
			return only(m.node(links(l, l), isDirectory))
		}},
		"twice, apart": {ErrName, func(m blockMap) culprit {
			l := pbLink("a", m.raw("x"), 1)
			return only(m.node(links(l, pbLink("b", m.raw("y"), 1), l), isDirectory))
		}},
		"dot dot in a shard": {ErrName, func(m blockMap) culprit { l, s := rightful(".."); return shardOf(m, l, m.raw("x"), slotBits(s), 256) }},
		"slash in a shard":   {ErrName, func(m blockMap) culprit { l, s := rightful("a/b"); return shardOf(m, l, m.raw("x"), slotBits(s), 256) }},

		// Shards.
		"no hash function":    {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, pbVarint(1, uint64(codec.Shard)), fanout(256))) }},
		"other hash function": {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, isShard, pbVarint(5, 0x23), fanout(256))) }},
		"no fanout":           {ErrMalformed, func(m blockMap) culprit { return only(m.node(nil, isShard)) }},
		"bitfield too long": {ErrMalformed, func(m blockMap) culprit {
			return shardOf(m, label, m.raw("x"), append([]byte{0}, slotBits(slot)...), 256)
		}},
		"more slots than links": {ErrMalformed, func(m blockMap) culprit {
			b := slotBits(slot)
			b[0] |= 0x80
			b[31] |= 1
			return shardOf(m, label, m.raw("x"), b, 256)
		}},
		"fewer slots than links": {ErrMalformed, func(m blockMap) culprit { return shardOf(m, label, m.raw("x"), nil, 256) }},
		"other slot than name":   {ErrMalformed, func(m blockMap) culprit { return shardOf(m, label, m.raw("x"), slotBits((slot+1)%256), 256) }},
		"lower-case slot":        {ErrMalformed, func(m blockMap) culprit { return shardOf(m, "ab", m.raw("x"), slotBits(0xab), 256) }},
		"slot that is none":      {ErrMalformed, func(m blockMap) culprit { return shardOf(m, "zz", m.raw("x"), slotBits(0), 256) }},
		"half a slot":            {ErrMalformed, func(m blockMap) culprit { return shardOf(m, "A", m.raw("x"), slotBits(0xA), 256) }},
		"name of another slot": {ErrMalformed, func(m blockMap) culprit {
			s := (slot + 1) % 256
			return shardOf(m, slotName(s, 256)+"name", m.raw("x"), slotBits(s), 256)
		}},
		"raw shard": {ErrMalformed, func(m blockMap) culprit {
			c := m.raw("x")
			return culprit{shardOf(m, "00", c, slotBits(0), 256).root, c}
		}},
		"file for a shard": {ErrMalformed, func(m blockMap) culprit {
			c := m.node(nil, isFile)
			return culprit{shardOf(m, "00", c, slotBits(0), 256).root, c}
		}},
		"other fanout below": {ErrMalformed, func(m blockMap) culprit {
			c := m.node(nil, isShard, fanout(128))
			return culprit{shardOf(m, "00", c, slotBits(0), 256).root, c}
		}},
		"shard out of bits": {ErrMalformed, func(m blockMap) culprit {
			at := m.node(nil, isShard, fanout(256))
			c := at
			for range 8 {
				c = shardOf(m, "00", c, slotBits(0), 256).root
			}
			return culprit{c, at}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := blockMap{}
			dag := c.make(m)
			refused(t, Walk(t.Context(), dag.root, m, &silent{}, Limits{}), c.want, dag.at)
		})
	}
}

// refused checks that an error is of its kind and names the block.
func refused(t *testing.T, err, want error, at cid.Cid) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	var ne *NodeError
	if !errors.As(err, &ne) || ne.CID != at || !strings.Contains(err.Error(), at.String()) {
		t.Errorf("error %q does not name %s", err, at)
	}
}

// allocated runs f and returns the bytes that it allocated.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestFanouts(t *testing.T) {
	for _, n := range []uint64{0, 1, 2, 3, 4, 7, 9, 12, 255, 257, 2048, 1 << 20, 1 << 31, 1 << 32, 1<<32 + 256, 1 << 62, 1 << 63, 1<<64 - 1} {
		m := blockMap{}
		root := m.node(nil, isShard, fanout(n))
		var err error
		if got := allocated(func() { err = Walk(t.Context(), root, m, &silent{}, Limits{}) }); got > 64<<10 {
			t.Errorf("fanout %d: %d bytes allocated", n, got)
		}
		refused(t, err, ErrMalformed, root)
		_, err = Lookup(t.Context(), root, "x", m)
		refused(t, err, ErrMalformed, root)
		_, err = List(t.Context(), root, m, Limits{}, func(string, cid.Cid) error { return nil })
		refused(t, err, ErrMalformed, root)
	}
	for n := uint64(8); n <= 1024; n *= 2 {
		m := blockMap{}
		walk(t, m.node(nil, isShard, fanout(n)), m, Limits{})
	}
}

// chain makes blocks that link one another, n deep.
func chain(m blockMap, n int, kind string) (root cid.Cid, all []cid.Cid) {
	c := m.raw("end")
	all = append(all, c)
	for range n - 1 {
		switch kind {
		case "files":
			c = m.node(links(pbLink("", c, 10)), isFile, blocksize(3))
		case "folders":
			c = m.node(links(pbLink("d", c, 10)), isDirectory)
		case "metadata":
			c = m.node(links(pbLink("", c, 10)), isMetadata)
		}
		all = append(all, c)
	}
	return c, all
}

func TestDepth(t *testing.T) {
	for _, kind := range []string{"files", "folders", "metadata"} {
		m := blockMap{}
		root, all := chain(m, 10_000, kind)
		visits := &counting{blockMap: m}
		refused(t, Walk(t.Context(), root, visits, &silent{}, Limits{}), ErrLimit, all[10_000-129])
		if visits.n > 128 {
			t.Errorf("%s: %d blocks read", kind, visits.n)
		}
		if err := Walk(t.Context(), all[127], m, &silent{}, Limits{}); err != nil {
			t.Errorf("%s: depth 128: %v", kind, err)
		}
		refused(t, Walk(t.Context(), all[128], m, &silent{}, Limits{}), ErrLimit, all[0])
		refused(t, Walk(t.Context(), all[5], m, &silent{}, Limits{Depth: 5}), ErrLimit, all[0])
	}
}

type counting struct {
	blockMap
	n int
}

func (c *counting) Block(ctx context.Context, id cid.Cid) ([]byte, error) {
	c.n++
	return c.blockMap.Block(ctx, id)
}

// TestBombs: few blocks that say that they are many. The walk ends at the limit, in bounded memory, and reads a block
// that comes again and again seldom.
func TestBombs(t *testing.T) {
	for name, c := range map[string]struct {
		make func(m blockMap) cid.Cid
		l    Limits
	}{
		"1000^7 folders": {func(m blockMap) cid.Cid {
			c := m.node(nil, isDirectory)
			for range 7 {
				var ls [][]byte
				for i := range 1000 {
					ls = append(ls, pbLink(fmt.Sprintf("%03d", i), c, 4))
				}
				c = m.node(ls, isDirectory)
			}
			return c
		}, bombLimits},
		"a million links": {func(m blockMap) cid.Cid {
			var ls [][]byte
			for i := range 20_000 {
				ls = append(ls, pbLink(fmt.Sprintf("%05d", i), m.raw("x"), 1))
			}
			inner := m.node(ls, isDirectory)
			ls = nil
			for i := range 60 {
				ls = append(ls, pbLink(fmt.Sprintf("%02d", i), inner, 1))
			}
			return m.node(ls, isDirectory)
		}, bombLimits},
		"inlined folders": {func(m blockMap) cid.Cid {
			var ls [][]byte
			c := inline(cid.DagProtobuf, pbBytes(1, isDirectory))
			for i := range 1000 {
				ls = append(ls, pbLink(fmt.Sprintf("%03d", i), c, 0))
			}
			inner := m.node(ls, isDirectory)
			ls = nil
			for i := range 2000 {
				ls = append(ls, pbLink(fmt.Sprintf("%04d", i), inner, 0))
			}
			return m.node(ls, isDirectory)
		}, bombLimits},
		"2^41 bytes": {func(m blockMap) cid.Cid {
			size := uint64(1 << 20)
			c := m.raw(strings.Repeat("z", int(size)))
			for range 3 {
				ls, sizes := [][]byte{}, []byte{}
				for range 128 {
					ls, sizes = append(ls, pbLink("", c, 1)), append(sizes, blocksize(size)...)
				}
				c, size = m.node(ls, isFile, sizes), size*128
			}
			return c
		}, Limits{}},
		"2^41 bytes, some allowed": {func(m blockMap) cid.Cid {
			return m.node(links(pbLink("", m.raw("x"), 1)), isFile, blocksize(1<<41))
		}, Limits{Bytes: 1 << 40}},
		"10^9 leaves of one byte": {func(m blockMap) cid.Cid {
			c, size := m.raw("x"), uint64(1)
			for range 3 {
				ls, sizes := [][]byte{}, []byte{}
				for range 1000 {
					ls, sizes = append(ls, pbLink("", c, 1)), append(sizes, blocksize(size)...)
				}
				c, size = m.node(ls, isFile, sizes), size*1000
			}
			return c
		}, bombLimits},
		"many files": {func(m blockMap) cid.Cid {
			c := m.raw(strings.Repeat("z", 1<<20))
			var ls [][]byte
			for i := range 1000 {
				ls = append(ls, pbLink(fmt.Sprintf("%03d", i), c, 1<<20))
			}
			return m.node(ls, isDirectory)
		}, Limits{Bytes: 500 << 20}},
		"wide and deep": {func(m blockMap) cid.Cid {
			c := m.node(nil, isDirectory)
			for range 100 {
				ls := [][]byte{pbLink("!", c, 0)}
				for i := range 20_000 {
					ls = append(ls, pbLink(fmt.Sprint(100_000+i), inline(cid.Raw, nil), 0))
				}
				c = m.node(ls, isDirectory)
			}
			return c
		}, bombLimits},
	} {
		t.Run(name, func(t *testing.T) {
			m := blockMap{}
			root := c.make(m)
			f := &counting{blockMap: m}
			done := make(chan error, 1)
			start := time.Now()
			go func() { done <- Walk(t.Context(), root, f, &silent{}, c.l) }()
			peak := peakHeap(t, done)
			t.Logf("%d blocks read in %v, heap %d MiB over", f.n, time.Since(start).Round(time.Millisecond), peak>>20)
			if peak > 160<<20 {
				t.Errorf("heap grew by %d MiB", peak>>20)
			}
			if f.n > 2000 {
				t.Errorf("%d blocks read; %d are different", f.n, len(m))
			}
		})
	}
}

// peakHeap waits for a walk that has to end at a limit, and returns how much the heap grew.
func peakHeap(t *testing.T, done chan error) uint64 {
	t.Helper()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	base, peak := stats.HeapAlloc, stats.HeapAlloc
	timeout := time.After(5 * time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case err := <-done:
			if !errors.Is(err, ErrLimit) {
				t.Fatalf("got error %v, want a limit", err)
			}
			return peak - base
		case <-tick.C:
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapAlloc)
		case <-timeout:
			t.Fatal("still walking after minutes")
		}
	}
}

func TestLimitsAreExact(t *testing.T) {
	m := blockMap{}
	p := Profile{CIDVersion: 1, HashCode: mh.SHA2_256, ChunkSize: 10, Width: 3, RawLeaves: true}
	e := build(t, p, m, dir(map[string]tree{"a": {data: content("a", 95)}, "b": {data: content("b", 5)}}))
	r := walk(t, e.CID, m, Limits{})
	blocks := uint64(len(r.blocks))
	walk(t, e.CID, m, Limits{Blocks: blocks, Bytes: 100, Depth: 5})
	for _, l := range []Limits{{Blocks: blocks - 1}, {Bytes: 99}, {Bytes: 94}, {Depth: 4}} {
		if err := Walk(t.Context(), e.CID, m, &silent{}, l); !errors.Is(err, ErrLimit) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// TestRepeats: how often blocks may come again depends on how many there are.
func TestRepeats(t *testing.T) {
	// flat makes a file of n leaves, of which some are different.
	flat := func(m blockMap, n, different, size int) cid.Cid {
		ls, sizes := [][]byte{}, []byte{}
		for i := range n {
			ls = append(ls, pbLink("", m.raw(string(content(fmt.Sprint(i%different), size))), size))
			sizes = append(sizes, blocksize(uint64(size))...)
		}
		return m.node(ls, isFile, sizes)
	}
	for name, c := range map[string]struct {
		n, different, size int
		l                  Limits
		ok                 bool
	}{
		"as many as may be":      {1001, 1, 100, Limits{Repeats: 1000}, true},
		"one more":               {1002, 1, 100, Limits{Repeats: 1000}, false},
		"64 times":               {20 + 64*21, 20, 100, Limits{Repeats: 1}, true}, // the root is one of 21
		"64 times and one":       {21 + 64*21, 20, 100, Limits{Repeats: 1}, false},
		"all different":          {5000, 5000, 100, Limits{Repeats: 1, RepeatBytes: 1}, true},
		"as many bytes":          {101, 1, 1 << 20, Limits{RepeatBytes: 100 << 20}, true},
		"a byte less":            {101, 1, 1 << 20, Limits{RepeatBytes: 100<<20 - 1}, false},
		"64 times as many bytes": {65, 1, 1 << 20, Limits{RepeatBytes: 1}, true},
		"a block more":           {66, 1, 1 << 20, Limits{RepeatBytes: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := blockMap{}
			err := Walk(t.Context(), flat(m, c.n, c.different, c.size), m, &silent{}, c.l)
			if c.ok && err != nil || !c.ok && !errors.Is(err, ErrLimit) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestSparseFile: what people really have, an image of which almost all is zeros.
func TestSparseFile(t *testing.T) {
	m := blockMap{}
	zeros := m.raw(string(make([]byte, 1<<20)))
	c, size := zeros, uint64(1<<20)
	for _, width := range []int{64, 64} { // 4 GiB
		ls, sizes := [][]byte{}, []byte{}
		for range width {
			ls, sizes = append(ls, pbLink("", c, 1)), append(sizes, blocksize(size)...)
		}
		c, size = m.node(ls, isFile, sizes), size*uint64(width)
	}
	v := &silent{}
	if err := Walk(t.Context(), c, m, v, Limits{}); err != nil || v.bytes != 4<<30 {
		t.Errorf("%d bytes, %v", v.bytes, err)
	}
}

func TestLongPaths(t *testing.T) {
	m := blockMap{}
	c := m.raw("x")
	name := strings.Repeat("n", 1000)
	var all []cid.Cid
	for range 40 {
		c = m.node(links(pbLink(name, c, 1)), isDirectory)
		all = append(all, c)
	}
	walk(t, all[31], m, Limits{})
	refused(t, Walk(t.Context(), all[39], m, &silent{}, Limits{}), ErrLimit, all[39-32])
}

// TestOtherErrors: what is not the DAG's fault comes back as it was.
func TestOtherErrors(t *testing.T) {
	m := blockMap{}
	e := build(t, profile(t, "unixfs-v0-2015"), m, shapeTree(1<<20, 30))
	if err := Walk(t.Context(), cid.Undef, m, &silent{}, Limits{}); !errors.Is(err, ErrNotUnixFS) {
		t.Errorf("no CID: %v", err)
	}
	if _, err := Lookup(t.Context(), cid.Undef, "x", m); !errors.Is(err, ErrNotUnixFS) {
		t.Errorf("lookup in no CID: %v", err)
	}
	if _, err := List(t.Context(), cid.Undef, m, Limits{}, nil); !errors.Is(err, ErrNotUnixFS) {
		t.Errorf("list of no CID: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Walk(ctx, e.CID, m, &silent{}, Limits{}); err != context.Canceled {
		t.Errorf("canceled before: %v", err)
	}
	total := func() int {
		v := &failing{n: 1 << 30}
		must(t, Walk(t.Context(), e.CID, m, v, Limits{}))
		return 1<<30 - v.n
	}()
	for n := range total {
		if err := Walk(t.Context(), e.CID, m, &failing{n: n}, Limits{}); err != errFailing {
			t.Fatalf("call %d of the visitor failed, and the walk with %v", n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		v := &failing{n: n, stop: cancel}
		f := waiting{m}
		if err := Walk(ctx, e.CID, f, v, Limits{}); n < total-1 && err != context.Canceled && v.n > 0 {
			t.Fatalf("canceled at call %d of the visitor: %v", n, err)
		}
		cancel()
	}
}

var errFailing = errors.New("disk full")

// A failing visitor fails at its nth call, or calls stop there.
type failing struct {
	n    int
	stop func()
}

func (f *failing) call() error {
	f.n--
	if f.n == -1 {
		if f.stop == nil {
			return errFailing
		}
		f.stop()
	}
	return nil
}

func (f *failing) BeginDirectory(string, Meta) error             { return f.call() }
func (f *failing) EndDirectory(string) error                     { return f.call() }
func (f *failing) BeginFile(string, uint64, Meta, cid.Cid) error { return f.call() }
func (f *failing) Leaf(Leaf, uint64, []byte, []byte) error       { return f.call() }
func (f *failing) Node(cid.Cid, []byte) error                    { return f.call() }
func (f *failing) EndFile(string, Entry) error                   { return f.call() }
func (f *failing) Symlink(string, string, Meta) error            { return f.call() }

// A waiting fetcher ends with its context, as a network does.
type waiting struct{ blockMap }

func (w waiting) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("waiting for %s: %w", c, ctx.Err())
	}
	return w.blockMap.Block(ctx, c)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamagedBlocks flips every bit of a small DAG's nodes, one at a time, as if the fetcher did not verify. The walk
// fails, or delivers what is consistent; it never panics.
func TestDamagedBlocks(t *testing.T) {
	m := blockMap{}
	p := Profile{CIDVersion: 1, HashCode: mh.SHA2_256, ChunkSize: 40, Width: 3, ShardThreshold: 100, ShardFanout: 8}
	e := build(t, p, m, dir(map[string]tree{"file": {data: content("x", 300)}, "link": {target: "to"}, "other": {data: []byte("o")}, "d": dir(map[string]tree{})}))
	ok, bad := 0, 0
	for h, good := range m {
		for bit := range len(good) * 8 {
			b := bytes.Clone(good)
			b[bit/8] ^= 1 << (bit % 8)
			m[h] = b
			if err := Walk(context.Background(), e.CID, m, newRecorder(t), Limits{Blocks: 1000}); err != nil {
				bad++
			} else {
				ok++
			}
		}
		m[h] = good
	}
	if ok == 0 || bad == 0 {
		t.Errorf("%d walks went well, %d failed", ok, bad)
	}
	walk(t, e.CID, m, Limits{})
}
