package pebble

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/mappingtest"
)

// benchRow makes row n of a large index: 1 MiB leaves, 1,000 to a blob.
func benchRow(n uint64) mapping.Block {
	var in [8]byte
	binary.LittleEndian.PutUint64(in[:], n)
	d := sha256.Sum256(in[:])
	m := append(mh.Multihash{mh.SHA2_256, 32}, d[:]...)
	binary.LittleEndian.PutUint64(in[:], n/1000)
	return mapping.Block{Multihash: m, Blob: sha256.Sum256(in[:]), Offset: n % 1000 << 20, Length: 1 << 20}
}

func fillRows(tb testing.TB, s *Store, n uint64) {
	tb.Helper()
	tx, err := s.Begin(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		if err := tx.Block(benchRow(i)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tx.Commit(context.Background(), mappingtest.Link(1)); err != nil {
		tb.Fatal(err)
	}
}

func size(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		n += info.Size()
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// BenchmarkInsert puts a million rows in one transaction, and tells the bytes
// that each takes when all is compacted.
func BenchmarkInsert(b *testing.B) {
	const rows = 1_000_000
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		s := openConfig(b, dir, Config{})
		b.StartTimer()
		fillRows(b, s, rows)
		b.StopTimer()
		if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size(b, dir))/rows, "B/row")
		b.StartTimer()
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkBlock(b *testing.B) {
	const rows = 1_000_000
	s := openConfig(b, b.TempDir(), Config{})
	fillRows(b, s, rows)
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
		b.Fatal(err)
	}
	hits, misses := make([]mh.Multihash, 1<<14), make([]mh.Multihash, 1<<14)
	for i := range hits {
		hits[i] = benchRow(uint64(i) * 61 % rows).Multihash
		misses[i] = benchRow(rows + uint64(i)).Multihash
	}
	for name, keys := range map[string][]mh.Multihash{"hit": hits, "miss": misses} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if _, err := s.Block(context.Background(), keys[i%len(keys)]); (err == nil) != (name == "hit") {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// BenchmarkCommit commits links of one block and one reference each: what a
// folder of small files costs when each is added by itself.
func BenchmarkCommit(b *testing.B) {
	s := openConfig(b, b.TempDir(), Config{})
	n := uint64(0)
	for b.Loop() {
		n++
		tx, err := s.Begin(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(tx.Block(benchRow(n)), tx.Ref(mappingtest.Hash(n), cid.Undef)); err != nil {
			b.Fatal(err)
		}
		if err := tx.Commit(context.Background(), mappingtest.Link(n)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRef(b *testing.B) {
	s := openConfig(b, b.TempDir(), Config{})
	tx, err := s.Begin(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Abort()
	n := uint64(0)
	for b.Loop() {
		n++
		if err := tx.Ref(mappingtest.Hash(n), mappingtest.CID(cid.Raw, n)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestFigures holds what rows cost: 100,000 rows a second where the machine is
// its own (a tenth of that is asked here, for slow and busy ones), less than 100
// bytes for each, at most 40 MB of memory.
func TestFigures(t *testing.T) {
	const rows = 500_000
	dir := t.TempDir()
	s := openConfig(t, dir, Config{})
	begun := time.Now()
	fillRows(t, s, rows)
	if d := time.Since(begun); rows/d.Seconds() < 10_000 {
		t.Errorf("%d rows in %v", rows, d)
	} else {
		t.Logf("%.0f rows/s", rows/d.Seconds())
	}
	m := s.db.Metrics()
	memory := m.MemTable.Size + uint64(m.BlockCache.Size) + uint64(m.FileCache.Size) + m.MemTable.ZombieSize
	runtime.GC()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	t.Logf("memory: %d MiB of the engine, %d MiB of heap", memory>>20, heap.HeapAlloc>>20)
	if memory > 40_000_000 {
		t.Errorf("%d bytes of memory", memory)
	}
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := size(t, dir); n > 100*rows {
		t.Errorf("%d bytes for %d rows", n, rows)
	} else {
		t.Logf("%.1f bytes a row", float64(n)/rows)
	}
}
