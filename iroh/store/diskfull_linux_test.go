package store

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Figure 30: a full disk gives ENOSPC, leaves nothing half, and everything goes
// on when there is room again.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("needs root to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := openStore(t, dir, Config{})
	ctx := context.Background()
	var kept [][]byte
	fill := func(size int, add func(data []byte) error) {
		t.Helper()
		for i := 0; ; i++ {
			data := pattern(len(kept)*1000+i+size, size)
			err := add(data)
			if err == nil {
				kept = append(kept, data)
				continue
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			checkMissing(t, s, bao.Sum(data))
			return
		}
	}
	putOne := func(data []byte) error { _, err := s.Put(ctx, data); return err }
	downloadOne := func(data []byte) error {
		d, err := s.Download(bao.Sum(data), uint64(len(data)))
		if err != nil {
			return err
		}
		if err := feedErr(d, data, bao.All()); err != nil {
			return errors.Join(err, d.Discard())
		}
		if err := d.Complete(ctx); err != nil {
			return errors.Join(err, d.Discard())
		}
		return nil
	}
	for _, add := range []func([]byte) error{putOne, downloadOne} {
		for _, size := range []int{5 << 20, 300_000, 4000} {
			fill(size, add)
			for _, data := range kept {
				checkBlob(t, s, bao.Sum(data), data)
			}
			syncStore(t, s)
			// Room is made with the disk full, and used again.
			for _, data := range kept[:len(kept)/2] {
				if err := s.Delete(bao.Sum(data)); err != nil {
					t.Fatal(err)
				}
			}
			kept = kept[len(kept)/2:]
			syncStore(t, s)
		}
	}
	for _, data := range kept[3:] {
		if err := s.Delete(bao.Sum(data)); err != nil {
			t.Fatal(err)
		}
	}
	kept = kept[:3]
	syncStore(t, s)
	data := pattern(77, 3<<20)
	// The database gives back the space of small blobs when it gets to it.
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err := s.Put(ctx, data); err == nil {
			break
		} else if time.Since(began) > time.Minute || !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	s = openStore(t, dir, Config{})
	for _, data := range append(kept, data) {
		checkBlob(t, s, bao.Sum(data), data)
	}
	if _, tmp := files(t, dir); len(tmp) > 0 {
		t.Fatalf("left in tmp: %v", tmp)
	}
	closeStore(t, s)
}
