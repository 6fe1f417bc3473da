package unixfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// shapes are ways in which Kubo can be told to build a DAG.
var shapes = map[string]string{
	"v0":             "--cid-version=0 --raw-leaves=false",
	"v0-raw-leaves":  "--cid-version=0 --raw-leaves=true",
	"v1":             "--cid-version=1 --raw-leaves=true",
	"v1-wrapped":     "--cid-version=1 --raw-leaves=false",
	"rabin":          "--chunker=rabin-128-256-512",
	"rabin-v0":       "--chunker=rabin-128-256-512 --cid-version=0 --raw-leaves=false",
	"size-1000":      "--chunker=size-1000",
	"deep":           "--chunker=size-100 --max-file-links=2",
	"trickle":        "--trickle --chunker=size-100 --max-file-links=3",
	"trickle-v0":     "--trickle --chunker=size-100 --max-file-links=3 --cid-version=0 --raw-leaves=false",
	"blake3":         "--hash=blake3 --chunker=size-1000",
	"sha2-512":       "--hash=sha2-512 --chunker=size-1000",
	"blake2b-256":    "--hash=blake2b-256 --raw-leaves=false --cid-version=1",
	"inline":         "--inline --chunker=size-20",
	"inline-limit":   "--inline --inline-limit=128 --chunker=size-100 --max-file-links=2",
	"inline-wrapped": "--inline --inline-limit=100 --raw-leaves=false --cid-version=1 --chunker=size-50",
	"hamt-8":         "--max-directory-links=2 --max-hamt-fanout=8",
	"hamt-16":        "--max-directory-links=2 --max-hamt-fanout=16",
	"hamt-32-v0":     "--max-directory-links=2 --max-hamt-fanout=32 --cid-version=0 --raw-leaves=false",
	"hamt-256":       "--max-directory-links=2 --max-hamt-fanout=256",
	"hamt-1024":      "--max-directory-links=2 --max-hamt-fanout=1024",
	"mode-mtime":     "--preserve-mode --preserve-mtime --raw-leaves=false --chunker=size-1000",
	"mode-v0":        "--preserve-mode --raw-leaves=false --cid-version=0",
	"mtime-hamt":     "--preserve-mtime --raw-leaves=false --max-directory-links=2 --max-hamt-fanout=8",
}

// shapeTree has one of everything; entries is the number of files in its larger folder.
func shapeTree(size, entries int) tree {
	many := map[string]tree{}
	for i := range entries {
		many[fmt.Sprintf("n%04d", i)] = tree{data: fmt.Appendf(nil, "entry %d", i%10)}
	}
	return dir(map[string]tree{
		"big": {data: content("big", size)}, "zeros": {data: make([]byte, size)}, "none": {}, "tiny": {data: []byte("t")},
		"medium": {data: content("medium", 150)}, "link": {target: "sub/none"}, "many": dir(many),
		"sub": dir(map[string]tree{"żółw": {data: []byte("unicode")}, "emptydir": dir(map[string]tree{}), "copy": {data: content("big", size)}}),
	})
}

var shapeTime = time.Date(2021, 3, 4, 5, 6, 7, 123456789, time.UTC)

