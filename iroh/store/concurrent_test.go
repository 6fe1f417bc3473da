package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// Everything at once on a few blobs: whatever is read is right or not there.
func TestEverythingAtOnce(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{OpenFiles: 3})
	ctx := context.Background()
	var blobs [][]byte
	var hashes []bao.Hash
	var outboards [][]byte
	for i, n := range []int{1000, 20_000, 100_000, 700_000, 1<<20 + 1, 257<<14 + 1} {
		blobs = append(blobs, pattern(i, n))
		hashes = append(hashes, bao.Sum(blobs[i]))
		outboards = append(outboards, outboardOf(blobs[i]))
	}
	ops := []func(i int, rnd *rand.Rand) error{
		func(i int, _ *rand.Rand) error { _, err := s.Put(ctx, blobs[i]); return err },
		func(i int, _ *rand.Rand) error { return s.Delete(hashes[i]) },
		func(i int, _ *rand.Rand) error { return s.Sync(ctx) },
		func(i int, _ *rand.Rand) error { return s.Verify(ctx, hashes[i]) },
		func(i int, _ *rand.Rand) error { return s.SetTag("t", hashes[i], 0) },
		func(i int, _ *rand.Rand) error {
			for _, err := range s.All() {
				if err != nil {
					return err
				}
			}
			_, err := s.Status(hashes[i])
			return err
		},
		func(i int, rnd *rand.Rand) error {
			b, err := s.Open(hashes[i])
			if err != nil {
				return err
			}
			defer b.Close()
			p := make([]byte, 1+rnd.IntN(40_000))
			off := rnd.IntN(len(blobs[i]))
			n, err := b.ReadAt(p, int64(off))
			if !bytes.Equal(p[:n], blobs[i][off:off+n]) {
				t.Error("wrong bytes")
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		},
		func(i int, rnd *rand.Rand) error {
			d, err := s.Download(hashes[i], uint64(len(blobs[i])))
			if err != nil {
				return err
			}
			upTo := min(uint64(1+rnd.IntN(300))*16, chunks(len(blobs[i])))
			var enc bytes.Buffer
			ranges := bao.Span(0, upTo)
			if err := bao.Encode(&enc, hashes[i], uint64(len(blobs[i])), bytes.NewReader(blobs[i]), bytes.NewReader(outboards[i]), ranges); err != nil {
				return err
			}
			if err := feedFrom(d, &enc, hashes[i], uint64(len(blobs[i])), ranges); err != nil {
				return err
			}
			if rnd.IntN(2) == 0 {
				err = d.Flush()
			}
			if err == nil && rnd.IntN(2) == 0 {
				if err = d.Complete(ctx); errors.Is(err, ErrIncomplete) {
					err = nil
				}
			}
			if rnd.IntN(3) == 0 {
				return errors.Join(err, d.Discard())
			}
			return errors.Join(err, d.Close())
		},
	}
	var wg sync.WaitGroup
	stop := time.Now().Add(3 * time.Second)
	for w := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 7))
			for time.Now().Before(stop) {
				err := ops[rnd.IntN(len(ops))](rnd.IntN(len(blobs)), rnd)
				switch {
				case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrBusy), errors.Is(err, ErrComplete):
				case errors.Is(err, ErrIncomplete):
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	syncStore(t, s)
	for i, data := range blobs {
		if err := s.Delete(hashes[i]); err != nil {
			t.Fatal(err)
		}
		put(t, s, data)
		checkBlob(t, s, hashes[i], data)
		if err := s.Delete(hashes[i]); err != nil {
			t.Fatal(err)
		}
	}
	syncStore(t, s)
	data, tmp := files(t, s.dirForTest())
	if len(data)+len(tmp) > 0 {
		t.Fatalf("left: %v %v", data, tmp)
	}
	if s.pool.InUse() != 0 {
		t.Fatal("buffers are not given back")
	}
}

// The same blob is added by many at once.
func TestSameBlobAddedAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Config{})
	for _, n := range []int{1000, 100_000, 5 << 20} {
		data := pattern(n, n)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				h, err := s.Put(context.Background(), data)
				if err == nil {
					err = s.Sync(context.Background())
				}
				if err != nil || h != bao.Sum(data) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		checkBlob(t, s, bao.Sum(data), data)
	}
	if data, tmp := files(t, dir); len(data) != 3 || len(tmp) != 0 {
		t.Fatal(data, tmp)
	}
}

// A Sync that waits for another gives up with its context.
func TestSyncWaitsWithItsContext(t *testing.T) {
	s := openStore(t, t.TempDir(), Config{})
	s.settling <- struct{}{}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	<-s.settling
	syncStore(t, s)
}
