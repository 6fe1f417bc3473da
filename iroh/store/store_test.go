package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/trash"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashDirEnv) != "" {
		crashChild() // does not return
	}
	if os.Getenv(leakyEnv) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// leakyEnv marks a process in which a database cannot be closed.
const leakyEnv = "STORE_LEAKY"

// sizes is the ladder of sizes at which something changes: chunk, group, inline
// limit, piece, inline outboard (257 groups), and a blob of several runs.
var sizes = []int{0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 1 << 20, 1<<20 + 1, 257 << 14, 257<<14 + 1, 9<<20 + 5}

// pattern returns n bytes that depend on the seed.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0], key[1], key[2] = byte(seed), byte(seed>>8), byte(seed>>16)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func openStore(t testing.TB, dir string, cfg Config) *Store {
	t.Helper()
	s, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s *Store, data []byte) bao.Hash {
	t.Helper()
	h, err := s.Put(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func syncStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// outboardOf computes an outboard from the data, independently of any store.
func outboardOf(data []byte) []byte {
	size := uint64(len(data))
	w := &sliceWriter{b: make([]byte, bao.OutboardSize(size))}
	tree := bao.NewTree(size, w)
	for off := uint64(0); off < size; off += bao.PieceSize {
		if err := tree.Add(bao.HashPiece(data[off:min(off+bao.PieceSize, size)], off, size)); err != nil {
			panic(err)
		}
	}
	return w.b
}

type sliceWriter struct{ b []byte }

func (w *sliceWriter) WriteAt(p []byte, off int64) (int, error) { return copy(w.b[off:], p), nil }

// checkBlob reads a complete blob in every way and compares it.
func checkBlob(t testing.TB, s *Store, h bao.Hash, data []byte) {
	t.Helper()
	st, err := s.Status(h)
	if err != nil || st.State != Complete || st.Size != uint64(len(data)) || !st.Ranges.Equal(bao.All()) {
		t.Fatalf("status of %d bytes: %+v, %v", len(data), st, err)
	}
	b, err := s.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Size() != uint64(len(data)) || b.Hash() != h || !b.Ranges().Equal(bao.All()) {
		t.Fatalf("blob of %d bytes says %d", len(data), b.Size())
	}
	got, err := io.ReadAll(io.NewSectionReader(b, 0, int64(len(data))+10))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(data), err)
	}
	if n, err := b.ReadAt(make([]byte, 1), int64(len(data))); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("reading at the end: %d, %v", n, err)
	}
	if n, err := b.ReadAt(make([]byte, 10), max(0, int64(len(data))-3)); n != min(3, len(data)) || !errors.Is(err, io.EOF) {
		t.Fatalf("reading over the end: %d, %v", n, err)
	}
	if n, err := b.ReadAt(make([]byte, 1), -1); n != 0 || err == nil {
		t.Fatal("reading before the beginning")
	}
	want := outboardOf(data)
	out, err := io.ReadAll(io.NewSectionReader(b.Outboard(), 0, int64(len(want))+10))
	if err != nil || !bytes.Equal(out, want) {
		t.Fatalf("outboard of %d bytes: %d instead of %d, %v", len(data), len(out), len(want), err)
	}
	if err := s.Verify(context.Background(), h); err != nil {
		t.Fatal(err)
	}
}

// checkMissing fails if the blob can be seen in any way.
func checkMissing(t testing.TB, s *Store, h bao.Hash) {
	t.Helper()
	if st, err := s.Status(h); err != nil || st.State != Missing {
		t.Fatalf("status %+v, %v", st, err)
	}
	if _, err := s.Open(h); !errors.Is(err, ErrNotFound) {
		t.Fatalf("opening: %v", err)
	}
	for st, err := range s.All() {
		if err != nil || st.Hash == h {
			t.Fatalf("listed: %+v, %v", st, err)
		}
	}
}

