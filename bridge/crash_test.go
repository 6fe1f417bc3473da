package bridge

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/iroh-ipfs/bridge/mapping/pebble"
)

// cutShort takes a link out of a closed folder's mapping as if its commit had been about to be written when the process was killed.
func cutShort(t *testing.T, dir, c string) {
	t.Helper()
	m, err := pebble.Open(filepath.Join(dir, "mapping"), pebble.Config{Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Delete(t.Context(), mustCID(t, c)), m.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "running"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func isRunning(t *testing.T, dir string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, "running"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// TestCrashBeforeTheLastWrite: a link whose commit a kill cut short in its last moment is there when the next start is done, and not at
// some time after it.
func TestCrashBeforeTheLastWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := open(t, dir)
	one, two := add(t, b, AddRequest{Path: sample(t)}), add(t, b, AddRequest{Path: filepath.Join(sample(t), "a")})
	want := []string{one.CID, two.CID}
	slices.Sort(want)
	if !isRunning(t, dir) {
		t.Error("an open folder is not noted")
	}
	closed(t, b)
	if isRunning(t, dir) {
		t.Error("a closed folder is noted as open")
	}
	cutShort(t, dir, one.CID)
	b = open(t, dir)
	if got := listed(t, b); !slices.Equal(got, want) {
		t.Errorf("at the start there are %q, want %q", got, want)
	}
	verified(t, b)
	closed(t, b)
	if isRunning(t, dir) {
		t.Error("a folder that was mended is noted as open")
	}
}

// TestBusyFolderStaysNoted: who finds a folder in use, or cannot open it, takes nobody's note away.
func TestBusyFolderStaysNoted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := open(t, dir)
	if err := openError(dir); !errors.Is(err, ErrBusy) || !isRunning(t, dir) {
		t.Errorf("error %v, noted %v", err, isRunning(t, dir))
	}
	c := add(t, b, AddRequest{Path: sample(t)})
	closed(t, b)
	cutShort(t, dir, c.CID)
	if err := os.Rename(filepath.Join(dir, "mapping"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := openError(dir); !errors.Is(err, ErrDamaged) || !isRunning(t, dir) {
		t.Errorf("error %v, noted %v", err, isRunning(t, dir))
	}
	mapping := filepath.Join(dir, "mapping") // an attempt to open it may have made a folder
	if err := errors.Join(os.RemoveAll(mapping), os.Rename(filepath.Join(dir, "elsewhere"), mapping)); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	if got := listed(t, b); !slices.Equal(got, []string{c.CID}) {
		t.Errorf("at the start there are %q", got)
	}
}
