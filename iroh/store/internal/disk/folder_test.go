package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

func open(t *testing.T, dir string, reserve uint64, trace Trace) *Folder {
	t.Helper()
	f, err := Open(dir, reserve, trace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestReserve(t *testing.T) {
	f := open(t, t.TempDir(), 1<<60, nil) // more than any disk has
	if err := f.Take(1, false); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Take(1, true); err != nil {
		t.Fatal("an urgent write was refused", err)
	}
	if err := f.Take(1, false); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal("an urgent write lets others into the reserve", err)
	}
	f = open(t, t.TempDir(), 1, nil)
	for range 1000 {
		if err := f.Take(1<<20, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Take(1<<60, true); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal("more than any disk has was granted", err)
	}
}

func TestPlaceAndRemove(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var ops []string
	f := open(t, dir, 1, func(op string, file *os.File, name string) {
		if file != nil {
			name = file.Name()
		}
		rel, _ := filepath.Rel(dir, name)
		mu.Lock()
		defer mu.Unlock()
		ops = append(ops, op+" "+rel)
	})
	h := bao.Hash{0xab}
	for range 2 { // the second time over the first
		var temp Temp
		for suffix, name := range map[string]*string{".data": &temp.Data, ".obao4": &temp.Outboard} {
			file, err := f.Create(suffix)
			if err != nil {
				t.Fatal(err)
			}
			*name = file.Name()
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		}
		ops = nil
		dirs := Dirs{}
		if err := f.Place(h, &temp, dirs); err != nil || !temp.Empty() {
			t.Fatal(err, temp)
		}
		if err := f.SyncDirs(dirs); err != nil {
			t.Fatal(err)
		}
	}
	base := filepath.Join("data", "ab", h.String())
	if want := []string{"rename " + base + ".obao4", "rename " + base + ".data", "sync " + filepath.Join("data", "ab")}; !slices.Equal(ops, want) {
		t.Fatalf("%v instead of %v", ops, want)
	}
	dirs := Dirs{}
	if err := f.RemoveFinal(h, true, false, dirs); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.Data(h)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.Outboard(h)); err != nil {
		t.Fatal(err)
	}
	if err := f.RemoveFinal(h, true, true, dirs); err != nil { // half of it is gone already
		t.Fatal(err)
	}
	dirs["never made"] = struct{}{}
	if err := f.SyncDirs(dirs); err != nil {
		t.Fatal(err)
	}
}

func TestOpenEmptiesTmpAndLocks(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(dir, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := f.Create(".data")
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 1, nil); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	if _, err := os.Stat(file.Name()); err != nil {
		t.Fatal("a second opener removed files", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, 1, nil)
	if _, err := os.Stat(file.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestSpoolKeepsItsBytes(t *testing.T) {
	f := open(t, t.TempDir(), 1, nil)
	for _, n := range []int{0, 1, spoolBuffer - 1, spoolBuffer, spoolBuffer + 1, 3 * spoolBuffer} {
		s := Spool{Folder: f}
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i % 251)
		}
		if k, err := s.Write(data); k != n || err != nil || s.Size() != uint64(n) {
			t.Fatal(k, err)
		}
		file, got, err := s.Finish()
		if err != nil || (file == nil) != (n < spoolBuffer) {
			t.Fatal(n, file, err)
		}
		if file != nil {
			if got, err = io.ReadAll(io.NewSectionReader(file, 0, 1<<40)); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(file.Close(), Remove(file.Name())); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, data) {
			t.Fatalf("%d bytes came back as %d", n, len(got))
		}
		if err := s.Remove(os.ErrClosed); err != nil {
			t.Fatal(err)
		}
	}
}
