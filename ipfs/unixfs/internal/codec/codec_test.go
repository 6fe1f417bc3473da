package codec

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	boxo "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	dagpb "github.com/ipld/go-codec-dagpb"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	mh "github.com/multiformats/go-multihash"
)

func testCID(t testing.TB, codec uint64, data string) cid.Cid {
	t.Helper()
	h, err := mh.Sum([]byte(data), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(codec, h)
}

// TestKnownBlocks compares with blocks that every IPFS node knows.
func TestKnownBlocks(t *testing.T) {
	prefix, suffix := WrapLeaf(0)
	for name, c := range map[string]struct {
		block []byte
		want  string
	}{
		"empty directory": {Encode(nil, DirectoryMessage()), "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"},
		"empty file":      {append(prefix, suffix...), "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"},
	} {
		h, err := mh.Sum(c.block, mh.SHA2_256, -1)
		if err != nil {
			t.Fatal(err)
		}
		if got := cid.NewCidV0(h).String(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	links := []Link{
		{CID: testCID(t, cid.Raw, "a"), Name: "", Tsize: 0, Size: 0},
		{CID: testCID(t, cid.DagProtobuf, "b"), Name: "\xff/\x00", Tsize: 1<<64 - 1, Size: 1<<64 - 1},
		{CID: testCID(t, cid.DagCBOR, "c"), Name: "ż", Tsize: 127, Size: 128},
	}
	block := Encode(links, FileMessage(42, links))
	if len(block) != EncodedSize(links, FileMessage(42, links)) {
		t.Errorf("%d bytes, %d foreseen", len(block), EncodedSize(links, FileMessage(42, links)))
	}
	n, err := Decode(block)
	if err != nil {
		t.Fatal(err)
	}
	if n.Type != File || n.Filesize != 42 || !n.HasFilesize || len(n.Links) != 3 {
		t.Errorf("%+v", n)
	}
	for i, l := range links {
		got := n.Links[i]
		if got.Size = n.Blocksizes[i]; got != l {
			t.Errorf("link %d: %+v, want %+v", i, got, l)
		}
	}
	for _, size := range []uint64{0, 1, 127, 128, 16383, 16384, 1 << 20} {
		prefix, suffix := WrapLeaf(size)
		payload := bytes.Repeat([]byte{7}, int(size))
		n, err := Decode(bytes.Join([][]byte{prefix, payload, suffix}, nil))
		if err != nil || !bytes.Equal(n.Payload, payload) || n.PayloadAt != len(prefix) && size > 0 || n.Filesize != size {
			t.Errorf("leaf of %d bytes: %+v, %v", size, n, err)
		}
	}
	bitfield := append(make([]byte, 30), 0x80, 1)
	if n, err := Decode(Encode(nil, ShardMessage(bitfield, 256))); err != nil || !bytes.Equal(n.Payload, bitfield[30:]) || n.Fanout != 256 || n.HashType != Murmur3 {
		t.Errorf("shard: %+v, %v", n, err)
	}
	if n, err := Decode(Encode(nil, SymlinkMessage("to"))); err != nil || n.Type != Symlink || string(n.Payload) != "to" {
		t.Errorf("symlink: %+v, %v", n, err)
	}
}

// TestTruncated cuts a node at every byte: no cut is taken for the whole.
func TestTruncated(t *testing.T) {
	links := []Link{{CID: testCID(t, cid.Raw, "a"), Name: "name", Tsize: 300, Size: 299}}
	block := Encode(links, FileMessage(299, links))
	for n := range block {
		got, err := Decode(block[:n])
		if err == nil {
			t.Fatalf("%d of %d bytes decoded to %+v", n, len(block), got)
		}
		if !errors.Is(err, ErrNotUnixFS) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// seeds adds the blocks of the CARs that Kubo wrote.
func seeds(f *testing.F) {
	files, err := filepath.Glob("../../testdata/*.car")
	if err != nil || len(files) == 0 {
		f.Fatalf("no CARs: %v", err)
	}
	for _, file := range files {
		car, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for n := 0; len(car) > 2 && n < 20; n++ {
			size, k := int(car[0]), 1
			if size >= 0x80 {
				size, k = size&0x7f|int(car[1])<<7, 2
			}
			if size > len(car)-k {
				break
			}
			section := car[k : k+size]
			car = car[k+size:]
			if used, c, err := cid.CidFromBytes(section); err == nil && c.Type() == cid.DagProtobuf {
				f.Add(section[used:])
			}
		}
	}
}

// FuzzDecode compares with go-codec-dagpb and boxo: what we take, they take, and read the same from it. They take a
// little more: links with bytes after the CID, known fields of another wire type.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0x02, 0x08, 0x01})
	f.Add([]byte("\n\x14\b\x02Y00000000\xd5\x81\x82\xbf00000")) // fields of numbers up to and beyond all
	f.Fuzz(func(t *testing.T, block []byte) {
		n, err := Decode(block)
		if err != nil {
			if !errors.Is(err, ErrNotUnixFS) && !errors.Is(err, ErrMalformed) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if len(n.Payload) > 0 && &n.Payload[0] != &block[n.PayloadAt] {
			t.Fatal("the payload is not where it is said to be")
		}
		nb := dagpb.Type.PBNode.NewBuilder()
		if err := dagpb.DecodeBytes(nb, block); err != nil {
			t.Fatalf("go-codec-dagpb refuses it: %v", err)
		}
		compareLinks(t, n, nb.Build().(dagpb.PBNode))
		fs, err := boxo.FSNodeFromBytes(nb.Build().(dagpb.PBNode).Data.Must().Bytes())
		if err != nil {
			t.Fatalf("boxo refuses it: %v", err)
		}
		compareMessage(t, n, fs)
	})
}

func compareLinks(t *testing.T, n *Node, want dagpb.PBNode) {
	if int(want.Links.Length()) != len(n.Links) {
		t.Fatalf("%d links, want %d", len(n.Links), want.Links.Length())
	}
	for i, l := range n.Links {
		w := want.Links.Lookup(int64(i))
		name, tsize := "", uint64(0)
		if w.Name.Exists() {
			name = w.Name.Must().String()
		}
		if w.Tsize.Exists() {
			tsize = uint64(w.Tsize.Must().Int())
		}
		if l.CID != w.Hash.Link().(cidlink.Link).Cid || l.Name != name || l.Tsize != tsize {
			t.Fatalf("link %d: %+v", i, l)
		}
	}
}

func compareMessage(t *testing.T, n *Node, want *boxo.FSNode) {
	if n.Type != Type(want.Type()) || !bytes.Equal(n.Payload, want.Data()) || n.HashType != want.HashType() || n.Fanout != want.Fanout() {
		t.Fatalf("%+v, boxo has type %v", n, want.Type())
	}
	if want.NumChildren() != len(n.Blocksizes) {
		t.Fatalf("%d block sizes, want %d", len(n.Blocksizes), want.NumChildren())
	}
	for i, size := range n.Blocksizes {
		if want.BlockSize(i) != size {
			t.Fatalf("block size %d: %d", i, size)
		}
	}
	if (n.Type == File || n.Type == Raw) && n.Filesize != want.FileSize() {
		t.Fatalf("filesize %d, want %d", n.Filesize, want.FileSize())
	}
	if n.Meta.Mode>>12 != want.ExtendedMode() {
		t.Fatalf("mode %o", n.Meta.Mode)
	}
	mtime := want.ModTime()
	if n.Meta.ModTime.IsZero() != mtime.IsZero() || !mtime.IsZero() && !n.Meta.ModTime.Equal(mtime.In(time.UTC)) {
		t.Fatalf("mtime %v, want %v", n.Meta.ModTime, mtime)
	}
}

func TestRefused(t *testing.T) {
	l := Link{CID: testCID(t, cid.Raw, "a"), Name: "n", Tsize: 1}
	node := func(message ...byte) []byte { return appendBytes(nil, nodeData, message) }
	link := func(fields ...[]byte) []byte {
		return append(appendBytes(nil, nodeLinks, bytes.Join(fields, nil)), node(8, 1)...)
	}
	id, name, tsize := appendBytes(nil, linkHash, l.CID.Bytes()), appendBytes(nil, linkName, []byte("n")), appendVarint(nil, linkTsize, 1)
	for what, c := range map[string]struct {
		block []byte
		want  error
	}{
		"nothing":               {nil, ErrNotUnixFS},
		"no tag":                {[]byte{0x80}, ErrNotUnixFS},
		"endless varint":        {bytes.Repeat([]byte{0xff}, 20), ErrNotUnixFS},
		"group":                 {[]byte{0x0b, 0x0c}, ErrNotUnixFS},
		"length of 2^62":        {[]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f}, ErrNotUnixFS},
		"varint for data":       {[]byte{0x08, 1}, ErrNotUnixFS},
		"no type":               {node(0x18, 0), ErrNotUnixFS},
		"type as bytes":         {node(0x0a, 0), ErrNotUnixFS},
		"payload as varint":     {node(8, 2, 0x10, 1), ErrNotUnixFS},
		"mtime as varint":       {node(8, 2, 0x40, 1), ErrNotUnixFS},
		"mtime cut":             {node(8, 2, 0x42, 1, 0x08), ErrNotUnixFS},
		"block size as fixed32": {node(8, 2, 0x25, 1, 0, 0, 0), ErrNotUnixFS},
		"block size, no link":   {node(8, 2, 0x20, 1), ErrMalformed},
		"packed, no link":       {node(8, 2, 0x22, 1, 1), ErrMalformed},
		"packed, cut":           {append(appendBytes(nil, nodeLinks, bytes.Join([][]byte{id, name, tsize}, nil)), node(8, 2, 0x22, 1, 0x80)...), ErrNotUnixFS},
		"message cut":           {node(8), ErrNotUnixFS},
		"link, two CIDs":        {link(id, id), ErrNotUnixFS},
		"link, name first":      {link(name, id), ErrNotUnixFS},
		"link, tsize as bytes":  {link(id, name, appendBytes(nil, linkTsize, nil)), ErrNotUnixFS},
		"link, field 4":         {link(id, name, tsize, appendVarint(nil, 4, 0)), ErrNotUnixFS},
		"link, cut":             {link(id, []byte{0x12, 5}), ErrNotUnixFS},
		"link, CID and more":    {link(appendBytes(nil, linkHash, append(l.CID.Bytes(), 0))), ErrNotUnixFS},
		"link, no CID":          {link(name, tsize), ErrNotUnixFS},
		"link, empty CID":       {link(appendBytes(nil, linkHash, nil)), ErrNotUnixFS},
	} {
		if n, err := Decode(c.block); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", what, n, err)
		}
	}
	if n, err := Decode(link(id, name, tsize)); err != nil || n.Type != Directory || len(n.Links) != 1 {
		t.Errorf("the good one: %+v, %v", n, err)
	}
	if n, err := Decode(node(8, 2, 0x22, 0)); err != nil || len(n.Blocksizes) != 0 {
		t.Errorf("no block sizes, packed: %+v, %v", n, err)
	}
	if got := Type(9).String(); got != "node of type 9" || Shard.String() != "shard" {
		t.Errorf("%q", got)
	}
}
