package unixfs

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// Protobuf by hand, for nodes that no builder makes. Fields are given in the order in which they are written.

func pbVarint(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func pbBytes(n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), v)
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func pbLink(name string, c cid.Cid, tsize int) []byte {
	return pbBytes(2, cat(pbBytes(1, c.Bytes()), pbBytes(2, []byte(name)), pbVarint(3, uint64(tsize))))
}

// put stores a block under a CIDv1 of the codec.
func (m blockMap) put(kind uint64, block []byte) cid.Cid {
	h, err := mh.Sum(block, mh.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	m[string(h)] = block
	return cid.NewCidV1(kind, h)
}

func (m blockMap) raw(data string) cid.Cid { return m.put(cid.Raw, []byte(data)) }

// node stores a dag-pb node with links before the message.
func (m blockMap) node(links [][]byte, message ...[]byte) cid.Cid {
	return m.put(cid.DagProtobuf, cat(cat(links...), pbBytes(1, cat(message...))))
}

func inline(kind uint64, block []byte) cid.Cid {
	h, err := mh.Sum(block, mh.IDENTITY, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(kind, h)
}

var (
	isRaw       = pbVarint(1, uint64(codec.Raw))
	isDirectory = pbVarint(1, uint64(codec.Directory))
	isFile      = pbVarint(1, uint64(codec.File))
	isMetadata  = pbVarint(1, uint64(codec.Metadata))
	isSymlink   = pbVarint(1, uint64(codec.Symlink))
	isShard     = cat(pbVarint(1, uint64(codec.Shard)), pbVarint(5, codec.Murmur3))
)

func data(s string) []byte        { return pbBytes(2, []byte(s)) }
func filesize(n uint64) []byte    { return pbVarint(3, n) }
func blocksize(n uint64) []byte   { return pbVarint(4, n) }
func fanout(n uint64) []byte      { return pbVarint(6, n) }
func links(ls ...[]byte) [][]byte { return ls }

// TestOddFiles walks files that are valid and that Kubo does not make. Each says "hello world".
func TestOddFiles(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(m blockMap) cid.Cid
		loose int // payloads without a block
		nodes int
	}{
		"raw type leaf":    {func(m blockMap) cid.Cid { return m.node(nil, isRaw, data("hello world"), filesize(11)) }, 0, 0},
		"no filesize":      {func(m blockMap) cid.Cid { return m.node(nil, isFile, data("hello world")) }, 0, 0},
		"fields backwards": {func(m blockMap) cid.Cid { return m.node(nil, filesize(11), data("hello world"), isFile) }, 0, 0},
		"last data counts": {func(m blockMap) cid.Cid { return m.node(nil, isFile, data("goodbye"), data("hello world")) }, 0, 0},
		"unknown fields": {func(m blockMap) cid.Cid {
			return m.node(nil, pbBytes(99, []byte("?")), isFile, data("hello world"), pbVarint(100, 7))
		}, 0, 0},
		"long varints": {func(m blockMap) cid.Cid {
			return m.node(nil, isFile, []byte{0x12, 0x8b, 0x80, 0x00}, []byte("hello world"))
		}, 0, 0},
		"as much wrapping as may be": {func(m blockMap) cid.Cid {
			return m.node(nil, isFile, data("hello world"), pbBytes(99, make([]byte, 1010)))
		}, 0, 0},
		"too much wrapping": {func(m blockMap) cid.Cid {
			return m.node(nil, isFile, data("hello world"), pbBytes(99, make([]byte, 1100)))
		}, 1, 1},
		"data in the root": {func(m blockMap) cid.Cid {
			return m.node(links(pbLink("", m.raw("world"), 5)), isFile, data("hello "), filesize(11), blocksize(5))
		}, 1, 1},
		"data in every node": {func(m blockMap) cid.Cid {
			inner := m.node(links(pbLink("", m.raw("wor"), 3)), isRaw, data("lo "), filesize(6), blocksize(3))
			return m.node(links(pbLink("", inner, 60), pbLink("", m.node(nil, isFile, data("ld")), 9)), isFile, data("hel"), filesize(11), blocksize(6), blocksize(2))
		}, 2, 2},
		"data before links": {func(m blockMap) cid.Cid {
			return m.put(cid.DagProtobuf, cat(pbBytes(1, cat(isFile, filesize(11), blocksize(6), blocksize(5))),
				pbLink("", m.raw("hello "), 6), pbLink("", m.raw("world"), 5)))
		}, 0, 1},
		"packed block sizes": {func(m blockMap) cid.Cid {
			return m.node(links(pbLink("", m.raw("hello "), 6), pbLink("", m.raw("world"), 5)), isFile, pbBytes(4, []byte{6, 5}))
		}, 0, 1},
		"no names, no tsizes": {func(m blockMap) cid.Cid {
			return m.node(links(pbBytes(2, pbBytes(1, m.raw("hello world").Bytes()))), isFile, blocksize(11))
		}, 0, 1},
		"named links": {func(m blockMap) cid.Cid {
			return m.node(links(pbLink("b/..", m.raw("hello "), 6), pbLink("a", m.raw("world"), 5)), isFile, blocksize(6), blocksize(5))
		}, 0, 1},
		"empty leaves": {func(m blockMap) cid.Cid {
			return m.node(links(pbLink("", m.raw(""), 0), pbLink("", m.raw("hello world"), 11), pbLink("", m.node(nil, isFile), 4)),
				isFile, blocksize(0), blocksize(11), blocksize(0))
		}, 0, 1},
		"wrong tsizes": {func(m blockMap) cid.Cid {
			return m.node(links(pbLink("", m.raw("hello "), 0), pbLink("", m.node(nil, isRaw, data("world")), -1)), isFile, blocksize(6), blocksize(5))
		}, 0, 1},
		"inlined everywhere": {func(blockMap) cid.Cid {
			leaf := inline(cid.DagProtobuf, pbBytes(1, cat(isFile, data("world"))))
			return inline(cid.DagProtobuf, cat(pbLink("", inline(cid.Raw, []byte("hello ")), 0), pbLink("", leaf, 0), pbBytes(1, cat(isFile, blocksize(6), blocksize(5)))))
		}, 2, 0},
		"inlined node, real leaf": {func(m blockMap) cid.Cid {
			return inline(cid.DagProtobuf, cat(pbLink("", m.raw("hello world"), 0), pbBytes(1, cat(isFile, blocksize(11)))))
		}, 0, 0},
		"metadata": {func(m blockMap) cid.Cid {
			return m.node(links(pbLink("", m.node(nil, isFile, data("hello world")), 19)), isMetadata, data("\x0a\x0atext/plain"))
		}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := blockMap{}
			root := c.make(m)
			r := walk(t, root, m, Limits{})
			if got := string(r.files[""]); got != "hello world" || len(r.files) != 1 {
				t.Errorf("walked %q", got)
			}
			if r.loose != c.loose || r.nodes != c.nodes {
				t.Errorf("%d payloads without a block and %d nodes, want %d and %d", r.loose, r.nodes, c.loose, c.nodes)
			}
			if len(r.blocks) != len(m) {
				t.Errorf("%d blocks delivered of %d", len(r.blocks), len(m))
			}
		})
	}
}

