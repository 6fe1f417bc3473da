package unixfs

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// A failingSink fails at its nth call.
type failingSink struct{ n int }

func (s *failingSink) call() error {
	if s.n--; s.n < 0 {
		return errFailing
	}
	return nil
}

func (s *failingSink) Leaf(Leaf, uint64) error    { return s.call() }
func (s *failingSink) Node(cid.Cid, []byte) error { return s.call() }

func TestProfiles(t *testing.T) {
	if _, err := ProfileByName("unixfs-v2"); err == nil || !strings.Contains(err.Error(), "unixfs-v2") {
		t.Errorf("unknown profile: %v", err)
	}
	for name, p := range map[string]Profile{
		"zero":              {},
		"version 2":         {CIDVersion: 2, HashCode: mh.SHA2_256, ChunkSize: 1, Width: 2},
		"version 0, blake3": {HashCode: mh.BLAKE3, ChunkSize: 1, Width: 2},
		"width 1":           {HashCode: mh.SHA2_256, ChunkSize: 1, Width: 1},
		"no chunks":         {HashCode: mh.SHA2_256, Width: 2},
		"fanout 12":         {HashCode: mh.SHA2_256, ChunkSize: 1, Width: 2, ShardThreshold: 1, ShardFanout: 12},
	} {
		if p.Validate() == nil {
			t.Errorf("%s: valid", name)
		}
		if _, err := NewFile(p, blockMap{}).Finish(); err == nil {
			t.Errorf("%s: a file was made", name)
		}
		if _, err := NewDirectory(p, blockMap{}).Finish(); err == nil {
			t.Errorf("%s: a directory was made", name)
		}
		if _, err := Symlink(p, blockMap{}, "x"); err == nil {
			t.Errorf("%s: a symlink was made", name)
		}
	}
	p := Profile{CIDVersion: 1, HashCode: 0x999999, ChunkSize: 1, Width: 2}
	if _, err := p.Leaf(nil); err == nil {
		t.Error("a leaf with an unknown hash")
	}
	if _, err := NewFile(p, blockMap{}).Finish(); err == nil {
		t.Error("a file with an unknown hash")
	}
}