// stampTree sets modes and times, deepest entries first.
func stampTree(t testing.TB, root string) {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type()&os.ModeSymlink == 0 {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := len(paths) - 1; i >= 0; i-- {
		mode := os.FileMode(0o640)
		if info, err := os.Stat(paths[i]); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			mode = 0o750
		}
		if err := os.Chmod(paths[i], mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(paths[i], shapeTime, shapeTime); err != nil {
			t.Fatal(err)
		}
	}
}

// checkShape walks a DAG that Kubo made and compares all of it.
func checkShape(t *testing.T, name string, root cid.Cid, m blockMap, tr tree) {
	t.Helper()
	r := walk(t, root, m, Limits{})
	sameTree(t, r, tr)
	for h, b := range m {
		if d, err := mh.Decode([]byte(h)); err != nil || d.Code == mh.IDENTITY {
			continue
		}
		if got, ok := r.blocks[h]; !ok || !bytes.Equal(got, b) {
			t.Errorf("a block of %d bytes was not delivered", len(b))
		}
	}
	checkMeta(t, name, r)
	if strings.HasPrefix(name, "inline") == (r.loose == 0) {
		t.Errorf("%d payloads without a block", r.loose)
	}
	for path := range r.files {
		checkLookup(t, root, path, m)
	}
	checkList(t, root, m, r)
}

// checkList lists a tree, directory by directory, and compares it with what the walk met.
func checkList(t *testing.T, root cid.Cid, m blockMap, r *recorder) {
	t.Helper()
	seen := 0
	var list func(path string, c cid.Cid)
	list = func(path string, c cid.Cid) {
		below := map[string]cid.Cid{}
		e, err := List(t.Context(), c, m, Limits{}, func(name string, c cid.Cid) error {
			below[strings.TrimPrefix(path+"/"+name, "/")] = c
			return nil
		})
		if err != nil {
			t.Errorf("list of %q: %v", path, err)
			return
		}
		seen++
		want := KindDirectory
		data, isFile := r.files[path]
		if isFile {
			want = KindFile
		} else if _, isLink := r.links[path]; isLink {
			want = KindSymlink
		}
		if e.CID != c || e.Kind != want || e.Size != uint64(len(data)) || want != KindDirectory && len(below) > 0 {
			t.Errorf("%q: %+v with %d entries", path, e, len(below))
		}
		for path, c := range below {
			list(path, c)
		}
	}
	list("", root)
	if want := len(r.files) + len(r.links) + len(r.dirs); seen != want {
		t.Errorf("%d files, links and directories were listed, of %d", seen, want)
	}
	bytes := uint64(0)
	for _, data := range r.files {
		bytes += uint64(len(data))
	}
	unknown := func(cid.Cid) (uint64, bool, error) { return 0, false, nil }
	if e, err := Total(t.Context(), root, m, Limits{}, seen, unknown); err != nil || e.Size != bytes {
		t.Errorf("%d bytes in all, want %d: %v", e.Size, bytes, err)
	}
	if _, err := Total(t.Context(), root, m, Limits{}, 0, unknown); seen > 1 && !errors.Is(err, ErrLimit) {
		t.Errorf("more entries than may be: %v", err)
	}
	stop := errors.New("stop")
	if _, err := List(t.Context(), root, m, Limits{}, func(string, cid.Cid) error { return stop }); len(r.dirs) > 0 && !errors.Is(err, stop) {
		t.Errorf("an error of entry: %v", err)
	}
}

func checkMeta(t *testing.T, name string, r *recorder) {
	t.Helper()
	for path, meta := range r.metas {
		_, isLink := r.links[path]
		var want Meta
		if strings.HasPrefix(name, "mode") && !isLink {
			want.Mode = 0o640
			if _, isFile := r.files[path]; !isFile {
				want.Mode = 0o750
			}
		}
		if strings.Contains(name, "mtime") {
			want.ModTime = shapeTime
		}
		if isLink {
			want.ModTime = meta.ModTime // of the symlink itself, which is set by nothing
		}
		if meta.Mode != want.Mode || !meta.ModTime.Equal(want.ModTime) {
			t.Errorf("%q has mode %o and time %v, want %o and %v", path, meta.Mode, meta.ModTime, want.Mode, want.ModTime)
		}
	}
}

func checkLookup(t *testing.T, root cid.Cid, path string, m blockMap) {
	t.Helper()
	at := root
	for name := range strings.SplitSeq(path, "/") {
		var err error
		if at, err = Lookup(t.Context(), at, name, m); err != nil {
			t.Errorf("lookup of %q: %v", path, err)
			return
		}
	}
	if _, err := Lookup(t.Context(), at, "x", m); err == nil {
		t.Errorf("%q is a file and has an entry", path)
	}
	if r := walk(t, at, m, Limits{}); len(r.files) != 1 || len(r.dirs) != 0 {
		t.Errorf("%q is not a file", path)
	}
}

// TestKuboShapes has a real Kubo build a tree in every shape, and walks it. With BRIDGE_TEST_UPDATE it writes the CARs
// that TestWalkShapes reads.
func TestKuboShapes(t *testing.T) {
	k := newKubo(t, "unixfs-v1-2025")
	for name, args := range shapes {
		t.Run(name, func(t *testing.T) {
			k := &kubo{t: t, path: k.path, repo: k.repo}
			for _, size := range []struct{ bytes, entries int }{{1500, 20}, {40_000, 300}} {
				tr := shapeTree(size.bytes, size.entries)
				path := filepath.Join(t.TempDir(), "tree")
				write(t, path, tr)
				stampTree(t, path)
				root := k.add(path, strings.Fields(args)...)
				checkShape(t, name, root, k.export(root), tr)
				if size.entries == 20 && os.Getenv("BRIDGE_TEST_UPDATE") != "" {
					car := k.run("dag", "export", "--progress=false", root.String())
					if err := os.WriteFile(filepath.Join("testdata", name+".car"), car, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// TestWalkShapes walks what Kubo exported when the shapes were last written.
func TestWalkShapes(t *testing.T) {
	for name := range shapes {
		t.Run(name, func(t *testing.T) {
			car, err := os.ReadFile(filepath.Join("testdata", name+".car"))
			if err != nil {
				t.Fatal(err)
			}
			checkShape(t, name, rootOfCAR(t, car), readCAR(t, car), shapeTree(1500, 20))
		})
	}
}

// rootOfCAR returns the one root of a CARv1 header, which is dag-cbor: {"roots": [42(h'00' + CID)], "version": 1}.
func rootOfCAR(t *testing.T, car []byte) cid.Cid {
	t.Helper()
	i := bytes.Index(car, []byte{0xd8, 0x2a, 0x58}) // tag 42, bytes with a length of one byte
	if i < 0 || i > 32 {
		t.Fatal("no root in the CAR")
	}
	_, c, err := cid.CidFromBytes(car[i+5:])
	if err != nil {
		t.Fatal(err)
	}
	return c
}
