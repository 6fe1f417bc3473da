package store

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

// A blob that is added whole while a download of it, which believes a wrong
// size, gets its files their final names is not lost to the download's record.
func TestAddedWhileADownloadSettles(t *testing.T) {
	dir := t.TempDir()
	data := pattern(1, 5000)
	h := bao.Sum(data)
	var s *Store
	put := sync.OnceValue(func() error { return s.PutAll(context.Background(), []Whole{{Hash: h, Data: data}}) })
	var moved atomic.Bool
	s = openStore(t, dir, Config{trace: func(op string, _ *os.File, _ string) {
		if op == "rename" {
			moved.Store(true)
		}
		if moved.Load() && op == "sync" { // of the folder
			if err := put(); err != nil {
				t.Error(err)
			}
		}
	}})
	d := download(t, s, h, 1<<20)
	if err := d.WriteLeaf(0, make([]byte, bao.GroupSize)); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil || !moved.Load() {
		t.Fatal(err, moved.Load())
	}
	checkBlob(t, s, h, data)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	syncStore(t, s)
	if data, tmp := files(t, dir); len(data)+len(tmp) > 0 {
		t.Errorf("left: %v %v", data, tmp)
	}
	closeStore(t, s)
	s = openStore(t, dir, Config{})
	checkBlob(t, s, h, data)
	closeStore(t, s)
}

// A small file that is added in place and copied at that moment is the copy.
func TestCopiedWhileAnInPlaceBlobSettles(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	path := dir + "/user"
	data := pattern(2, 5000)
	writeFile(t, path, data)
	h := mustInPlace(t, s, path)
	batch := maps.Clone(s.pending)
	if _, _, err := s.moveFiles(batch); err != nil || len(batch) != 1 {
		t.Fatal(err, batch)
	}
	put(t, s, data)
	if left, err := s.writeRecords(batch, nil); err != nil || len(left) != 1 || len(batch) != 0 {
		t.Fatal(left, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	syncStore(t, s)
	checkBlob(t, s, h, data)
	closeStore(t, s)
}

// What was deleted and added again keeps its files when the first attempt to
// settle both fails behind the move.
func TestTrashSparesWhatWasMoved(t *testing.T) {
	for name, size := range map[string]int{"one file": 100_000, "two files": 4500 << 10} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir, Config{})
			data := pattern(3, size)
			h := put(t, s, data)
			syncStore(t, s)
			if err := s.Delete(h); err != nil {
				t.Fatal(err)
			}
			put(t, s, data)
			if _, _, err := s.moveFiles(maps.Clone(s.pending)); err != nil {
				t.Fatal(err)
			}
			if len(s.trash.Hashes()) != 1 || len(s.pending) != 1 {
				t.Fatal(s.trash.Hashes(), s.pending)
			}
			syncStore(t, s)
			checkBlob(t, s, h, data)
			closeStore(t, s)
			s = openStore(t, dir, Config{})
			checkBlob(t, s, h, data)
			if err := s.Verify(t.Context(), h); err != nil {
				t.Error(err)
			}
			closeStore(t, s)
		})
	}
}

// A partial blob whose outboard has become shorter than its record says is
// begun anew.
func TestPartialWithAShortOutboard(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	data := pattern(4, 4500<<10)
	h := bao.Sum(data)
	d := download(t, s, h, len(data))
	feed(t, d, data, groupSpan(0, 200))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.folder.Outboard(h), 64); err != nil {
		t.Fatal(err)
	}
	d = download(t, s, h, len(data))
	if got := d.Ranges(); len(got) != 0 {
		t.Errorf("claims %v", got)
	}
	feed(t, d, data, bao.All())
	if err := d.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Sync(t.Context()), s.Verify(t.Context(), h)); err != nil {
		t.Error(err)
	}
	if rec, _, err := s.db.Blob(h, false); err != nil || rec.Kind != meta.Stored {
		t.Error(rec.Kind, err)
	}
	closeStore(t, s)
}
