package folder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func closed(t *testing.T, f *Folder, well bool) {
	t.Helper()
	if err := f.Close(well); err != nil {
		t.Fatal(err)
	}
}

// A folder is noted as open until it is closed and all is well in it.
func TestCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	f := open(t, dir)
	if f.Cut() {
		t.Error("a new folder was cut")
	}
	closed(t, f, false)
	f = open(t, dir)
	if !f.Cut() {
		t.Error("what was not well is forgotten")
	}
	closed(t, f, true)
	f = open(t, dir)
	if f.Cut() {
		t.Error("what is well again is not known to be")
	}
	closed(t, f, true)
}

// Who finds a folder in use takes nobody's note or lock away.
func TestBusy(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	for range 2 {
		if _, err := Open(dir); !errors.Is(err, ErrBusy) {
			t.Fatalf("got %v, want %v", err, ErrBusy)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, runningName)); err != nil {
		t.Error(err)
	}
	closed(t, f, true)
	again := open(t, dir)
	closed(t, f, true)
	if _, err := Open(dir); !errors.Is(err, ErrBusy) {
		t.Errorf("closing twice lets go of what is another's: %v", err)
	}
	closed(t, again, true)
}

// A folder that cannot be made is an error that names it, and locks nothing.
func TestNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("a file is a folder")
	}
}
