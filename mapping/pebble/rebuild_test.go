package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/mappingtest"
)

const rebuildLinks, rebuildRows = 20, 500

// fillTest commits some links.
func fillTest(s mapping.Store) error {
	for l := range uint64(rebuildLinks) {
		tx, err := s.Begin(context.Background())
		if err != nil {
			return err
		}
		for i := range uint64(rebuildRows) {
			if err := tx.Block(mappingtest.Leaf(l*rebuildRows + i)); err != nil {
				return err
			}
		}
		if err := tx.Commit(context.Background(), mappingtest.Link(l)); err != nil {
			return err
		}
	}
	return nil
}

// every is which rows are looked at: a damaged one costs a millisecond.
const every = 25

// wrong returns how many rows, of those it looks at, are not there, and fails if
// one is there and is not what was put.
func wrong(t *testing.T, s mapping.Store) int {
	t.Helper()
	n := 0
	for i := uint64(0); i < rebuildLinks*rebuildRows; i += every {
		b, err := s.Block(context.Background(), mappingtest.Multihash(i))
		if err != nil {
			n++
			continue
		}
		want := mappingtest.Leaf(i)
		if b.Blob != want.Blob || b.Offset != want.Offset || b.Length != want.Length {
			t.Fatalf("row %d: %v", i, b)
		}
	}
	return n
}

func flushed(t *testing.T, dir string) {
	t.Helper()
	s := openConfig(t, dir, Config{})
	if err := fillTest(s); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDamage flips bits in the table files: what is damaged is an error, never a
// wrong row, and a rebuild mends it.
func TestDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	noticed := 0
	for round := range 6 {
		dir := filepath.Join(t.TempDir(), "db")
		flushed(t, dir)
		tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
		if err != nil || len(tables) == 0 {
			t.Fatalf("%v, %v", tables, err)
		}
		for range 8 {
			flip(t, tables[r.IntN(len(tables))], r)
		}
		s, err := Open(dir, Config{})
		if err == nil {
			if wrong(t, s) > 0 {
				noticed++
			}
			if err := s.Close(); err != nil {
				t.Logf("round %d: close: %v", round, err)
			}
		} else {
			noticed++
		}
		aside, err := Rebuild(dir, Config{}, fillTest)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if _, err := os.Stat(filepath.Join(aside, filepath.Base(tables[0]))); err != nil {
			t.Errorf("round %d: the damaged store was not kept: %v", round, err)
		}
		s = openConfig(t, dir, Config{})
		if n := wrong(t, s); n != 0 {
			t.Fatalf("round %d: %d rows are missing after the rebuild", round, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if noticed < 5 {
		t.Errorf("6 rounds of 8 flipped bits, %d were noticed", noticed)
	}
}

func flip(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRebuildFails: when fill fails the old store is as it was.
func TestRebuildFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	flushed(t, dir)
	failure := errors.New("a layout is gone")
	_, err := Rebuild(dir, Config{}, func(s mapping.Store) error {
		if n := wrong(t, s); n != rebuildLinks*rebuildRows/every {
			t.Errorf("the new store has rows to begin with: %d of those looked at are missing", n)
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	s := openConfig(t, dir, Config{})
	if n := wrong(t, s); n != 0 {
		t.Errorf("%d rows are missing", n)
	}
	// An open store cannot be rebuilt, nor opened again.
	if _, err := Rebuild(dir, Config{}, fillTest); err == nil {
		t.Error("rebuild of an open store: no error")
	}
	if _, err := Open(dir, Config{}); err == nil {
		t.Error("a store was opened twice")
	}
	if n := wrong(t, s); n != 0 {
		t.Errorf("%d rows are missing", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(dir + ".*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestRebuildCrash: a crash after each step leaves the old store or the new, and
// the old one is kept.
func TestRebuildCrash(t *testing.T) {
	for _, step := range []string{"filling", "filled", "old set aside", "new folder made"} {
		t.Run(step, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "db")
			s := openConfig(t, dir, Config{}) // the old store is empty
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			missing := 0
			switch step {
			case "filling":
				missing = rebuildLinks * rebuildRows / every
				flushed(t, dir+fillingSuffix)
			case "filled":
				flushed(t, dir+filledSuffix)
			case "old set aside", "new folder made":
				flushed(t, dir+filledSuffix)
				if err := os.Rename(dir, dir+damagedSuffix+"1"); err != nil {
					t.Fatal(err)
				}
				if step == "new folder made" {
					if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, lockName), nil, 0o644)); err != nil {
						t.Fatal(err)
					}
				}
			}
			s = openConfig(t, dir, Config{})
			if n := wrong(t, s); n != missing {
				t.Errorf("%d rows are missing, want %d", n, missing)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			aside, err := Rebuild(dir, Config{}, fillTest)
			if err != nil {
				t.Fatal(err)
			}
			s = openConfig(t, dir, Config{})
			if n := wrong(t, s); n != 0 {
				t.Errorf("%d rows are missing after a rebuild", n)
			}
			want := []string{dir + damagedSuffix + "1"}
			if step != "filling" {
				want = append(want, dir+damagedSuffix+"2")
			}
			if left, _ := filepath.Glob(dir + ".*"); !slices.Equal(left, want) || aside != want[len(want)-1] {
				t.Errorf("left behind: %v, want %v; aside %s", left, want, aside)
			}
		})
	}
}

// TestOtherVersion: a folder that a newer program wrote is left alone.
func TestOtherVersion(t *testing.T) {
	fs := vfs.NewMem()
	s := openConfig(t, "db", Config{FS: fs})
	if err := s.write(true, op{key: metaKey("version"), value: []byte{version + 1}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open("db", Config{FS: fs}); err == nil || !strings.Contains(err.Error(), "format") || errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
	}
}

// damages are ways in which a store's folder may be found.
var damages = map[string]func(t *testing.T, dir string){
	"no folder":       func(t *testing.T, dir string) { remove(t, dir) },
	"an empty folder": func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "*")) },
	"a file":          func(t *testing.T, dir string) { remove(t, dir); write(t, dir, []byte("?")) },
	"no manifest":     func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "MANIFEST-*")) },
	"no marker":       func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "marker.manifest*")) },
	"no tables":       func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "*.sst")) },
	"empty manifest":  func(t *testing.T, dir string) { each(t, dir, "MANIFEST-*", func([]byte) []byte { return nil }) },
	"manifest of zeros": func(t *testing.T, dir string) {
		each(t, dir, "MANIFEST-*", func(b []byte) []byte { clear(b); return b })
	},
	"half a manifest": func(t *testing.T, dir string) {
		each(t, dir, "MANIFEST-*", func(b []byte) []byte { return b[:len(b)/3] })
	},
	"other options": func(t *testing.T, dir string) {
		each(t, dir, "OPTIONS-*", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("bridge.mapping"), []byte("someone.else")) })
	},
}

