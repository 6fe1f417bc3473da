package blobs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/plan"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

func TestCollectionVectors(t *testing.T) {
	v := loadVectors(t).Collection
	var c Collection
	for _, file := range v.Files {
		if got := bao.Sum(blobstest.Pattern(file.Size)); got != file.Hash {
			t.Fatalf("%s: hash %v, want %v", file.Name, got, file.Hash)
		}
		c.Names = append(c.Names, file.Name)
		c.Hashes = append(c.Hashes, file.Hash)
	}
	if len(c.Names) != 3 {
		t.Fatalf("%d files", len(c.Names))
	}
	check := func(c Collection, meta, seq []byte, root bao.Hash) {
		t.Helper()
		if got := c.Meta(); !bytes.Equal(got, meta) {
			t.Errorf("metadata\n%x, want\n%x", got, meta)
		}
		if got := c.HashSeq(bao.Sum(meta)); !bytes.Equal(got, seq) || bao.Sum(got) != root {
			t.Errorf("hash sequence\n%x, want\n%x", got, seq)
		}
		if err := c.Valid(); err != nil {
			t.Error(err)
		}
		got, err := ParseCollection(meta, seq)
		if err != nil || len(got.Names) != len(c.Names) || len(c.Names) > 0 && !reflect.DeepEqual(got, c) {
			t.Errorf("parsed %v, want %v, %v", got, c, err)
		}
		if !IsCollection(meta) {
			t.Error("metadata is not recognised")
		}
	}
	check(c, v.Meta, v.HashSeq, v.RootHash)
	check(Collection{}, v.EmptyCollection.Meta, v.EmptyCollection.HashSeq, v.EmptyCollection.RootHash)
	for n := range len(v.Meta) {
		if _, err := ParseCollection(v.Meta[:n], v.HashSeq); !errors.Is(err, ErrCollection) {
			t.Errorf("metadata cut to %d bytes: %v", n, err)
		}
	}
	for n := range len(v.HashSeq) {
		if _, err := ParseCollection(v.Meta, v.HashSeq[:n]); !errors.Is(err, ErrCollection) && !errors.Is(err, ErrHashSeq) {
			t.Errorf("hash sequence cut to %d bytes: %v", n, err)
		}
	}
	if _, err := ParseCollection(append(bytes.Clone(v.Meta), 0), v.HashSeq); !errors.Is(err, ErrCollection) {
		t.Errorf("metadata with a byte after it: %v", err)
	}
}

// hostileNames lead out of a folder on some system, or cannot be the path of a file.
func hostileNames() []string {
	long := strings.Repeat("x", 256)
	return []string{
		"", ".", "..", "/", "//", "\\", "./", "../", "/.", "/..",
		"a/..", "a/.", "../a", "./a", "a/../b", "a/./b", "a//b", "a/", "/a", "//a",
		"a/../../b", "../../../../etc/passwd", "/etc/passwd", "a/b/../../../c", "..//", "a/..//b", ".././a", "...//a", "a/b//", "///",
		"..\\a", "a\\..\\b", "\\a", "a\\b", "\\\\server\\share", "\\\\?\\C:\\a", "a/b\\c", "dir\\", "./\\", ".\\",
		"C:", "c:a", "C:\\a", "C:/a", "z:/../a", "A:..", "d:/", "E:\\..\\a",
		"\x00", "a\x00", "a\x00b", "\x00/a", "a/\x00/b", "a/b\x00.txt",
		long, "a/" + long, long + "/a", strings.Repeat("ab/", 1365) + "ab",
		"\xff", "a\xc0\xaf..", "\xed\xa0\x80", "a/\xf0\x82\x82\xac", "\xc0\xae\xc0\xae/a",
	}
}

// TestHostileNames refuses names that lead out of a folder or cannot be a path, names each in its error, and shows that none that
// passes leads out.
func TestHostileNames(t *testing.T) {
	names := hostileNames()
	if len(names) < 60 {
		t.Fatalf("only %d names", len(names))
	}
	for _, name := range names {
		err := ValidName(name)
		if !errors.Is(err, ErrName) {
			t.Errorf("%q passes: %v", name, err)
			continue
		}
		shown := name
		if len(shown) > 120 {
			shown = shown[:120]
		}
		if quoted := fmt.Sprintf("%q", shown); !strings.Contains(err.Error(), strings.TrimSuffix(quoted, `"`)) {
			t.Errorf("%q is not named in %v", name, err)
		}
		c := Collection{Names: []string{"good", name}, Hashes: make([]bao.Hash, 2)}
		if _, err := ParseCollection(c.Meta(), c.HashSeq(bao.Hash{})); !errors.Is(err, ErrName) {
			t.Errorf("collection with %q: %v", name, err)
		}
		if err := c.Valid(); !errors.Is(err, ErrName) {
			t.Errorf("collection with %q to be written: %v", name, err)
		}
	}
}

func TestValidNames(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"a", "a/b/c", "...", "..a", "a..", "a.", "a./b", ".hidden", "a b", " ", "-rf", "~", "über/naïve.dat", "日本/語", "ab:c", "1:x", "con", "a\nb", "'\"$`",
		strings.Repeat("x", 255), strings.Repeat("ab/", 1364) + "abcd", "\u202egpj.exe", "e\u0301",
	} {
		if err := ValidName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if !filepath.IsLocal(name) || filepath.Clean(name) != name {
			t.Errorf("%q is valid but not local and clean", name)
		}
		if rel, err := filepath.Rel(root, filepath.Join(root, name)); err != nil || rel != name {
			t.Errorf("%q leads to %q, %v", name, rel, err)
		}
	}
}

