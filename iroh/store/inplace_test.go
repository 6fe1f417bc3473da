package store

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// addInPlace hashes a file and adds it without a copy.
func addInPlace(t testing.TB, s *Store, path string) (bao.Hash, error) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.NewInPlaceWriter(path, info)
	if err != nil {
		t.Fatal(err)
	}
	size := uint64(len(data))
	for off := uint64(0); off < size; off += bao.PieceSize {
		if err := w.Add(bao.HashPiece(data[off:min(off+bao.PieceSize, size)], off, size), nil); err != nil {
			t.Fatal(err)
		}
	}
	return w.Commit(context.Background())
}

func mustInPlace(t testing.TB, s *Store, path string) bao.Hash {
	t.Helper()
	h, err := addInPlace(t, s, path)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInPlaceAllSizes(t *testing.T) {
	dir, user := t.TempDir(), t.TempDir()
	t.Chdir(user)
	s := openStore(t, dir, Config{})
	for i, n := range sizes {
		data := pattern(i, n)
		name := filepath.Base(t.Name()) + string(rune('a'+i))
		writeFile(t, name, data)
		h := mustInPlace(t, s, name) // a relative path
		for range 2 {
			checkBlob(t, s, h, data)
			st, err := s.Status(h)
			if n > 0 && (err != nil || st.Path != filepath.Join(user, name)) {
				t.Fatalf("path %q, %v", st.Path, err)
			}
			b, err := s.Open(h)
			if err != nil || n > 0 && !b.InPlace() {
				t.Fatal("not in place", err)
			}
			b.Close()
			closeStore(t, s)
			s = openStore(t, dir, Config{})
		}
	}
	got, tmp := files(t, dir)
	if len(got) != 2 || len(tmp) != 0 { // the outboards of the two largest
		t.Fatalf("files: %v %v", got, tmp)
	}
	for i, n := range sizes {
		if err := s.Delete(bao.Sum(pattern(i, n))); err != nil {
			t.Fatal(err)
		}
	}
	syncStore(t, s)
	if got, _ := files(t, dir); len(got) != 0 {
		t.Fatalf("files: %v", got)
	}
	if left, err := os.ReadDir(user); err != nil || len(left) != len(sizes) {
		t.Fatalf("the user's files were touched: %d, %v", len(left), err)
	}
}

func TestInPlaceChanges(t *testing.T) {
	data := pattern(1, 300_000)
	old := time.Now().Add(-time.Hour)
	changes := map[string]func(t *testing.T, path string) error{
		"bytes": func(t *testing.T, path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte{data[5] ^ 1}, 5)
			return err
		},
		"bytes with the old time": func(t *testing.T, path string) error {
			changed := append([]byte(nil), data...)
			changed[7] ^= 1
			writeFile(t, path, changed)
			return os.Chtimes(path, old, old)
		},
		"time":     func(t *testing.T, path string) error { return os.Chtimes(path, old, old.Add(time.Nanosecond)) },
		"shorter":  func(t *testing.T, path string) error { return os.Truncate(path, 299_999) },
		"longer":   func(t *testing.T, path string) error { return os.Truncate(path, 300_001) },
		"empty":    func(t *testing.T, path string) error { return os.Truncate(path, 0) },
		"gone":     func(t *testing.T, path string) error { return os.Remove(path) },
		"a folder": func(t *testing.T, path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"replaced": func(t *testing.T, path string) error {
			writeFile(t, path+"2", data)
			return errors.Join(os.Chtimes(path+"2", old, old), os.Rename(path+"2", path))
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			if name == "bytes with the old time" && runtime.GOOS != "linux" {
				t.Skip("only Linux is asked for the change time")
			}
			s := openStore(t, t.TempDir(), Config{})
			path := filepath.Join(t.TempDir(), "file")
			writeFile(t, path, data)
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
			h := mustInPlace(t, s, path)
			checkBlob(t, s, h, data)
			b, err := s.Open(h) // open already when the file changes
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := change(t, path); err != nil {
				t.Fatal(err)
			}
			if n, err := b.ReadAt(make([]byte, 100), 0); n != 0 || !errors.Is(err, ErrChanged) {
				t.Errorf("open blob: %d bytes, %v", n, err)
			}
			if err := s.Verify(context.Background(), h); !errors.Is(err, ErrChanged) {
				t.Errorf("verify: %v", err)
			}
			s.open.DropAll()
			if _, err := s.Open(h); !errors.Is(err, ErrChanged) {
				t.Errorf("opening: %v", err)
			}
			if st, err := s.Status(h); err != nil || st.State != Complete || st.Path != path {
				t.Errorf("status: %+v, %v", st, err)
			}
			// A copy, or the bytes from a peer, repair it.
			if name == "gone" {
				d := download(t, s, h, 300_000)
				feed(t, d, data, bao.All())
				if err := d.Complete(context.Background()); err != nil {
					t.Fatal(err)
				}
			} else {
				put(t, s, data)
			}
			checkBlob(t, s, h, data)
			syncStore(t, s)
			checkBlob(t, s, h, data)
			if st, err := s.Status(h); err != nil || st.Path != "" {
				t.Errorf("status: %+v, %v", st, err)
			}
		})
	}
}

func TestInPlaceFileChangesWhileItIsAdded(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	path := filepath.Join(t.TempDir(), "file")
	data := pattern(1, 300_000)
	writeFile(t, path, data)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.NewInPlaceWriter(path, info)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(bao.HashPiece(data, 0, 300_000), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 299_000); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(context.Background()); !errors.Is(err, ErrChanged) {
		t.Fatal(err)
	}
	checkMissing(t, s, bao.Sum(data))
	if _, err := s.NewInPlaceWriter(filepath.Dir(path), must(os.Stat(filepath.Dir(path)))); err == nil {
		t.Fatal("a folder was taken")
	}
}

func TestCopyWinsOverInPlace(t *testing.T) {
	for _, n := range []int{1000, 100_000, 5 << 20} {
		for _, syncBetween := range []bool{false, true} {
			dir := t.TempDir()
			s := openStore(t, dir, Config{})
			data := pattern(n, n)
			one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
			writeFile(t, one, data)
			writeFile(t, two, data)
			path := func() string {
				st, err := s.Status(bao.Sum(data))
				if err != nil || st.State != Complete {
					t.Fatal(st, err)
				}
				return st.Path
			}
			settle := func() {
				if syncBetween {
					syncStore(t, s)
				}
			}
			h := mustInPlace(t, s, one)
			settle()
			if mustInPlace(t, s, two) != h || path() != two {
				t.Fatal("an older file of the user won")
			}
			settle()
			put(t, s, data)
			if path() != "" {
				t.Fatal("the user's file won over a copy")
			}
			settle()
			if mustInPlace(t, s, one) != h || path() != "" {
				t.Fatal("the user's file replaced a copy")
			}
			closeStore(t, s)
			if err := errors.Join(os.Remove(one), os.Remove(two)); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, dir, Config{})
			checkBlob(t, s, h, data)
			if _, tmp := files(t, dir); len(tmp) != 0 {
				t.Fatalf("left in tmp: %v", tmp)
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var _ io.ReaderAt = (*Blob)(nil)
