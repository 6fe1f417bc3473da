package unixfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// content returns n bytes that depend on seed only.
func content(seed string, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(b)
	return b
}

func profile(t testing.TB, name string) Profile {
	t.Helper()
	p, err := ProfileByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A blockMap is a sink for built trees and a fetcher for walks.
type blockMap map[string][]byte

func (m blockMap) Block(_ context.Context, c cid.Cid) ([]byte, error) {
	b, ok := m[string(c.Hash())]
	if !ok {
		return nil, errMissing
	}
	return b, nil
}

func (m blockMap) Prefetch([]cid.Cid) {}

var errMissing = errors.New("no such block")

func (m blockMap) Leaf(Leaf, uint64) error { return nil }

func (m blockMap) Node(c cid.Cid, block []byte) error {
	m[string(c.Hash())] = block
	return nil
}

// A tree is what a test builds: a file, a symlink or a directory.
type tree struct {
	data    []byte
	target  string // of a symlink
	entries map[string]tree
}

func dir(entries map[string]tree) tree { return tree{entries: entries} }

// build lays a tree out and stores its blocks in m.
func build(t testing.TB, p Profile, m blockMap, tr tree) Entry {
	t.Helper()
	e, err := tryBuild(p, m, tr)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func tryBuild(p Profile, m blockMap, tr tree) (Entry, error) {
	switch {
	case tr.entries != nil:
		b := NewDirectory(p, m)
		for name, child := range tr.entries {
			e, err := tryBuild(p, m, child)
			if err != nil {
				return Entry{}, err
			}
			if err := b.Add(name, e); err != nil {
				return Entry{}, err
			}
		}
		return b.Finish()
	case tr.target != "":
		return Symlink(p, m, tr.target)
	}
	b := NewFile(p, m)
	for off := 0; off < len(tr.data); off += p.ChunkSize {
		chunk := tr.data[off:min(off+p.ChunkSize, len(tr.data))]
		l, err := p.Leaf(chunk)
		if err != nil {
			return Entry{}, err
		}
		m[string(l.CID.Hash())] = bytes.Join([][]byte{l.Prefix, chunk, l.Suffix}, nil)
		if err := b.Add(l); err != nil {
			return Entry{}, err
		}
	}
	if len(tr.data) == 0 {
		l, err := p.Leaf(nil)
		if err != nil {
			return Entry{}, err
		}
		m[string(l.CID.Hash())] = bytes.Join([][]byte{l.Prefix, l.Suffix}, nil)
	}
	return b.Finish()
}

// A recorder takes a walk down and holds it to everything that Visitor promises.
type recorder struct {
	t      testing.TB
	files  map[string][]byte
	dirs   []string
	links  map[string]string
	metas  map[string]Meta
	blocks map[string][]byte // delivered as leaf or node, by multihash
	loose  int               // payloads without a block
	nodes  int
	order  []string

	open   []string
	file   string
	size   uint64
	inFile bool
	buf    bytes.Buffer
	tree   uint64
}

func newRecorder(t testing.TB) *recorder {
	return &recorder{t: t, files: map[string][]byte{}, links: map[string]string{}, metas: map[string]Meta{}, blocks: map[string][]byte{}}
}

func (r *recorder) fail(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	r.t.Error("visitor:", err)
	return err
}

func (r *recorder) BeginDirectory(path string, meta Meta) error {
	if r.inFile {
		return r.fail("directory %q in file %q", path, r.file)
	}
	r.dirs, r.open, r.metas[path] = append(r.dirs, path), append(r.open, path), meta
	return nil
}

func (r *recorder) EndDirectory(path string) error {
	if r.inFile || len(r.open) == 0 || r.open[len(r.open)-1] != path {
		return r.fail("end of directory %q; open are %q", path, r.open)
	}
	r.open = r.open[:len(r.open)-1]
	return nil
}

func (r *recorder) parent(path string) error {
	want := ""
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		want = path[:i]
	}
	if path != "" && (len(r.open) == 0 || r.open[len(r.open)-1] != want) {
		return r.fail("%q outside its directory; open are %q", path, r.open)
	}
	return nil
}

func (r *recorder) BeginFile(path string, size uint64, meta Meta, _ cid.Cid) error {
	if r.inFile {
		return r.fail("file %q in file %q", path, r.file)
	}
	r.file, r.size, r.inFile, r.metas[path], r.tree = path, size, true, meta, 0
	r.order = append(r.order, path)
	r.buf.Reset()
	return r.parent(path)
}

func (r *recorder) Leaf(l Leaf, offset uint64, payload, block []byte) error {
	if !r.inFile || offset != uint64(r.buf.Len()) || l.Size != uint64(len(payload)) {
		return r.fail("leaf of %d bytes at %d, after %d bytes", l.Size, offset, r.buf.Len())
	}
	r.buf.Write(payload)
	if !l.CID.Defined() {
		if block != nil || len(payload) == 0 {
			return r.fail("a leaf without a CID, with a block or without bytes")
		}
		r.loose++
		return nil
	}
	if got := bytes.Join([][]byte{l.Prefix, payload, l.Suffix}, nil); !bytes.Equal(got, block) || l.BlockSize != uint64(len(block)) {
		return r.fail("leaf %s: prefix, payload and suffix are not the block", l.CID)
	}
	r.tree += l.BlockSize
	return r.block(l.CID, block)
}

func (r *recorder) Node(c cid.Cid, block []byte) error {
	r.nodes++
	r.tree += uint64(len(block))
	return r.block(c, block)
}

func (r *recorder) block(c cid.Cid, block []byte) error {
	if p := c.Prefix(); p.MhType == mh.IDENTITY {
		return r.fail("inlined %s delivered as a block", c)
	}
	r.blocks[string(c.Hash())] = bytes.Clone(block)
	return nil
}

func (r *recorder) EndFile(path string, e Entry) error {
	if !r.inFile || path != r.file || e.Size != r.size || r.size != uint64(r.buf.Len()) || e.Kind != KindFile {
		return r.fail("end of %q with %d bytes; %q begun with %d, %d delivered", path, e.Size, r.file, r.size, r.buf.Len())
	}
	if e.TreeSize < r.tree {
		return r.fail("%q: tree size %d, blocks of %d bytes", path, e.TreeSize, r.tree)
	}
	if _, twice := r.files[path]; twice {
		return r.fail("file %q twice", path)
	}
	r.inFile, r.files[path] = false, bytes.Clone(r.buf.Bytes())
	return nil
}

func (r *recorder) Symlink(path, target string, meta Meta) error {
	if r.inFile {
		return r.fail("symlink %q in file %q", path, r.file)
	}
	r.links[path], r.metas[path] = target, meta
	return r.parent(path)
}

// walk records a walk that has to succeed, and checks every block against its hash.
func walk(t testing.TB, root cid.Cid, f Fetcher, l Limits) *recorder {
	t.Helper()
	r := newRecorder(t)
	if err := Walk(context.Background(), root, f, r, l); err != nil {
		t.Fatalf("walk of %s: %v", root, err)
	}
	if len(r.open) != 0 || r.inFile {
		t.Fatalf("walk of %s left %q open", root, r.open)
	}
	for h, b := range r.blocks {
		d, err := mh.Decode([]byte(h))
		if err != nil {
			t.Fatal(err)
		}
		if sum, err := mh.Sum(b, d.Code, d.Length); err != nil || string(sum) != h {
			t.Fatalf("a block delivered under a CID that is not its own: %v", err)
		}
	}
	return r
}

// flatten lists the files, symlinks and directories of a tree by path.
func flatten(tr tree) (files map[string][]byte, links map[string]string, dirs []string) {
	files, links = map[string][]byte{}, map[string]string{}
	var visit func(path string, tr tree)
	visit = func(path string, tr tree) {
		switch {
		case tr.entries != nil:
			dirs = append(dirs, path)
			for name, child := range tr.entries {
				visit(strings.TrimPrefix(path+"/"+name, "/"), child)
			}
		case tr.target != "":
			links[path] = tr.target
		default:
			files[path] = tr.data
		}
	}
	visit("", tr)
	sort.Strings(dirs)
	return files, links, dirs
}

// sameTree compares what a walk met with a tree.
func sameTree(t testing.TB, r *recorder, tr tree) {
	t.Helper()
	files, links, dirs := flatten(tr)
	sort.Strings(r.dirs)
	if fmt.Sprintf("%q", r.dirs) != fmt.Sprintf("%q", dirs) {
		t.Errorf("directories %.300q, want %.300q", r.dirs, dirs)
	}
	if len(r.files) != len(files) || len(r.links) != len(links) {
		t.Errorf("%d files and %d symlinks, want %d and %d", len(r.files), len(r.links), len(files), len(links))
	}
	for path, want := range files {
		if got, ok := r.files[path]; !ok || !bytes.Equal(got, want) {
			t.Errorf("file %.80q: %d bytes (there: %t), want %d", path, len(got), ok, len(want))
		}
	}
	for path, want := range links {
		if r.links[path] != want {
			t.Errorf("symlink %q to %q, want %q", path, r.links[path], want)
		}
	}
}

// readCAR reads a CARv1 (ipld.io/specs/transport/car/carv1): a header, then length, CID and bytes of each block.
func readCAR(t testing.TB, car []byte) blockMap {
	t.Helper()
	m := blockMap{}
	for first := true; len(car) > 0; first = false {
		n, k := binary.Uvarint(car)
		if k <= 0 || uint64(len(car)-k) < n {
			t.Fatal("malformed CAR")
		}
		section := car[k : k+int(n)]
		car = car[k+int(n):]
		if first {
			continue
		}
		used, c, err := cid.CidFromBytes(section)
		if err != nil {
			t.Fatal(err)
		}
		m[string(c.Hash())] = section[used:]
	}
	return m
}
