package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

func download(t testing.TB, s *Store, h bao.Hash, size int) *Download {
	t.Helper()
	d, err := s.Download(h, uint64(size))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// feed sends some chunks of the blob to the download, as a verified stream.
func feed(t testing.TB, d *Download, data []byte, ranges bao.Ranges) {
	t.Helper()
	if err := feedErr(d, data, ranges); err != nil {
		t.Fatal(err)
	}
}

func feedErr(d *Download, data []byte, ranges bao.Ranges) error {
	var enc bytes.Buffer
	h, size := bao.Sum(data), uint64(len(data))
	if err := bao.Encode(&enc, h, size, bytes.NewReader(data), bytes.NewReader(outboardOf(data)), ranges); err != nil {
		return err
	}
	return feedFrom(d, &enc, h, size, ranges)
}

// feedFrom sends a verified stream to the download.
func feedFrom(d *Download, enc io.Reader, h bao.Hash, size uint64, ranges bao.Ranges) error {
	dec := bao.NewDecoder(enc, h, size, ranges)
	for {
		item, err := dec.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case item.Kind == bao.Leaf:
			err = d.WriteLeaf(item.Offset, item.Data)
		default:
			err = d.WritePair(item.OutboardOffset, item.Data)
		}
		if err != nil {
			return err
		}
	}
}

// groupSpan is the chunks of the groups first to last-1.
func groupSpan(first, last uint64) bao.Ranges { return bao.Span(first*16, last*16) }

func TestDownloadAllSizes(t *testing.T) {
	ctx := context.Background()
	for _, inline := range []int{0, -1} {
		for _, synced := range []bool{false, true} {
			dir := t.TempDir()
			s := openStore(t, dir, Config{InlineMax: inline})
			for i, n := range sizes[1:] {
				data := pattern(i, n)
				h := bao.Sum(data)
				d := download(t, s, h, n)
				if err := d.Complete(ctx); !errors.Is(err, ErrIncomplete) {
					t.Fatal(err)
				}
				feed(t, d, data, bao.All())
				if synced {
					if err := d.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				if got := d.Ranges(); len(got) != 2 || got[0] != 0 {
					t.Fatalf("ranges %v", got)
				}
				if err := d.Complete(ctx); err != nil {
					t.Fatal(n, err)
				}
				checkBlob(t, s, h, data)
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				if err := d.WriteLeaf(0, data); err == nil {
					t.Fatal("written after the end")
				}
				if _, err := s.Download(h, uint64(n)); !errors.Is(err, ErrComplete) {
					t.Fatal(err)
				}
				syncStore(t, s)
				checkBlob(t, s, h, data)
			}
			closeStore(t, s)
			if _, tmp := files(t, dir); len(tmp) != 0 {
				t.Fatalf("left in tmp: %v", tmp)
			}
			s = openStore(t, dir, Config{})
			for i, n := range sizes[1:] {
				checkBlob(t, s, bao.Sum(pattern(i, n)), pattern(i, n))
			}
			closeStore(t, s)
		}
	}
}

// A download is cut at many places, the store closed and opened, and goes on
// with exactly what is missing.
func TestDownloadResumes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{40_000, 3 << 20, 257<<14 + 1, 9<<20 + 5} {
		dir := t.TempDir()
		data := pattern(n, n)
		h := bao.Sum(data)
		groups := uint64(n+bao.GroupSize-1) / bao.GroupSize
		s := openStore(t, dir, Config{})
		have := bao.Ranges(nil)
		for round := 0; ; round++ {
			d := download(t, s, h, n)
			if !d.Ranges().Equal(have) {
				t.Fatalf("round %d: %v instead of %v", round, d.Ranges(), have)
			}
			checkPartial(t, s, data, have)
			missing := bao.Span(0, chunks(n)).Subtract(have)
			if missing.IsEmpty() {
				if err := d.Complete(context.Background()); err != nil {
					t.Fatal(err)
				}
				break
			}
			from := missing[0]/16 + rnd.Uint64N(3)
			part := groupSpan(from, from+1+rnd.Uint64N(groups/3+1)).Intersect(missing)
			if round > 20 {
				part = missing
			}
			feed(t, d, data, part)
			have = have.Union(part)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			checkPartial(t, s, data, have)
			closeStore(t, s)
			s = openStore(t, dir, Config{})
			checkPartial(t, s, data, have)
			if err := s.Verify(context.Background(), h); len(have) > 0 && err != nil {
				t.Fatal(err)
			}
		}
		checkBlob(t, s, h, data)
		closeStore(t, s)
		s = openStore(t, dir, Config{})
		checkBlob(t, s, h, data)
		closeStore(t, s)
	}
}

