package downloader

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// onDisk is how many bytes of the disk the blobs in a store's folder take, holes not counted.
func onDisk(t *testing.T, dir string) (n int64) {
	t.Helper()
	for _, sub := range []string{"data", "tmp"} {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				n += allocated(info)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestHostileSizeCostsNothing claims wrong sizes and measures what that costs before anything is cleaned up: no more of the disk than
// the bytes that verified, and no more memory than the truth plus a mebibyte.
func TestHostileSizeCostsNothing(t *testing.T) {
	// Of the disk: the last group and each of the pairs may be in a block of the file system of its own.
	const memory, pairs, block = 1 << 20, 64, 4096
	s, dir := openStoreAt(t)
	double := newDouble(t)
	d := New(Config{Store: s, StallTimeout: soon})
	for _, size := range []uint64{16385, 100_000, 300 << 10, 1<<20 + 1, 5 << 20} {
		data := blobstest.RandomBytes(size, int(size))
		hash := bao.Sum(data)
		whole := blobstest.AnswerFor(t, data, bao.All())
		fetch := func(claim uint64) (stats Stats, spent uint64, err error) {
			double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
				b := whole
				if !isWhole(request) {
					b = honest(t, data, request)
				}
				_, _ = stream.Write(binary.LittleEndian.AppendUint64(nil, claim))
				blobstest.Send(stream, b[8:])
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			stats, err = d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
			runtime.ReadMemStats(&after)
			return stats, after.TotalAlloc - before.TotalAlloc, err
		}
		_, truth, err := fetch(size)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Delete(hash), s.Sync(blobstest.Deadline(t))); err != nil {
			t.Fatal(err)
		}
		for _, claim := range []uint64{0, size - 1, size + 1, size - size%16384, size + 16384, size / 2, 2 * size, 1 << 30, 1 << 40, 1 << 63, 1<<64 - 1} {
			if claim == size {
				continue
			}
			stats, spent, err := fetch(claim)
			if err == nil || stats.Blobs > 0 {
				t.Errorf("%d bytes, %d claimed: no error", size, claim)
			}
			if n, most := onDisk(t, dir), int64(stats.Bytes)+block+pairs*block; stats.Bytes == 0 && n > 0 || n > most {
				t.Errorf("%d bytes, %d claimed: %d verified, and %d on disk", size, claim, stats.Bytes, n)
			}
			// What a pool has lost to the garbage collector is made anew now and then: a lie that costs memory does so every time.
			for tries := 1; spent > truth+memory && tries < 4; tries++ {
				if err := errors.Join(s.Delete(hash), s.Sync(blobstest.Deadline(t))); err != nil {
					t.Fatal(err)
				}
				_, spent, _ = fetch(claim)
			}
			if spent > truth+memory {
				t.Errorf("%d bytes, %d claimed: %d bytes of memory, where the truth takes %d", size, claim, spent, truth)
			}
			if err := errors.Join(s.Delete(hash), s.Sync(blobstest.Deadline(t))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// isWhole tells whether a request is for a blob from beginning to end.
func isWhole(request blobs.GetRequest) bool {
	for index, ranges := range request.Ranges.All() {
		return index == 0 && ranges.Contains(0) && ranges.Contains(1<<50)
	}
	return false
}
