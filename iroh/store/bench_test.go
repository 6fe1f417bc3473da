package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// diskUse is the blocks that the folder takes, in bytes.
func diskUse(b testing.TB, dir string) int64 {
	var n int64
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += blocksOf(info) * 512
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// peakRSS is the peak resident memory of the process in bytes, 0 if unknown.
func peakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// 10,000 blobs of 4 KiB: committed, and then durable.
func BenchmarkPut10000Small(b *testing.B) {
	data := make([]byte, 4096)
	rnd := rand.NewChaCha8([32]byte{1})
	for range b.N {
		b.StopTimer()
		dir := b.TempDir()
		s := openStore(b, dir, Config{})
		runtime.GC()
		b.StartTimer()
		for range 10_000 {
			_, _ = rnd.Read(data)
			if _, err := s.Put(context.Background(), data); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Sync(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		closeStore(b, s)
		b.ReportMetric(100*(float64(diskUse(b, dir))/40_960_000-1), "%disk-overhead")
		b.ReportMetric(float64(peakRSS())/(1<<20), "MiB-peak-RSS")
		b.StartTimer()
	}
}

// 2,000 files of 20 KiB, each a file of its own: committed, then synced.
func BenchmarkPut2000Medium(b *testing.B) {
	data := pattern(1, 20<<10)
	for range b.N {
		b.StopTimer()
		s := openStore(b, b.TempDir(), Config{})
		b.StartTimer()
		for i := range 2000 {
			data[0], data[1] = byte(i), byte(i>>8)
			if _, err := s.Put(context.Background(), data); err != nil {
				b.Fatal(err)
			}
		}
		commit := b.Elapsed()
		if err := s.Sync(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((b.Elapsed()-commit).Seconds()/float64(b.N), "s-sync")
		b.StopTimer()
		closeStore(b, s)
		b.StartTimer()
	}
}

const gib = 1 << 30

// hashedPieces are the pieces of a blob of 1 GiB that repeats one mebibyte.
func hashedPieces(data []byte) []bao.Piece {
	var pieces []bao.Piece
	for off := uint64(0); off < gib; off += bao.PieceSize {
		pieces = append(pieces, bao.HashPiece(data, off, gib))
	}
	return pieces
}

// A Writer of 1 GiB with the hashing done before.
func BenchmarkWriter1GiB(b *testing.B) {
	data := pattern(1, bao.PieceSize)
	pieces := hashedPieces(data)
	b.SetBytes(gib)
	for range b.N {
		b.StopTimer()
		dir := b.TempDir()
		s := openStore(b, dir, Config{})
		b.StartTimer()
		w, err := s.NewWriter(gib)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range pieces {
			if err := w.Add(p, data); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Commit(context.Background()); err != nil {
			b.Fatal(err)
		}
		commit := b.Elapsed()
		if err := s.Sync(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((b.Elapsed()-commit).Seconds()/float64(b.N), "s-sync")
		b.StopTimer()
		closeStore(b, s)
		b.ReportMetric(100*(float64(diskUse(b, dir))/float64(gib+bao.OutboardSize(gib))-1), "%disk-overhead")
		b.ReportMetric(float64(peakRSS())/(1<<20), "MiB-peak-RSS")
		_ = os.RemoveAll(dir)
		b.StartTimer()
	}
}

// The plain loop that the Writer competes with: 1 MiB writes to one file.
func BenchmarkPlainFile1GiB(b *testing.B) {
	data := pattern(1, bao.PieceSize)
	b.SetBytes(gib)
	for range b.N {
		f, err := os.Create(filepath.Join(b.TempDir(), "f"))
		if err != nil {
			b.Fatal(err)
		}
		for range gib / len(data) {
			if _, err := f.Write(data); err != nil {
				b.Fatal(err)
			}
		}
		if err := errors.Join(f.Sync(), f.Close(), os.Remove(f.Name())); err != nil {
			b.Fatal(err)
		}
	}
}

// A Download of 1 GiB in leaves of 16 KiB; what the receiver has to wait for: alone, and beside one that began at sixteen places and
// then got nothing more.
func BenchmarkDownload1GiB(b *testing.B) {
	b.Run("alone", func(b *testing.B) { benchmarkDownload(b, 0) })
	b.Run("beside a stalled one", func(b *testing.B) { benchmarkDownload(b, 16) })
}

func benchmarkDownload(b *testing.B, stalled int) {
	data := pattern(1, bao.PieceSize)
	tree := bao.NewTree(gib, nil)
	for _, p := range hashedPieces(data) {
		if err := tree.Add(p); err != nil {
			b.Fatal(err)
		}
	}
	h, err := tree.Root()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(gib)
	for range b.N {
		b.StopTimer()
		dir := b.TempDir()
		s := openStore(b, dir, Config{})
		other := download(b, s, bao.Hash{1}, gib)
		for i := range stalled {
			if err := other.WriteLeaf(uint64(i)<<22, data[:bao.GroupSize]); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		d, err := s.Download(h, gib)
		if err != nil {
			b.Fatal(err)
		}
		pair := make([]byte, 64)
		for off := 0; off < gib; off += bao.GroupSize {
			if off > 0 {
				if err := d.WritePair(int64(off/bao.GroupSize-1)*64, pair); err != nil {
					b.Fatal(err)
				}
			}
			at := off % len(data)
			if err := d.WriteLeaf(uint64(off), data[at:at+bao.GroupSize]); err != nil {
				b.Fatal(err)
			}
		}
		if err := d.Complete(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := other.Discard(); err != nil {
			b.Fatal(err)
		}
		closeStore(b, s)
		b.ReportMetric(float64(peakRSS())/(1<<20), "MiB-peak-RSS")
		_ = os.RemoveAll(dir)
		b.StartTimer()
	}
}

// Reading as Bitswap does: open, read one block, close.
func BenchmarkOpenReadBlock(b *testing.B) {
	s := openStore(b, b.TempDir(), Config{})
	size := 256 << 20
	path := filepath.Join(b.TempDir(), "file")
	writeFile(b, path, pattern(1, size))
	inPlace := mustInPlace(b, s, path)
	small := put(b, s, pattern(2, 4096))
	copied := put(b, s, pattern(3, size))
	syncStore(b, s)
	for _, c := range []struct {
		name  string
		h     bao.Hash
		size  int
		block int
	}{{"stored", copied, size, 1 << 20}, {"stored", copied, size, 4096}, {"inplace", inPlace, size, 1 << 20}, {"inline", small, 4096, 4096}} {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.block), func(b *testing.B) {
			buf := make([]byte, c.block)
			rnd := rand.New(rand.NewPCG(1, 2))
			b.SetBytes(int64(c.block))
			b.ReportAllocs()
			for range b.N {
				blob, err := s.Open(c.h)
				if err != nil {
					b.Fatal(err)
				}
				off := int64(rnd.IntN(max(1, c.size-c.block)))
				if c.size == c.block {
					off = 0
				}
				if _, err := blob.ReadAt(buf, off); err != nil {
					b.Fatal(err)
				}
				blob.Close()
			}
		})
	}
}
