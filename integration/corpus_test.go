package integration

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// sizes is a ladder: around a chunk group, around a block, and one that takes many of both.
var sizes = []int64{0, 1, 16383, 16384, 16385, 1<<20 - 1, 1 << 20, 1<<20 + 1, 100 << 20}

// randomFile writes size bytes that the seed determines.
func randomFile(t testing.TB, path string, size int64, seed uint64) string {
	t.Helper()
	if err := writeRandom(path, size, seed); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeRandom(path string, size int64, seed uint64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, random(seed), size); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// random is an endless stream that the seed determines.
func random(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// ladder writes one file of each size and returns their folder.
func ladder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ladder")
	for _, size := range sizes {
		randomFile(t, filepath.Join(dir, sizeName(size)), size, uint64(size))
	}
	return dir
}

func sizeName(size int64) string { return fmt.Sprintf("size-%09d", size) }

// oddNames are legal names that have broken programs before. Backslashes and drive letters are missing: a
// collection of ours does not carry them, see TestNamesThatACollectionCannotCarry.
var oddNames = []string{
	" ", " leading", "trailing ", "two  blanks", ".hidden", "..double", "...", "-dash", "--help", "-", "~", "~user",
	"a'b", `a"b`, "a`b", "a\nb", "a\tb", "a\rb", "a\x01b", "a\x7fb", "a;b", "a|b", "a&b", "a*b", "a?b", "a<b>", "a b:c", "a$b",
	"$HOME", "%s%n", "%2e%2e%2f", "%00", "#", "a#b", "a?b=c&d", "a@b", "a!b", "{a,b}", "[a]", "(a)", "a,b", "a=b", "a+b",
	"CON", "nul.txt", "aux", "trailing.", "name.tar.gz", "README", "readme", "0", "-0", "null", "true", "NaN",
	"ü", "u\u0308", "Ω", "日本語", "한국어", "עברית", "العربية", "👩‍👩‍👧‍👦", "\u200b", "\u202egnp.exe", "\ufeffbom", "ﬁ", "İ", "ß",
	"\u2028", "\ufffd", "𝔘𝔫𝔦", "e\u0301\u0302\u0303", "blobs", "CollectionV0.", "Links", "Qm", "bafy",
}

// oddTree writes a folder of count files: every odd name as a file and as a folder, the longest names, deep nesting,
// empty files and equal files, and numbered ones for the rest. It returns the folder.
func oddTree(t testing.TB, count int) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "tree")
	seed := uint64(0)
	put := func(name string, size int64) {
		seed++
		randomFile(t, filepath.Join(root, filepath.FromSlash(name)), size, seed)
	}
	for i, name := range oddNames {
		put(name, int64(i*7%97))
		put("folders/"+name+"/"+name, int64(i))
	}
	put(strings.Repeat("n", 255), 3)
	put(strings.Repeat("ü", 127)+"x", 3)
	put(strings.Repeat("d", 255)+"/"+strings.Repeat("f", 255), 3)
	put(strings.TrimSuffix(strings.Repeat("deep/", 60), "/"), 10)
	for i := range 20 {
		randomFile(t, filepath.Join(root, "equal", fmt.Sprint(i)), 20_000, 999)
		randomFile(t, filepath.Join(root, "empty", fmt.Sprint(i)), 0, 0)
	}
	for _, size := range sizes {
		if size <= 1<<20+1 {
			put("sizes/"+sizeName(size), size)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := len(listFiles(t, root)); n < count; n++ {
		put(fmt.Sprintf("many/%02d/%d/file %04d.bin", n%37, n%5, n), rng.Int64N(9000))
	}
	return root
}

// listFiles returns the slash-separated relative names of all files below a folder, sorted.
func listFiles(t testing.TB, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	return names
}

// sameFile fails the test unless two files hold the same bytes.
func sameFile(t testing.TB, got, want string) {
	t.Helper()
	if err := compare(got, want); err != nil {
		t.Error(err)
	}
}

func compare(got, want string) error {
	a, err := os.Open(got)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(want)
	if err != nil {
		return err
	}
	defer b.Close()
	bufA, bufB := make([]byte, 1<<20), make([]byte, 1<<20)
	for offset := int64(0); ; {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if n != m || !bytes.Equal(bufA[:n], bufB[:m]) {
			return fmt.Errorf("%s differs from %s at or after byte %d (%d and %d bytes read there)", got, want, offset, n, m)
		}
		if errA != nil || errB != nil {
			return nil
		}
		offset += int64(n)
	}
}

// sameTree fails the test unless two folders hold the same files under the same names.
func sameTree(t testing.TB, got, want string) {
	t.Helper()
	gotNames, wantNames := listFiles(t, got), listFiles(t, want)
	for _, name := range missing(wantNames, gotNames) {
		t.Errorf("%q is missing", name)
	}
	for _, name := range missing(gotNames, wantNames) {
		t.Errorf("%q is there and should not be", name)
	}
	if t.Failed() {
		return
	}
	for _, name := range wantNames {
		sameFile(t, filepath.Join(got, name), filepath.Join(want, name))
	}
}

// missing returns what is in all but not in some; both are sorted.
func missing(all, some []string) []string {
	have := make(map[string]bool, len(some))
	for _, name := range some {
		have[name] = true
	}
	var lost []string
	for _, name := range all {
		if !have[name] {
			lost = append(lost, name)
		}
	}
	return lost
}