func TestCollectionClashes(t *testing.T) {
	for _, names := range [][]string{
		{"a", "a"}, {"b", "a", "b"}, {"a", "a/b"}, {"a/b", "a"}, {"x", "a/b/c", "a-b", "a/b", "a/b.c"},
	} {
		c := Collection{Names: names, Hashes: make([]bao.Hash, len(names))}
		if _, err := ParseCollection(c.Meta(), c.HashSeq(bao.Hash{})); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", names, err)
		}
	}
	names := []string{"a", "a-b", "a.b", "ab", "b/a", "b/a-b", "b-a"}
	c := Collection{Names: names, Hashes: make([]bao.Hash, len(names))}
	if _, err := ParseCollection(c.Meta(), c.HashSeq(bao.Hash{})); err != nil {
		t.Errorf("%q: %v", names, err)
	}
}

// TestCollectionCounts refuses collections whose names and hashes do not match, and enormous ones before they cost memory.
func TestCollectionCounts(t *testing.T) {
	good := Collection{Names: []string{"a", "b"}, Hashes: make([]bao.Hash, 2)}
	seq := good.HashSeq(bao.Hash{})
	for name, c := range map[string]struct{ meta, seq []byte }{
		"a hash too many":        {good.Meta(), append(bytes.Clone(seq), make([]byte, 32)...)},
		"a hash too few":         {good.Meta(), seq[:64]},
		"no hash at all":         {good.Meta(), nil},
		"not a collection":       {[]byte("hello"), seq},
		"older header":           {append([]byte("CollectionV1."), good.Meta()[13:]...), seq},
		"10 million names":       {append(postcard.AppendUint([]byte(collectionHeader), 10_000_000), make([]byte, 10_000_000)...), seq},
		"2^64-1 names":           {postcard.AppendUint([]byte(collectionHeader), 1<<64-1), seq},
		"a name of 2^63 bytes":   {append(postcard.AppendUint([]byte(collectionHeader), 2), postcard.AppendUint(nil, 1<<63)...), seq},
		"1,000,001 hashes":       {good.Meta(), make([]byte, (maxChildren+2)*hashSize)},
		"more than 32 MiB names": {make([]byte, maxMeta+1), seq},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseCollection(c.meta, c.seq)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrCollection) {
			t.Errorf("%s: %v", name, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
			t.Errorf("%s: %d bytes of memory", name, grown)
		}
	}
	if err := (Collection{Names: []string{"a"}}).Valid(); !errors.Is(err, ErrCollection) {
		t.Errorf("a name without a hash: %v", err)
	}
}

func FuzzCollection(f *testing.F) {
	v := loadVectors(f).Collection
	f.Add([]byte(v.Meta), []byte(v.HashSeq))
	f.Add([]byte(v.EmptyCollection.Meta), []byte(v.EmptyCollection.HashSeq))
	for _, name := range hostileNames() {
		c := Collection{Names: []string{name}, Hashes: make([]bao.Hash, 1)}
		f.Add(c.Meta(), c.HashSeq(bao.Hash{}))
	}
	f.Fuzz(func(t *testing.T, meta, seq []byte) {
		c, err := ParseCollection(meta, seq)
		if err != nil {
			return
		}
		if len(c.Names) != len(c.Hashes) {
			t.Fatalf("%d names for %d hashes", len(c.Names), len(c.Hashes))
		}
		for _, name := range c.Names {
			if !filepath.IsLocal(name) || filepath.Clean(name) != name {
				t.Fatalf("%q is not a clean local path", name)
			}
		}
		again, err := ParseCollection(c.Meta(), c.HashSeq(bao.Hash(seq[:hashSize])))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%v is read again as %v, %v", c, again, err)
		}
	})
}

// Every hash sequence is its hashes, in order, and nothing else is one.
func FuzzHashSeq(f *testing.F) {
	v := loadVectors(f).Collection
	f.Add([]byte(v.HashSeq))
	f.Add([]byte(v.EmptyCollection.HashSeq))
	f.Add([]byte(v.Meta))
	f.Add([]byte(nil))
	f.Add(make([]byte, 10*hashSize-1))
	f.Fuzz(func(t *testing.T, data []byte) {
		hashes, err := ParseHashSeq(data)
		if (err == nil) != (len(data)%hashSize == 0) || err != nil && !errors.Is(err, ErrHashSeq) {
			t.Fatalf("%d bytes: %v", len(data), err)
		}
		if err == nil && !bytes.Equal(AppendHashSeq(nil, hashes), data) {
			t.Error("other bytes")
		}
		order := plan.Distinct(hashes)
		seen := map[bao.Hash]bool{}
		for i, at := range order {
			if i > 0 && order[i-1] >= at || seen[hashes[at]] {
				t.Fatalf("%v are not the first places, ascending", order)
			}
			seen[hashes[at]] = true
		}
		for _, h := range hashes {
			if !seen[h] {
				t.Errorf("%s is left out", h)
			}
		}
	})
}

// TestLinksAreForRoot: a valid name may lead through a link that was there before. os.Root, by which exports write, follows none
// that leads out.
func TestLinksAreForRoot(t *testing.T) {
	above := t.TempDir()
	inside := filepath.Join(above, "inside")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(above, filepath.Join(inside, "link")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(inside)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, written := range map[string]bool{"link/escaped": false, "link/a/escaped": false, "good/file": true} {
		if err := ValidName(name); err != nil {
			t.Fatal(err)
		}
		err := root.MkdirAll(filepath.Dir(name), 0o700)
		if err == nil {
			err = root.WriteFile(name, []byte("x"), 0o600)
		}
		if (err == nil) != written {
			t.Errorf("%q: %v", name, err)
		}
	}
	entries, err := os.ReadDir(above)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside there are %v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(inside, "good", "file")); err != nil {
		t.Error(err)
	}
}