// files lists the files under data and tmp, relative.
func files(t testing.TB, dir string) (data, tmp []string) {
	t.Helper()
	for _, sub := range []struct {
		name string
		list *[]string
	}{{"data", &data}, {"tmp", &tmp}} {
		err := filepath.WalkDir(filepath.Join(dir, sub.name), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(dir, path)
				*sub.list = append(*sub.list, rel)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return data, tmp
}

func TestPutAllSizes(t *testing.T) {
	for _, inline := range []int{0, -1, 1000} {
		dir := t.TempDir()
		s := openStore(t, dir, Config{InlineMax: inline})
		for i, n := range sizes {
			data := pattern(i, n)
			h := put(t, s, data)
			if h != bao.Sum(data) {
				t.Fatalf("hash of %d bytes", n)
			}
			checkBlob(t, s, h, data)
			if put(t, s, data) != h {
				t.Fatal("added twice with another hash")
			}
			syncStore(t, s)
			checkBlob(t, s, h, data)
		}
		if _, tmp := files(t, dir); len(tmp) != 0 {
			t.Fatalf("left in tmp: %v", tmp)
		}
		closeStore(t, s)
		s = openStore(t, dir, Config{})
		for i, n := range sizes {
			data := pattern(i, n)
			checkBlob(t, s, bao.Sum(data), data)
		}
		listed := 0
		for st, err := range s.All() {
			if err != nil || st.State != Complete {
				t.Fatal(st, err)
			}
			listed++
		}
		if listed != len(sizes)-1 {
			t.Fatalf("%d blobs listed", listed)
		}
	}
}

func TestLayoutIsThatOfThePackageComment(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	small, medium, large := pattern(1, 16384), pattern(2, 257<<14), pattern(3, 257<<14+1)
	put(t, s, small)
	m, l := put(t, s, medium), put(t, s, large)
	syncStore(t, s)
	got, _ := files(t, dir)
	want := map[string][]byte{
		filepath.Join("data", m.String()[:2], m.String()+".data"):  medium,
		filepath.Join("data", l.String()[:2], l.String()+".data"):  large,
		filepath.Join("data", l.String()[:2], l.String()+".obao4"): outboardOf(large),
	}
	if len(got) != len(want) {
		t.Fatalf("files: %v", got)
	}
	for name, data := range want {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(b, data) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, name := range got {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

func TestEmptyBlobIsAlwaysThere(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	checkBlob(t, s, bao.EmptyHash(), nil)
	if err := s.Delete(bao.EmptyHash()); err != nil {
		t.Fatal(err)
	}
	checkBlob(t, s, bao.EmptyHash(), nil)
	if _, err := s.Download(bao.EmptyHash(), 0); !errors.Is(err, ErrComplete) {
		t.Fatal(err)
	}
	for st, err := range s.All() {
		t.Fatal(st, err)
	}
}

func TestSecondOpenerIsTold(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	h := put(t, s, pattern(1, 100))
	_, err := Open(dir, Config{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("opened twice: %v", err)
	}
	checkBlob(t, s, h, pattern(1, 100)) // not disturbed
	closeStore(t, s)
	openStore(t, dir, Config{})
}

func TestClosedStore(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	large := pattern(1, 100_000)
	h := put(t, s, large)
	b, err := s.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.NewWriter(100_000)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(bao.HashPiece(large, 0, 100_000), large); err != nil {
		t.Fatal(err)
	}
	d, err := s.Download(bao.Sum([]byte("x")), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	closeStore(t, s)
	got, err := io.ReadAll(io.NewSectionReader(b, 0, 1<<40))
	if err != nil || !bytes.Equal(got, large) {
		t.Fatalf("open blob after Close: %d, %v", len(got), err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadAt(got, 0); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, err1 := s.Open(bao.Sum([]byte("y")))
	_, err2 := s.Status(h)
	_, err3 := w.Commit(ctx)
	_, err4 := s.Tag("x")
	_, err5 := s.Put(ctx, large)
	_, err6 := s.NewSpool()
	for i, err := range []error{err1, err2, err3, err4, err5, err6, s.Sync(ctx), s.Delete(h), d.WriteLeaf(0, large), d.Flush(), d.Complete(ctx), d.Discard()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.All() {
		if !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	}
}

func TestOpenBlobSurvivesDeletionAndReplacement(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{OpenFiles: 2})
	for i, n := range []int{5000, 100_000, 5 << 20} {
		data := pattern(i, n)
		h := put(t, s, data)
		syncStore(t, s)
		b, err := s.Open(h)
		if err != nil {
			t.Fatal(err)
		}
		out := b.Outboard()
		if err := s.Delete(h); err != nil {
			t.Fatal(err)
		}
		checkMissing(t, s, h)
		syncStore(t, s)
		if got, _ := files(t, dir); len(got) != 0 {
			t.Fatalf("files stay: %v", got)
		}
		for j := range 5 { // push it out of the cache of open files
			h := put(t, s, pattern(1000+j, 20_000))
			checkBlob(t, s, h, pattern(1000+j, 20_000))
			if err := s.Delete(h); err != nil {
				t.Fatal(err)
			}
		}
		put(t, s, data) // a new blob with the same name
		got, err := io.ReadAll(io.NewSectionReader(b, 0, 1<<40))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if err := bao.Encode(io.Discard, h, uint64(n), b, out, bao.All()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(b.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
		checkBlob(t, s, h, data)
		if err := s.Delete(h); err != nil {
			t.Fatal(err)
		}
		syncStore(t, s)
	}
}

func TestDeleteThenAddBeforeSync(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{100, 100_000, 5 << 20} {
		s := openStore(t, dir, Config{})
		data := pattern(n, n)
		h := put(t, s, data)
		syncStore(t, s)
		for range 3 {
			if err := s.Delete(h); err != nil {
				t.Fatal(err)
			}
			checkMissing(t, s, h)
			put(t, s, data)
			checkBlob(t, s, h, data)
		}
		closeStore(t, s)
		s = openStore(t, dir, Config{})
		checkBlob(t, s, h, data)
		if err := s.Delete(h); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		s = openStore(t, dir, Config{})
		checkMissing(t, s, h)
		closeStore(t, s)
		if got, _ := files(t, dir); len(got) != 0 {
			t.Fatalf("files stay: %v", got)
		}
	}
}

func TestDeletingAloneGivesSpaceBack(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	var all []bao.Hash
	for i := range trash.MaxHashes + 10 {
		all = append(all, put(t, s, pattern(i, 17000)))
	}
	syncStore(t, s)
	for _, h := range all {
		if err := s.Delete(h); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := files(t, dir); len(got) > 10 {
		t.Fatalf("%d files stay", len(got))
	}
}

func TestCommitSettlesWhenTooMuchIsPending(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	n := 256 << 14 // outboard of 16320 bytes
	data := pattern(1, n)
	for i := range maxPendingBytes/(16<<10) + 5 {
		data[0], data[1] = byte(i), byte(i>>8)
		put(t, s, data)
	}
	s.mu.Lock()
	bytes := s.pendingBytes
	s.mu.Unlock()
	if got, _ := files(t, dir); len(got) == 0 || bytes > maxPendingBytes {
		t.Fatalf("%d files settled, %d bytes pending", len(got), bytes)
	}
}

func TestWriterRefusesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	ctx := context.Background()
	data := pattern(1, 1<<20+5)
	size := uint64(len(data))
	first, second := bao.HashPiece(data[:1<<20], 0, size), bao.HashPiece(data[1<<20:], 1<<20, size)
	begin := func() *Writer {
		w, err := s.NewWriter(size)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := begin()
	if _, err := w.Commit(ctx); err == nil {
		t.Fatal("committed with nothing")
	}
	w = begin()
	if err := w.Add(second, data[1<<20:]); err == nil {
		t.Fatal("second piece first")
	}
	if err := w.Add(first, data[:1<<20]); err == nil {
		t.Fatal("error was forgotten")
	}
	w.Abort()
	w = begin()
	if err := w.Add(first, data[:100]); err == nil {
		t.Fatal("piece with too few bytes")
	}
	w.Abort()
	w = begin()
	if err := w.Add(first, data[:1<<20]); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(ctx); !errors.Is(err, bao.ErrIncomplete) {
		t.Fatalf("committed half: %v", err)
	}
	if _, err := w.Commit(ctx); !errors.Is(err, bao.ErrIncomplete) && !errors.Is(err, ErrClosed) {
		t.Fatalf("committed after the end: %v", err)
	}
	w.Abort()
	if _, err := s.NewWriter(1 << 61); !errors.Is(err, ErrSize) {
		t.Fatal(err)
	}
	checkMissing(t, s, bao.Sum(data))
	if got, tmp := files(t, dir); len(got)+len(tmp) != 0 {
		t.Fatalf("left: %v %v", got, tmp)
	}
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	for i, n := range append(sizes, 256<<10, 256<<10+1, 256<<10-1) {
		data := pattern(100+i, n)
		sp, err := s.NewSpool()
		if err != nil {
			t.Fatal(err)
		}
		for rest := data; len(rest) > 0; {
			k := min(len(rest), 1+i*7777)
			if m, err := sp.Write(rest[:k]); m != k || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[k:]
		}
		if sp.Size() != uint64(n) {
			t.Fatal(sp.Size())
		}
		h, size, err := sp.Commit(context.Background())
		if err != nil || h != bao.Sum(data) || size != uint64(n) {
			t.Fatal(h, size, err)
		}
		checkBlob(t, s, h, data)
		sp.Abort()
		if _, err := sp.Write([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	}
	sp, err := s.NewSpool()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	sp.Abort()
	syncStore(t, s)
	if _, tmp := files(t, dir); len(tmp) != 0 {
		t.Fatalf("left in tmp: %v", tmp)
	}
}

func TestTags(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	h := bao.Sum([]byte("x"))
	names := []string{"a", "a/b", "ä", strings.Repeat("n", maxTagName)}
	for i, name := range names {
		if err := s.SetTag(name, h, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.SetTag(name, h, 1); err != nil {
			t.Fatal(err)
		}
		if tag, err := s.Tag(name); err != nil || tag != (Tag{name, h, 1}) {
			t.Fatal(i, tag, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("n", maxTagName+1), "\xff"} {
		if err := s.SetTag(name, h, 0); err == nil {
			t.Fatalf("tag %q", name)
		}
	}
	if err := errors.Join(s.DeleteTag("a"), s.DeleteTag("never")); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = openStore(t, dir, Config{})
	var got []string
	for tag, err := range s.Tags() {
		if err != nil || tag.Hash != h || tag.Format != 1 {
			t.Fatal(tag, err)
		}
		got = append(got, tag.Name)
	}
	if len(got) != 3 || got[0] != "a/b" || got[1] != names[3] || got[2] != "ä" {
		t.Fatal(got)
	}
	for range s.Tags() {
		break
	}
	for prefix, want := range map[string]int{"": 3, "a": 1, "a/b": 1, "a/b/": 0, "n": 1, "\xc3": 1, "\xff": 0} {
		n := 0
		for tag, err := range s.TagsUnder(prefix) {
			if n++; err != nil || !strings.HasPrefix(tag.Name, prefix) {
				t.Fatal(prefix, tag, err)
			}
		}
		if n != want {
			t.Errorf("%d tags begin with %q, want %d", n, prefix, want)
		}
	}
	if _, err := s.Tag("a"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

// Blobs of all sizes at once, some of which are there already, whole, in part or by another idea of their size.
func TestPutAll(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	var all []Whole
	for i, n := range []int{0, 1, 1000, 16384, 16385, 100_000, 5000, 5001, 5002} {
		data := pattern(i, n)
		all = append(all, Whole{bao.Sum(data), data})
	}
	for i := range 300 {
		data := pattern(100+i, 4096)
		all = append(all, Whole{bao.Sum(data), data})
	}
	if _, err := s.Put(context.Background(), all[6].Data); err != nil {
		t.Fatal(err)
	}
	wrong := download(t, s, all[7].Hash, 1<<20) // somebody claimed another size
	if err := wrong.Close(); err != nil {
		t.Fatal(err)
	}
	open := download(t, s, all[8].Hash, 5002)
	all = append(all, all[9]) // twice
	if err := s.PutAll(context.Background(), all); err != nil {
		t.Fatal(err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		checkBlob(t, s, w.Hash, w.Data)
	}
	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, Config{})
	for _, w := range all {
		checkBlob(t, s, w.Hash, w.Data)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.PutAll(context.Background(), all); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