func TestNamesRefused(t *testing.T) {
	p := profile(t, "unixfs-v1-2025")
	e := build(t, p, blockMap{}, tree{data: []byte("x")})
	for _, name := range []string{"", ".", "..", "/", "a/b", "/a", "a/", "../a", "a\x00", "\x00", strings.Repeat("n", maxName+1)} {
		d := NewDirectory(p, blockMap{})
		if err := d.Add(name, e); !errors.Is(err, ErrName) {
			t.Errorf("name %.20q: %v", name, err)
		}
		if _, err := d.Finish(); !errors.Is(err, ErrName) {
			t.Errorf("directory after name %.20q: %v", name, err)
		}
	}
	d := NewDirectory(p, blockMap{})
	for _, name := range []string{"b", "a", "b"} {
		if err := d.Add(name, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Finish(); !errors.Is(err, ErrName) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("a name twice: %v", err)
	}
	if err := NewDirectory(p, blockMap{}).Add("a", Entry{}); err == nil {
		t.Error("an entry without a CID")
	}
	if _, err := Symlink(p, blockMap{}, strings.Repeat("x", maxTarget+1)); !errors.Is(err, ErrLimit) {
		t.Errorf("endless symlink: %v", err)
	}
}

// TestBuildersKeepErrors: after an error or the end, a builder does nothing more.
func TestBuildersKeepErrors(t *testing.T) {
	p := Profile{CIDVersion: 1, HashCode: mh.SHA2_256, ChunkSize: 10, Width: 2, RawLeaves: true, ShardThreshold: 50, ShardFanout: 8}
	leaf, err := p.Leaf([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(s Sink) error {
		f := NewFile(p, s)
		for range 5 {
			_ = f.Add(leaf) // the error comes again
		}
		e, err := f.Finish()
		d := NewDirectory(p, s)
		for _, name := range []string{"a", "b", "c", "d"} {
			_ = d.Add(name, Entry{CID: leaf.CID, Size: e.Size})
		}
		_, err2 := d.Finish()
		_, err3 := Symlink(p, s, "x")
		return errors.Join(err, err2, err3)
	}
	calls := 0
	for ; ; calls++ {
		err := run(&failingSink{n: calls})
		if err == nil {
			break
		}
		if !errors.Is(err, errFailing) {
			t.Fatalf("call %d: %v", calls, err)
		}
	}
	if calls < 12 {
		t.Errorf("only %d calls of the sink", calls)
	}
	f := NewFile(p, blockMap{})
	if _, err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(leaf); err == nil {
		t.Error("a leaf after the end")
	}
	if _, err := f.Finish(); err == nil {
		t.Error("finished twice")
	}
	d := NewDirectory(p, blockMap{})
	if _, err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := d.Add("a", Entry{CID: leaf.CID}); err == nil {
		t.Error("an entry after the end")
	}
	empty, err := p.Leaf(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaves := range [][]Leaf{{leaf, empty}, {empty, leaf}, {empty, empty}} {
		f := NewFile(p, blockMap{})
		if err := f.Add(leaves[0]); err != nil {
			t.Fatal(err)
		}
		if f.Add(leaves[1]) == nil {
			t.Error("an empty leaf beside others")
		}
	}
}

// A null sink forgets.
type null struct{}

func (null) Leaf(Leaf, uint64) error    { return nil }
func (null) Node(cid.Cid, []byte) error { return nil }

// TestFileMemory: a file of two million leaves, 2 TB with this profile, is laid out in a few hundred kilobytes.
func TestFileMemory(t *testing.T) {
	p := profile(t, "unixfs-v1-2025")
	l, err := p.Leaf(make([]byte, p.ChunkSize))
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	f := NewFile(p, null{})
	const n = 2_000_000
	for range n {
		if err := f.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("the heap grew by %d bytes", after-before)
	}
	e, err := f.Finish()
	if err != nil || e.Size != n<<20 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestDirectoryLimit(t *testing.T) {
	p := profile(t, "unixfs-v1-2025")
	e := build(t, p, blockMap{}, tree{data: []byte("x")})
	d := NewDirectory(p, null{})
	for i := range maxEntries {
		if err := d.Add(strconv.Itoa(i), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Add("one more", e); !errors.Is(err, ErrLimit) {
		t.Errorf("entry %d: %v", maxEntries+1, err)
	}
}

// TestHashCollision: names with one hash cannot be in one HAMT, at any depth.
func TestHashCollision(t *testing.T) {
	d := NewDirectory(Profile{CIDVersion: 1, HashCode: mh.SHA2_256, ChunkSize: 1, Width: 2, ShardThreshold: 1, ShardFanout: 256}, null{})
	e := build(t, profile(t, "unixfs-v1-2025"), blockMap{}, tree{})
	for _, name := range []string{"a", "b"} {
		if err := d.Add(name, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.shard([]hashed{{7, 0}, {7, 1}}, 0); !errors.Is(err, ErrLimit) {
		t.Errorf("two names with one hash: %v", err)
	}
}

func BenchmarkLeaf(b *testing.B) {
	for _, name := range profileNames {
		b.Run(name, func(b *testing.B) {
			p := profile(b, name)
			data := content("bench", p.ChunkSize)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Leaf(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFileAdd(b *testing.B) {
	p := profile(b, "unixfs-v1-2025")
	l, err := p.Leaf(make([]byte, p.ChunkSize))
	if err != nil {
		b.Fatal(err)
	}
	f := NewFile(p, null{})
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Add(l); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDirectory10000(b *testing.B) {
	p := profile(b, "unixfs-v1-2025")
	e := build(b, p, blockMap{}, tree{data: []byte("x")})
	b.ReportAllocs()
	for b.Loop() {
		d := NewDirectory(p, null{})
		for i := range 10_000 {
			if err := d.Add(strconv.Itoa(i), e); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := d.Finish(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for name, tr := range map[string]tree{"10,000 files": dir(numbered(10_000)), "64 MiB": {data: content("walk", 64<<20)}} {
		b.Run(name, func(b *testing.B) {
			m := blockMap{}
			e := build(b, profile(b, "unixfs-v0-2015"), m, tr)
			b.ReportAllocs()
			for b.Loop() {
				if err := Walk(b.Context(), e.CID, m, &silent{}, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