func chunks(n int) uint64 { return uint64(n+1023) / 1024 }

// checkPartial compares what can be read of a partial blob with what should.
func checkPartial(t testing.TB, s *Store, data []byte, have bao.Ranges) {
	t.Helper()
	h := bao.Sum(data)
	st, err := s.Status(h)
	if err != nil || !st.Ranges.Equal(have) || (st.State != Partial && len(have) > 0) {
		t.Fatalf("status %+v instead of %v, %v", st, have, err)
	}
	if len(have) == 0 {
		return
	}
	b, err := s.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	buf := make([]byte, bao.GroupSize)
	for off := 0; off < len(data); off += bao.GroupSize {
		n := min(bao.GroupSize, len(data)-off)
		got, err := b.ReadAt(buf[:n], int64(off))
		if have.Contains(uint64(off / 1024)) {
			if err != nil || !bytes.Equal(buf[:got], data[off:off+n]) {
				t.Fatalf("at %d: %d bytes, %v", off, got, err)
			}
		} else if got != 0 || !errors.Is(err, ErrIncomplete) {
			t.Fatalf("at %d, not there: %d bytes, %v", off, got, err)
		}
	}
	if err := bao.Encode(io.Discard, h, uint64(len(data)), b, b.Outboard(), have); err != nil {
		t.Fatalf("what is there cannot be served: %v", err)
	}
	if len(have) > 2 || have[0] != 0 {
		if err := bao.Encode(io.Discard, h, uint64(len(data)), b, b.Outboard(), bao.All()); !errors.Is(err, ErrIncomplete) && !errors.Is(err, bao.ErrCorrupt) {
			t.Fatalf("what is not there was served: %v", err)
		}
	}
}

func TestDownloadIsReadableWhileItGoesOn(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	data := pattern(1, 9<<20)
	h := bao.Sum(data)
	d := download(t, s, h, len(data))
	b, err := s.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrIncomplete) {
		t.Fatal(err)
	}
	for i := uint64(0); i < 9; i++ {
		feed(t, d, data, groupSpan(64*i, 64*i+64))
		if i%3 == 2 {
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := b.Ranges(); !got.Equal(groupSpan(0, 64*i+64)) {
				t.Fatal(got)
			}
			if err := bao.Encode(io.Discard, h, uint64(len(data)), b, b.Outboard(), b.Ranges()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Complete(context.Background()); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(b, 0, 1<<40))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatal(len(got), err)
	}
	checkBlob(t, s, h, data)
}

func TestDownloadOneAtATime(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	data := pattern(1, 100_000)
	h := bao.Sum(data)
	d := download(t, s, h, len(data))
	if _, err := s.Download(h, uint64(len(data))); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	if err := s.Delete(h); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	feed(t, d, data, bao.All())
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
	checkMissing(t, s, h)
	d = download(t, s, h, len(data))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	checkMissing(t, s, h) // nothing came, nothing is kept
	d = download(t, s, h, len(data))
	feed(t, d, data, groupSpan(0, 2))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	checkPartial(t, s, data, groupSpan(0, 2))
	d = download(t, s, h, len(data))
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
	checkMissing(t, s, h)
	syncStore(t, s)
	if data, tmp := files(t, s.dirForTest()); len(data)+len(tmp) != 0 {
		t.Fatal(data, tmp)
	}
}