// TestEmptyFiles: every form of the empty file is one empty leaf with a block, or nothing if it is inlined.
func TestEmptyFiles(t *testing.T) {
	for name, c := range map[string]struct {
		make   func(m blockMap) cid.Cid
		blocks int
	}{
		"raw":           {func(m blockMap) cid.Cid { return m.raw("") }, 1},
		"file":          {func(m blockMap) cid.Cid { return m.node(nil, isFile) }, 1},
		"empty data":    {func(m blockMap) cid.Cid { return m.node(nil, isFile, data(""), filesize(0)) }, 1},
		"inlined":       {func(blockMap) cid.Cid { return inline(cid.Raw, nil) }, 0},
		"inlined node":  {func(blockMap) cid.Cid { return inline(cid.DagProtobuf, pbBytes(1, isFile)) }, 0},
		"wrapping only": {func(m blockMap) cid.Cid { return m.node(nil, isFile, pbBytes(99, make([]byte, 2000))) }, 1},
	} {
		m := blockMap{}
		r := walk(t, c.make(m), m, Limits{})
		if got, ok := r.files[""]; !ok || len(got) != 0 || len(r.blocks) != c.blocks {
			t.Errorf("%s: file there: %t, %d bytes, %d blocks", name, ok, len(got), len(r.blocks))
		}
	}
}

