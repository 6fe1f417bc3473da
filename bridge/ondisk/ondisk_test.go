package ondisk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
)

func TestList(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "sub", "b", "inner"), 0o755),
		os.WriteFile(filepath.Join(dir, "sub", "c"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "sub", ".a"), nil, 0o000), // is listed, whoever may read it
		os.Symlink("../nowhere", filepath.Join(dir, "sub", "d")),
		os.Symlink(".", filepath.Join(dir, "sub", "e")), // a folder is not followed
	); err != nil {
		t.Fatal(err)
	}
	s := &Source{Root: dir}
	got, err := s.List(t.Context(), "sub")
	if err != nil {
		t.Fatal(err)
	}
	want := []recording.Item{
		{Name: ".a"}, {Name: "b", Kind: unixfs.KindDirectory}, {Name: "c"},
		{Name: "d", Kind: unixfs.KindSymlink, Target: "../nowhere"}, {Name: "e", Kind: unixfs.KindSymlink, Target: "."},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.List(t.Context(), "gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is gone: %v", err)
	}
	if _, err := s.File(t.Context(), nil, "gone", recording.Item{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is gone: %v", err)
	}
}

func TestKindName(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		fs.ModeNamedPipe: "a named pipe", fs.ModeSocket: "a socket", fs.ModeDevice: "a device",
		fs.ModeDevice | fs.ModeCharDevice: "a device", fs.ModeIrregular: "something special",
	} {
		if got := KindName(mode | 0o644); got != want {
			t.Errorf("%v is %s, want %s", mode, got, want)
		}
	}
}
