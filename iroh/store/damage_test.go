package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// flip flips one bit of a file.
func flip(t testing.TB, path string, bit int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (bit % 8)
	if _, err := f.WriteAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
}

// Figure 31: every flipped bit is found, and named to the group or pair.
func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	ctx := context.Background()
	s := openStore(t, t.TempDir(), Config{})
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{16385, 100_000, 1<<20 + 1, 257<<14 + 1, 9<<20 + 5} {
		data := pattern(n, n)
		h := put(t, s, data)
		syncStore(t, s)
		for _, part := range []struct{ name, path string }{{"data", s.folder.Data(h)}, {"outboard", s.folder.Outboard(h)}} {
			info, err := os.Stat(part.path)
			if part.name == "outboard" && errors.Is(err, os.ErrNotExist) {
				continue // in the record, under the database's checksum
			}
			if err != nil {
				t.Fatal(err)
			}
			unit := map[string]uint64{"data": bao.GroupSize, "outboard": 64}[part.name]
			for range 12 {
				bit := rnd.Int64N(8 * info.Size())
				flip(t, part.path, bit)
				var d *DamageError
				err := s.Verify(ctx, h)
				if !errors.Is(err, ErrDamaged) || !errors.As(err, &d) || d.Hash != h || d.Part != part.name {
					t.Fatalf("%s of %d bytes, bit %d: %v", part.name, n, bit, err)
				}
				if at := uint64(bit / 8); d.Offset > at || at-d.Offset >= unit {
					t.Fatalf("%s of %d bytes: byte %d was changed, byte %d named", part.name, n, at, d.Offset)
				}
				flip(t, part.path, bit)
				if err := s.Verify(ctx, h); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestVerifyFindsWrongLengthsAndMissingFiles(t *testing.T) {
	ctx := context.Background()
	s := openStore(t, t.TempDir(), Config{})
	n := 257<<14 + 1
	data := pattern(n, n)
	h := bao.Sum(data)
	for name, spoil := range map[string]func() error{
		"data at byte 4210688": func() error { return os.Truncate(s.folder.Data(h), int64(n-1)) },
		"data at byte 4210689": func() error { return os.Truncate(s.folder.Data(h), int64(n+1)) },
		"data at byte 0":       func() error { return os.Remove(s.folder.Data(h)) },
		"outboard at byte 0":   func() error { return os.Remove(s.folder.Outboard(h)) },
		"outboard at byte 1":   func() error { return os.Truncate(s.folder.Outboard(h), 16000) },
	} {
		put(t, s, data)
		syncStore(t, s)
		checkBlob(t, s, h, data)
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s.open.DropAll()
		if err := s.Verify(ctx, h); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		// Deleting and adding again is the repair.
		if err := s.Delete(h); err != nil {
			t.Fatal(err)
		}
		syncStore(t, s)
	}
	if err := s.Verify(ctx, h); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

func TestReadingAShortFileIsAnError(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	data := pattern(1, 100_000)
	h := put(t, s, data)
	syncStore(t, s)
	b, err := s.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := os.Truncate(s.folder.Data(h), 50_000); err != nil {
		t.Fatal(err)
	}
	var d *DamageError
	if n, err := b.ReadAt(make([]byte, 20_000), 40_000); n != 10_000 || !errors.As(err, &d) || d.Offset != 50_000 {
		t.Fatal(n, err)
	}
}

func TestVerifyStopsWithItsContext(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	h := put(t, s, pattern(1, 9<<20))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Verify(ctx, h); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := s.Sync(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	checkBlob(t, s, h, pattern(1, 9<<20))
}

// A database that is damaged gives errors, not wrong bytes, and does not end
// the process.
func TestDamagedDatabase(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	found := 0
	for round := range 8 {
		dir := t.TempDir()
		s, err := Open(dir, Config{})
		if err != nil {
			t.Fatal(err)
		}
		var all [][]byte
		for i := range 100 {
			all = append(all, pattern(i, 8000))
			put(t, s, all[i])
		}
		closeStore(t, s)
		openStore(t, dir, Config{}).Close() // the log becomes a table
		names, err := filepath.Glob(filepath.Join(dir, "meta", "*.sst"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		info, err := os.Stat(names[0])
		if err != nil {
			t.Fatal(err)
		}
		flip(t, names[0], rnd.Int64N(8*info.Size()))
		s, err = Open(dir, Config{})
		if err != nil {
			found++
			continue
		}
		bad := false
		for i, data := range all {
			h := bao.Sum(data)
			b, err := s.Open(h)
			if err != nil {
				bad = true
				continue
			}
			got, err := io.ReadAll(io.NewSectionReader(b, 0, 1<<40))
			b.Close()
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("round %d, blob %d: wrong bytes, %v", round, i, err)
			}
		}
		for _, err := range s.All() {
			bad = bad || err != nil
		}
		if bad {
			found++
		}
		_ = s.Close()
	}
	if found < 5 {
		t.Fatalf("only %d of 8 damages were noticed", found)
	}
}

// A blob whose file cannot be synced is gone, and Sync says so until it is
// added again.
func TestBlobThatCannotBeSynced(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	good, bad := pattern(1, 100_000), pattern(2, 100_000)
	put(t, s, good)
	h := put(t, s, bad)
	s.mu.Lock()
	tmp := s.pending[h].temp.Data
	s.mu.Unlock()
	if err := os.Remove(tmp); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Sync(context.Background()); err == nil || !strings.Contains(err.Error(), h.String()) {
			t.Fatal(err)
		}
		checkMissing(t, s, h)
	}
	checkBlob(t, s, bao.Sum(good), good)
	put(t, s, bad)
	syncStore(t, s)
	checkBlob(t, s, h, bad)
}

// The log of the database cannot be written: every call fails from then on,
// the process lives, and the next start has what was synced. Pebble cannot be
// closed after that, so this runs in a process of its own.
func TestDatabaseLogCannotBeWritten(t *testing.T) {
	if os.Getenv(leakyEnv) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDatabaseLogCannotBeWritten$")
		cmd.Env = append(os.Environ(), leakyEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for nth := range int32(6) {
		dir := t.TempDir()
		mem := vfs.NewCrashableMem()
		var count atomic.Int32
		fail := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if strings.HasSuffix(op.Path, ".log") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && count.Add(1) > nth {
				return syscall.ENOSPC
			}
			return nil
		})
		s, err := Open(dir, Config{fs: errorfs.Wrap(mem, fail)})
		if err != nil {
			continue // the failure came that early
		}
		kept := make(map[bao.Hash][]byte)
		for i := 0; err == nil; i++ {
			data := pattern(i, 1000+20_000*(i%2))
			h := put(t, s, data)
			if err = s.Sync(context.Background()); err == nil {
				kept[h] = data
			}
			if i > 20 {
				t.Fatal("no failure")
			}
		}
		_, err1 := s.Put(context.Background(), pattern(99, 1000))
		_, err2 := s.Open(bao.Sum(pattern(98, 1000)))
		_, err3 := s.Status(bao.Sum(pattern(98, 1000)))
		for i, err := range []error{err, err1, err2, err3, s.Sync(context.Background()), s.Delete(bao.Sum(pattern(0, 1000))), s.SetTag("x", bao.Hash{}, 0), s.Close()} {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%d, call %d: %v", nth, i, err)
			}
		}
		s, err = Open(dir, Config{fs: mem.CrashClone(vfs.CrashCloneCfg{})})
		if err != nil {
			t.Fatal(err)
		}
		for h, data := range kept {
			checkBlob(t, s, h, data)
		}
		closeStore(t, s)
	}
}