func remove(t *testing.T, pattern string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func each(t *testing.T, dir, pattern string, change func([]byte) []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, name, change(b))
	}
}

// TestCannotBeOpened: a folder without its store is ErrDamaged to who knows that
// there was one, and nothing in it is touched; a rebuild mends it and keeps it.
func TestCannotBeOpened(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "db")
			flushed(t, dir)
			damage(t, dir)
			for range 2 {
				s, err := Open(dir, Config{Existing: true})
				if err == nil { // what is missing is missed when it is read
					if n := wrong(t, s); n == 0 {
						t.Error("nothing is missing")
					}
					err = fmt.Errorf("%w: %w", ErrDamaged, s.Close())
				}
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("got %v", err)
				}
			}
			if _, err := Rebuild(dir, Config{}, fillTest); err != nil {
				t.Fatal(err)
			}
			s := openConfig(t, dir, Config{Existing: true})
			if n := wrong(t, s); n != 0 {
				t.Errorf("%d rows are missing after a rebuild", n)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestDamagedAnywhere flips and cuts every file of a store in turn: opening it
// gives an error or a store, never a panic, and it can be rebuilt.
func TestDamagedAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	whole := filepath.Join(t.TempDir(), "db")
	flushed(t, whole)
	names, err := os.ReadDir(whole)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 60 {
		name := names[round%len(names)].Name()
		dir := filepath.Join(t.TempDir(), "db")
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		if name == lockName {
			continue // it is empty and stays so
		}
		each(t, dir, name, func(b []byte) []byte {
			for range 1 + r.IntN(20) {
				if len(b) > 0 {
					b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
				}
			}
			return b[:len(b)-r.IntN(len(b)+1)*r.IntN(2)]
		})
		s, err := Open(dir, Config{Existing: true})
		if err == nil {
			wrong(t, s)
			if err := s.Close(); err != nil {
				t.Logf("%s: close: %v", name, err)
			}
		} else if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Rebuild(dir, Config{}, func(mapping.Store) error { return nil }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// TestNotDamaged: where the folder is not to blame the error says so.
func TestNotDamaged(t *testing.T) {
	for _, cause := range []error{iofs.ErrPermission, syscall.ENOSPC, syscall.EMFILE} {
		err := blame(fmt.Errorf("opening: %w", cause))
		if errors.Is(err, ErrDamaged) || !errors.Is(err, cause) {
			t.Errorf("%v became %v", cause, err)
		}
	}
}
