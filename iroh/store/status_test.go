package store

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Statuses says of each of many blobs what Status says of it, in whatever state they are, in memory or in the database.
func TestStatusesAreThoseOfEach(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	hashes := []bao.Hash{bao.EmptyHash(), bao.Sum([]byte("missing"))}
	for i, size := range []int{1, 1024, 16 << 10, 16<<10 + 1, 300_000} {
		hashes = append(hashes, put(t, s, pattern(i, size)))
	}
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, pattern(20, 200_000))
	hashes = append(hashes, mustInPlace(t, s, file))
	kept := pattern(30, 200_000)
	d := download(t, s, bao.Sum(kept), len(kept))
	feed(t, d, kept, groupSpan(1, 3))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	hashes = append(hashes, bao.Sum(kept))
	check := func(when string) {
		t.Helper()
		asked := slices.Concat(hashes, hashes[1:4]) // some of them twice
		got, err := s.Statuses(asked)
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range asked {
			want, err := s.Status(h)
			if err != nil || !reflect.DeepEqual(got[i], want) {
				t.Errorf("%s, blob %d: %+v, want %+v, %v", when, i, got[i], want, err)
			}
		}
	}
	check("at once")
	syncStore(t, s)
	check("synced")
	again := download(t, s, bao.Sum(kept), len(kept))
	feed(t, again, kept, groupSpan(5, 6))
	begun := pattern(31, 200_000)
	fresh := download(t, s, bao.Sum(begun), len(begun))
	feed(t, fresh, begun, groupSpan(2, 4))
	hashes = append(hashes, bao.Sum(begun))
	check("while some come in")
	for _, d := range []*Download{again, fresh} {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(hashes[3]); err != nil {
		t.Fatal(err)
	}
	check("one deleted")
	closeStore(t, s)
	if _, err := s.Statuses(hashes); err == nil {
		t.Error("a closed store tells")
	}
	s = openStore(t, dir, Config{})
	defer closeStore(t, s)
	check("opened again")
	if all, err := s.Statuses(nil); err != nil || len(all) != 0 {
		t.Errorf("of nothing: %v, %v", all, err)
	}
}
