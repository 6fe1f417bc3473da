package pebble

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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
		if err := Rebuild(dir, Config{}, fillTest); err != nil {
			t.Fatalf("round %d: %v", round, err)
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
	err := Rebuild(dir, Config{}, func(s mapping.Store) error {
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
	if err := Rebuild(dir, Config{}, fillTest); err == nil {
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

// TestRebuildCrash: a crash after each step leaves the old store or the new.
func TestRebuildCrash(t *testing.T) {
	for _, step := range []string{"filling", "filled", "old removed"} {
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
			case "old removed":
				flushed(t, dir+filledSuffix)
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			s = openConfig(t, dir, Config{})
			if n := wrong(t, s); n != missing {
				t.Errorf("%d rows are missing, want %d", n, missing)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := Rebuild(dir, Config{}, fillTest); err != nil {
				t.Fatal(err)
			}
			s = openConfig(t, dir, Config{})
			if n := wrong(t, s); n != 0 {
				t.Errorf("%d rows are missing after a rebuild", n)
			}
			if left, _ := filepath.Glob(dir + ".*"); len(left) != 0 {
				t.Errorf("left behind: %v", left)
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
		if _, err := Open("db", Config{FS: fs}); err == nil || !strings.Contains(err.Error(), "format") {
			t.Errorf("got %v", err)
		}
	}
}