func TestOddDirectories(t *testing.T) {
	m := blockMap{}
	f := m.raw("f")
	t.Run("unsorted", func(t *testing.T) {
		r := walk(t, m.node(links(pbLink("b", f, 1), pbLink("a", f, 1), pbLink("c", f, 1)), isDirectory), m, Limits{})
		if got := strings.Join(r.order, ""); got != "bac" {
			t.Errorf("order %q", got)
		}
	})
	t.Run("empty shard", func(t *testing.T) {
		r := walk(t, m.node(nil, isShard, fanout(256)), m, Limits{})
		if len(r.dirs) != 1 || r.nodes != 1 {
			t.Errorf("%d directories, %d nodes", len(r.dirs), r.nodes)
		}
	})
	t.Run("everything inlined", func(t *testing.T) {
		link := inline(cid.DagProtobuf, pbBytes(1, cat(isSymlink, data("to"))))
		root := inline(cid.DagProtobuf, cat(pbLink("l", link, 0), pbLink("f", inline(cid.Raw, []byte("x")), 0), pbBytes(1, isDirectory)))
		r := walk(t, root, m, Limits{})
		if r.links["l"] != "to" || string(r.files["f"]) != "x" || len(r.blocks) != 0 {
			t.Errorf("%q, %q, %d blocks", r.links, r.files, len(r.blocks))
		}
	})
	t.Run("metadata within", func(t *testing.T) {
		meta := m.node(links(pbLink("", m.node(nil, isFile, data("x")), 0)), isMetadata, data(""))
		r := walk(t, m.node(links(pbLink("a", meta, 0), pbLink("b", f, 1)), isDirectory), m, Limits{})
		if string(r.files["a"]) != "x" || string(r.files["b"]) != "f" {
			t.Errorf("%q", r.files)
		}
	})
	t.Run("symlink root", func(t *testing.T) {
		if r := walk(t, m.node(nil, isSymlink, data("../x\x00y")), m, Limits{}); r.links[""] != "../x\x00y" {
			t.Errorf("%q", r.links)
		}
	})
}

func TestMeta(t *testing.T) {
	nanos := func(n uint32) []byte {
		return protowire.AppendFixed32(protowire.AppendTag(nil, 2, protowire.Fixed32Type), n)
	}
	for name, c := range map[string]struct {
		fields [][]byte
		want   Meta
	}{
		"none":            {nil, Meta{}},
		"mode":            {[][]byte{pbVarint(7, 0o4755)}, Meta{Mode: 0o4755}},
		"high bits":       {[][]byte{pbVarint(7, 0xfffff000|0o644)}, Meta{Mode: 0xfffff000 | 0o644}},
		"time":            {[][]byte{pbBytes(8, pbVarint(1, 1000))}, Meta{ModTime: time.Unix(1000, 0)}},
		"before 1970":     {[][]byte{pbBytes(8, cat(pbVarint(1, 1<<64-5), nanos(7)))}, Meta{ModTime: time.Unix(-5, 7)}},
		"a whole second":  {[][]byte{pbBytes(8, cat(pbVarint(1, 5), nanos(1_000_000_000)))}, Meta{}},
		"zero nanosecond": {[][]byte{pbBytes(8, cat(pbVarint(1, 5), nanos(0)))}, Meta{}},
	} {
		m := blockMap{}
		for _, kind := range [][]byte{isFile, isDirectory, isSymlink, cat(isShard, fanout(8))} {
			r := walk(t, m.node(nil, append([][]byte{kind}, c.fields...)...), m, Limits{})
			if got := r.metas[""]; got.Mode != c.want.Mode || !got.ModTime.Equal(c.want.ModTime) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}