// dirForTest is the store's folder.
func (s *Store) dirForTest() string { return filepath.Dir(s.folder.Meta()) }

func TestDownloadSizeClaims(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	n := 1 << 20
	data := pattern(1, n)
	h := bao.Sum(data)
	for _, size := range []uint64{0, 1 << 61, 1 << 63, 1<<64 - 1} {
		if _, err := s.Download(h, size); !errors.Is(err, ErrSize) {
			t.Fatalf("%d: %v", size, err)
		}
	}
	// A lie that nothing supports costs nothing and leaves nothing.
	d := download(t, s, h, 1<<59)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	checkMissing(t, s, h)
	// A lie under which something was kept: a hostile provider can prove a left
	// part of the tree under a wrong size.
	d = download(t, s, h, 2*n)
	if err := d.WritePair(64, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteLeaf(0, data[:16384]); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	// The other size takes its place when something of it is kept, not before.
	d = download(t, s, h, n)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Status(h); err != nil || st.Size != uint64(2*n) || !st.Ranges.Equal(groupSpan(0, 1)) {
		t.Fatal(st, err)
	}
	d = download(t, s, h, n)
	if len(d.Ranges()) != 0 {
		t.Fatal(d.Ranges())
	}
	feed(t, d, data, groupSpan(63, 64))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	checkPartial(t, s, data, groupSpan(63, 64))
	// Now the last group is there: no other size can be true.
	if _, err := s.Download(h, uint64(2*n)); !errors.Is(err, ErrSize) {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = openStore(t, dir, Config{})
	if _, err := s.Download(h, uint64(n+1)); !errors.Is(err, ErrSize) {
		t.Fatal(err)
	}
	checkPartial(t, s, data, groupSpan(63, 64))
	d = download(t, s, h, n)
	feed(t, d, data, bao.All())
	if err := d.Complete(context.Background()); err != nil {
		t.Fatal(err)
	}
	checkBlob(t, s, h, data)
}

func TestDownloadRefusesWhatDoesNotFit(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	n := 100_000
	data := pattern(1, n)
	d := download(t, s, bao.Sum(data), n)
	defer d.Discard()
	leaves := []struct {
		off uint64
		n   int
	}{{1, 16384}, {1024, 16384}, {0, 0}, {0, 1024}, {0, 16385}, {98304, 1695}, {98304, 1697}, {114688, 1}, {1 << 63, 16384}, {1<<64 - 16384, 16384}}
	for _, l := range leaves {
		if err := d.WriteLeaf(l.off, make([]byte, l.n)); err == nil {
			t.Errorf("leaf of %d at %d", l.n, l.off)
		}
	}
	for _, p := range []struct {
		off int64
		n   int
	}{{-64, 64}, {1, 64}, {0, 63}, {0, 65}, {384, 64}, {1 << 62, 64}} {
		if err := d.WritePair(p.off, make([]byte, p.n)); err == nil {
			t.Errorf("pair of %d at %d", p.n, p.off)
		}
	}
	// Data without pairs is not a blob.
	if err := d.WriteLeaf(0, data); err != nil {
		t.Fatal(err)
	}
	if err := d.Complete(context.Background()); !errors.Is(err, ErrIncomplete) {
		t.Fatal(err)
	}
	feed(t, d, data, bao.All())
	if err := d.Complete(context.Background()); err != nil {
		t.Fatal(err)
	}
	checkBlob(t, s, bao.Sum(data), data)
}

// Several streams fetch parts of one blob, each also the beginning of the next one's part; more streams than there are runs.
func TestDownloadConcurrently(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	n := 24<<20 + 17
	data := pattern(1, n)
	h := bao.Sum(data)
	d := download(t, s, h, n)
	const streams = 20
	step := (chunks(n)/16 + streams) / streams
	var wg sync.WaitGroup
	for i := range uint64(streams) {
		wg.Go(func() {
			if err := feedErr(d, data, groupSpan(i*step, (i+1)*step+step/2).Intersect(bao.Span(0, chunks(n)))); err != nil {
				t.Error(err)
			}
		})
	}
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := d.Flush(); err != nil {
				t.Error(err)
				return
			}
			d.Ranges()
			b, err := s.Open(h)
			if err != nil {
				t.Error(err)
				return
			}
			if err := bao.Encode(io.Discard, h, uint64(n), b, b.Outboard(), b.Ranges()); err != nil && len(b.Ranges()) > 0 {
				t.Error(err)
			}
			b.Close()
			if len(d.Ranges()) == 2 && d.Ranges()[1] == chunks(n) && d.Ranges()[0] == 0 {
				return
			}
		}
	})
	wg.Wait()
	close(stop)
	if err := d.Complete(context.Background()); err != nil {
		t.Fatal(err)
	}
	checkBlob(t, s, h, data)
	if s.pool.InUse() != 0 {
		t.Fatal("buffers are not given back")
	}
}

