package blocks

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// TestExplainSaysWhoseFileIsGone: that of the store is fetched again, that of somebody else is put back.
func TestExplainSaysWhoseFileIsGone(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	data := bytes.Repeat([]byte("content"), 10_000)
	own, err := s.Put(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, data[7:], 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.NewInPlaceWriter(file, info)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(bao.HashPiece(data[7:], 0, uint64(info.Size())), nil); err != nil {
		t.Fatal(err)
	}
	foreign, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".data") {
			err = os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[bao.Hash]string{own: "fetch or add it again", foreign: "added in place"} {
		err := s.Verify(t.Context(), hash)
		if err == nil {
			t.Fatalf("%s: its file is gone, and it verifies", want)
		}
		err = Explain(hash, err)
		if !errors.Is(err, naming.ErrVerify) || !strings.Contains(err.Error(), want) || want != "added in place" && strings.Contains(err.Error(), "in place") {
			t.Errorf("%v, want a word of %q", err, want)
		}
	}
}