// More downloads than there are buffers: all of them get on.
func TestDownloadsWithoutBuffers(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	n := 3 << 20
	var all []*Download
	var data [][]byte
	for i := range 10 {
		data = append(data, pattern(i, n))
		d := download(t, s, bao.Sum(data[i]), n)
		for part := range uint64(4) { // four open runs each
			feed(t, d, data[i], groupSpan(part*40, part*40+5))
		}
		all = append(all, d)
	}
	for i, d := range all {
		feed(t, d, data[i], bao.All())
	}
	for i, d := range all {
		if err := d.Complete(context.Background()); err != nil {
			t.Fatal(err)
		}
		checkBlob(t, s, bao.Sum(data[i]), data[i])
	}
}

// The blob is added whole while it is being downloaded.
func TestDownloadIsOvertaken(t *testing.T) {
	for _, n := range []int{5000, 100_000, 5 << 20} {
		for _, flushed := range []bool{false, true} {
			for _, synced := range []bool{false, true} {
				for _, end := range []string{"complete", "close", "discard", "store"} {
					dir := t.TempDir()
					s := openStore(t, dir, Config{})
					data := pattern(n, n)
					h := bao.Sum(data)
					d := download(t, s, h, n)
					feed(t, d, data, groupSpan(0, 1))
					if flushed {
						if err := d.Flush(); err != nil {
							t.Fatal(err)
						}
					}
					put(t, s, data)
					if synced {
						syncStore(t, s)
					}
					checkBlob(t, s, h, data)
					var err error
					switch end {
					case "complete":
						feed(t, d, data, bao.All())
						if err = d.Flush(); err == nil {
							err = d.Complete(context.Background())
						}
					case "close":
						feed(t, d, data, groupSpan(0, 2).Intersect(bao.Span(0, chunks(n))))
						err = d.Close()
					case "discard":
						err = d.Discard()
					}
					if err != nil {
						t.Fatal(err)
					}
					checkBlob(t, s, h, data)
					closeStore(t, s)
					s = openStore(t, dir, Config{})
					checkBlob(t, s, h, data)
					closeStore(t, s)
				}
			}
		}
	}
}

func TestPartialWithoutItsFilesBeginsAnew(t *testing.T) {
	for _, spoil := range []func(path string) error{
		os.Remove,
		func(path string) error { return os.Truncate(path, 100) },
	} {
		dir := t.TempDir()
		s := openStore(t, dir, Config{})
		data := pattern(1, 5<<20)
		h := bao.Sum(data)
		d := download(t, s, h, len(data))
		feed(t, d, data, groupSpan(0, 100))
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if err := spoil(s.folder.Data(h)); err != nil {
			t.Fatal(err)
		}
		d = download(t, s, h, len(data))
		if len(d.Ranges()) != 0 {
			t.Fatal(d.Ranges())
		}
		feed(t, d, data, bao.All())
		if err := d.Complete(context.Background()); err != nil {
			t.Fatal(err)
		}
		checkBlob(t, s, h, data)
	}
}
