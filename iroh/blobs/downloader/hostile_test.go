package downloader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// double is a provider that does as its answer function says, over real QUIC. The function gets each blobs.Get request with its number,
// from 0, and ends the stream.
type double struct {
	conn   *iroh.Conn // the requester's end
	answer atomic.Pointer[func(n int, request blobs.GetRequest, stream *quic.Stream)]
	asked  atomic.Int64
}

func newDouble(t testing.TB) *double {
	t.Helper()
	d := &double{}
	e := blobstest.Endpoint(t)
	blobstest.Accept(t, e, func(ctx context.Context, conn *iroh.Conn) {
		for {
			stream, err := conn.AcceptStream(ctx)
			if err != nil {
				return
			}
			raw, err := io.ReadAll(stream)
			if err != nil {
				continue
			}
			request, err := blobs.ParseRequest(raw)
			if err != nil {
				t.Error(err)
				continue
			}
			(*d.answer.Load())(int(d.asked.Add(1)-1), request.(blobs.GetRequest), stream)
		}
	})
	d.conn = blobstest.Dial(t, e.Addr())
	return d
}

func (d *double) set(answer func(n int, request blobs.GetRequest, stream *quic.Stream)) {
	d.asked.Store(0)
	d.answer.Store(&answer)
}

// honest is the answer of a good provider that has only data.
func honest(t testing.TB, data []byte, request blobs.GetRequest) []byte {
	var out []byte
	for index, ranges := range request.Ranges.All() {
		if index > 0 {
			break
		}
		out = append(out, blobstest.AnswerFor(t, data, ranges)...)
	}
	return out
}

// files counts the bytes of blobs in a store's folder, as the file system has them.
func files(t testing.TB, dir string) (n int64) {
	t.Helper()
	for _, sub := range []string{"data", "tmp"} {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				n += info.Size()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func openStoreAt(t testing.TB) (*store.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, dir
}

// TestHostileFlip flips one bit somewhere in every answer, the proof of the size included: found within a group, nothing kept.
func TestHostileFlip(t *testing.T) {
	s, dir := openStoreAt(t)
	double := newDouble(t)
	d := New(Config{Store: s, StallTimeout: soon})
	random := rand.New(rand.NewPCG(5, 6))
	for _, size := range []int{1, 1024, 1025, 16384, 16385, 32768, 100000, 300 << 10, 1<<20 + 1} {
		data := blobstest.RandomBytes(uint64(size), size)
		hash := bao.Sum(data)
		for range 25 {
			var at int
			double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
				b := honest(t, data, request)
				at = 8 + random.IntN(len(b)-8)
				b[at] ^= 1 << random.IntN(8)
				blobstest.Send(stream, b)
			})
			_, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
			var mismatch *bao.MismatchError
			if !errors.As(err, &mismatch) || !errors.Is(err, bao.ErrHashMismatch) {
				t.Fatalf("%d bytes, flip at %d: %v", size, at, err)
			}
			blobstest.WantNothing(t, s)
			if n := files(t, dir); n != 0 {
				t.Fatalf("%d bytes, flip at %d: files of %d bytes stay", size, at, n)
			}
		}
	}
}

// TestHostileFlipLate flips a bit of a blob whose size the provider can prove: what verified before is kept, and is right.
func TestHostileFlipLate(t *testing.T) {
	s := blobstest.OpenStore(t)
	double := newDouble(t)
	d := New(Config{Store: s})
	data := blobstest.RandomBytes(7, 300<<10)
	hash := bao.Sum(data)
	double.set(func(n int, request blobs.GetRequest, stream *quic.Stream) {
		b := honest(t, data, request)
		if n == 0 {
			b[len(b)-20000] ^= 1
		}
		blobstest.Send(stream, b)
	})
	first, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
	blobstest.WantErr(t, err, bao.ErrHashMismatch)
	second, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, s, data)
	if first.Bytes == 0 || first.Bytes+second.Bytes != uint64(len(data)) {
		t.Errorf("%d bytes, then %d", first.Bytes, second.Bytes)
	}
}

// TestHostileSize claims wrong sizes: refused, nothing on disk, no memory, whatever encoding follows the claim.
func TestHostileSize(t *testing.T) {
	s, dir := openStoreAt(t)
	double := newDouble(t)
	d := New(Config{Store: s, StallTimeout: soon})
	for _, size := range []uint64{1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 300 << 10, 1 << 20, 1<<20 + 1} {
		data := blobstest.RandomBytes(size, int(size))
		hash := bao.Sum(data)
		for _, claim := range []uint64{0, size - 1, size + 1, size + 16384, size / 2, 2 * size, 1 << 40, 1 << 63, 1<<64 - 1} {
			if claim == size {
				continue
			}
			double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
				b := honest(t, data, request)
				binary.LittleEndian.PutUint64(b, claim)
				blobstest.Send(stream, b)
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			stats, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
			runtime.ReadMemStats(&after)
			if err == nil || stats.Blobs > 0 {
				t.Errorf("%d bytes, %d claimed: no error", size, claim)
			}
			if !errors.Is(err, bao.ErrHashMismatch) && !errors.Is(err, blobs.ErrTruncated) && !errors.Is(err, store.ErrSize) {
				t.Errorf("%d bytes, %d claimed: %v", size, claim, err)
			}
			if grown := after.HeapAlloc - before.HeapAlloc; after.HeapAlloc > before.HeapAlloc && grown > 40<<20 {
				t.Errorf("%d bytes, %d claimed: heap grew by %d", size, claim, grown)
			}
			for status := range s.All() {
				// Truncation keeps what verified, for a provider that can go on; a later one with another size replaces it.
				if !errors.Is(err, blobs.ErrTruncated) {
					t.Errorf("%d bytes, %d claimed: %v left after %v", size, claim, status.State, err)
				}
				if err := s.Delete(status.Hash); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Sync(blobstest.Deadline(t)); err != nil {
				t.Fatal(err)
			}
			if n := files(t, dir); n != 0 {
				t.Fatalf("%d bytes, %d claimed: files of %d bytes stay", size, claim, n)
			}
		}
	}
}

// TestClaimCostsNothing measures what the requester spends on a claim of 2^63 bytes before it is found out.
func TestClaimCostsNothing(t *testing.T) {
	double := newDouble(t)
	for _, claim := range []uint64{1 << 20, 1 << 40, 1 << 63, 1<<64 - 1} {
		b := append(binary.LittleEndian.AppendUint64(nil, claim), make([]byte, 2000)...)
		double.set(func(_ int, _ blobs.GetRequest, stream *quic.Stream) { blobstest.Send(stream, b) })
		// What a pool has lost to the garbage collector is made anew now and then: a claim that costs memory does so every time.
		spent := uint64(math.MaxUint64)
		for tries := 0; spent > 512<<10 && tries < 4; tries++ {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			response, err := blobs.Get(blobstest.Deadline(t), double.conn, blobs.GetRequest{Ranges: blobs.WholeBlob()}, 0)
			if err != nil {
				t.Fatal(err)
			}
			response.Next()
			size, err := response.Open(bao.Sum([]byte("x")))
			if size != claim || err != nil {
				t.Fatal(size, err)
			}
			_, err = response.Item()
			runtime.ReadMemStats(&after)
			blobstest.WantErr(t, err, bao.ErrHashMismatch)
			spent = after.TotalAlloc - before.TotalAlloc
			response.Close()
		}
		if spent > 512<<10 {
			t.Errorf("a claim of %d costs %d bytes", claim, spent)
		}
	}
}

// TestHostileStall sends part of an answer and then nothing.
func TestHostileStall(t *testing.T) {
	s := blobstest.OpenStore(t)
	double := newDouble(t)
	const stall = time.Second
	d := New(Config{Store: s, StallTimeout: stall})
	data := blobstest.RandomBytes(8, 300<<10)
	hash := bao.Sum(data)
	for _, after := range []int{0, 1, 8, 100, 9000, 200_000} {
		double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
			_, _ = stream.Write(honest(t, data, request)[:after])
		})
		start := time.Now()
		_, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
		blobstest.WantErr(t, err, blobs.ErrStalled)
		if took := time.Since(start); took < stall/2 || took > soon {
			t.Errorf("after %d bytes: cut off after %v", after, took)
		}
		status, err := s.Status(hash)
		if err != nil || (status.State == store.Partial) != (after == 200_000) {
			t.Errorf("after %d bytes: %v, %v", after, status.State, err)
		}
	}
}

// TestStallIsNotOurs takes longer than the stall timeout to use what arrived. The provider of a busy machine needs some of it, too.
func TestStallIsNotOurs(t *testing.T) {
	s := blobstest.OpenStore(t)
	data := blobstest.RandomBytes(10, 3<<20)
	conn := blobstest.Dial(t, blobstest.Provide(t, blobs.ProviderConfig{Store: s}))
	response, err := blobs.Get(blobstest.Deadline(t), conn, blobs.GetRequest{Hash: blobstest.Put(t, s, data), Ranges: blobs.WholeBlob()}, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	response.Next()
	if _, err := response.Open(bao.Sum(data)); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		item, err := response.Item()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%150 == 10 {
			time.Sleep(3 * time.Second)
		}
		_ = item
	}
}

// TestHostileEndless goes on after the right answer, for ever.
func TestHostileEndless(t *testing.T) {
	s := blobstest.OpenStore(t)
	double := newDouble(t)
	d := New(Config{Store: s})
	data := blobstest.RandomBytes(11, 50000)
	ended := make(chan error, 1)
	double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
		_, err := stream.Write(honest(t, data, request))
		for junk := make([]byte, 64<<10); err == nil; {
			_, err = stream.Write(junk)
		}
		ended <- err
	})
	stats, err := d.FetchFrom(blobstest.Deadline(t), double.conn, bao.Sum(data), ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, s, data)
	if stats.Received > 200_000 {
		t.Errorf("%d bytes read", stats.Received)
	}
	var stopped *quic.StreamError
	if err := <-ended; !errors.As(err, &stopped) || stopped.ErrorCode != blobs.CodeDropped {
		t.Errorf("provider sees %v", err)
	}
}

// TestHostileSequence sends hash sequences that are too long, or say so.
func TestHostileSequence(t *testing.T) {
	s := blobstest.OpenStore(t)
	double := newDouble(t)
	d := New(Config{Store: s})
	endless := func(claim uint64) func(int, blobs.GetRequest, *quic.Stream) {
		return func(_ int, _ blobs.GetRequest, stream *quic.Stream) {
			b := append(binary.LittleEndian.AppendUint64(nil, claim), make([]byte, 64<<10)...)
			for _, err := stream.Write(b); err == nil; {
				_, err = stream.Write(b)
			}
		}
	}
	root := bao.Sum([]byte("root"))
	for _, c := range []struct {
		claim uint64
		want  error
	}{
		{32 * 100_000_000, blobs.ErrTooLarge}, {32 * (maxChildren + 1), blobs.ErrTooLarge}, {1 << 63, blobs.ErrTooLarge}, {1<<64 - 1, blobs.ErrTooLarge},
		{32 * maxChildren, bao.ErrHashMismatch}, {32, bao.ErrHashMismatch}, {31, bao.ErrHashMismatch},
	} {
		double.set(endless(c.claim))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		stats, err := d.FetchFrom(blobstest.Deadline(t), double.conn, root, ticket.HashSeq, nil)
		runtime.ReadMemStats(&after)
		blobstest.WantErr(t, err, c.want)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
			t.Errorf("claim of %d: %d bytes of memory", c.claim, grown)
		}
		if stats.Received > 1<<20 {
			t.Errorf("claim of %d: %d bytes read", c.claim, stats.Received)
		}
		blobstest.WantNothing(t, s)
	}
	odd := blobstest.RandomBytes(12, 33)
	double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
		blobstest.Send(stream, honest(t, odd, request))
	})
	_, err := d.FetchFrom(blobstest.Deadline(t), double.conn, bao.Sum(odd), ticket.HashSeq, nil)
	blobstest.WantErr(t, err, blobs.ErrHashSeq)
}

// TestHostileChildren sends a good hash sequence and bad children.
func TestHostileChildren(t *testing.T) {
	files := [][]byte{blobstest.RandomBytes(1, 100), blobstest.RandomBytes(2, 100_000), blobstest.RandomBytes(3, 300_000)}
	var seq []byte
	for _, data := range files {
		hash := bao.Sum(data)
		seq = append(seq, hash[:]...)
	}
	good := append(append(blobstest.AnswerFor(t, files[0], bao.All()), blobstest.AnswerFor(t, files[1], bao.All())...), blobstest.AnswerFor(t, files[2], bao.All())...)
	second := 108 + 8 // offset of the second child's encoding
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   error
		kept   int
	}{
		"second flipped":            {func(b []byte) []byte { b[second+40000] ^= 1; return b }, bao.ErrHashMismatch, 1},
		"second claims 2^63":        {func(b []byte) []byte { binary.LittleEndian.PutUint64(b[108:], 1<<63); return b }, bao.ErrHashMismatch, 1},
		"second claims nothing":     {func(b []byte) []byte { binary.LittleEndian.PutUint64(b[108:], 0); return b }, bao.ErrHashMismatch, 1},
		"first sent twice":          {func(b []byte) []byte { return append(bytes.Clone(b[:108]), b...) }, bao.ErrHashMismatch, 1},
		"FIN in place of the third": {func(b []byte) []byte { return b[:108+8+len(blobstest.AnswerFor(t, files[1], bao.All()))-8] }, blobs.ErrNotFound, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := blobstest.OpenStore(t)
			double := newDouble(t)
			d := New(Config{Store: s, StallTimeout: soon})
			double.set(func(n int, request blobs.GetRequest, stream *quic.Stream) {
				switch n {
				case 0:
					blobstest.Send(stream, honest(t, seq, request))
				case 1:
					blobstest.Send(stream, c.change(bytes.Clone(good)))
				default:
					stream.CancelWrite(blobs.CodePermission)
				}
			})
			_, err := d.FetchFrom(blobstest.Deadline(t), double.conn, bao.Sum(seq), ticket.HashSeq, nil)
			blobstest.WantErr(t, err, c.want)
			for i, data := range files {
				status, err := s.Status(bao.Sum(data))
				if err != nil || (status.State == store.Complete) != (i < c.kept) || i >= c.kept && status.State != store.Missing {
					t.Errorf("child %d is %v, %v", i, status.State, err)
				}
			}
		})
	}
}

// TestHostileEnds ends streams and connections in every way in place of an answer.
func TestHostileEnds(t *testing.T) {
	data := blobstest.RandomBytes(13, 1000)
	for name, c := range map[string]struct {
		answer func(conn *iroh.Conn, stream *quic.Stream)
		want   error
	}{
		"FIN":           {func(_ *iroh.Conn, stream *quic.Stream) { _ = stream.Close() }, blobs.ErrNotFound},
		"reset 0":       {func(_ *iroh.Conn, stream *quic.Stream) { stream.CancelWrite(0) }, blobs.ErrNotFound},
		"reset 1":       {func(_ *iroh.Conn, stream *quic.Stream) { stream.CancelWrite(1) }, blobs.ErrRefused},
		"reset 2":       {func(_ *iroh.Conn, stream *quic.Stream) { stream.CancelWrite(2) }, blobs.ErrRefused},
		"reset 3":       {func(_ *iroh.Conn, stream *quic.Stream) { stream.CancelWrite(3) }, blobs.ErrNotFound},
		"FIN in header": {func(_ *iroh.Conn, stream *quic.Stream) { blobstest.Send(stream, make([]byte, 7)) }, blobs.ErrTruncated},
		"header only": {func(_ *iroh.Conn, stream *quic.Stream) {
			blobstest.Send(stream, binary.LittleEndian.AppendUint64(nil, 1000))
		}, blobs.ErrTruncated},
		"part of a leaf": {func(_ *iroh.Conn, stream *quic.Stream) {
			blobstest.Send(stream, blobstest.AnswerFor(t, data, bao.All())[:1000])
		}, blobs.ErrTruncated},
		"connection shut":  {func(conn *iroh.Conn, _ *quic.Stream) { _ = conn.CloseWithError(0, "") }, blobs.ErrLost},
		"connection limit": {func(conn *iroh.Conn, _ *quic.Stream) { _ = conn.CloseWithError(2, "limit") }, blobs.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			s := blobstest.OpenStore(t)
			e := blobstest.Endpoint(t)
			blobstest.Accept(t, e, func(ctx context.Context, conn *iroh.Conn) {
				for {
					stream, err := conn.AcceptStream(ctx)
					if err != nil {
						return
					}
					_, _ = io.ReadAll(stream)
					c.answer(conn, stream)
				}
			})
			d := New(Config{Store: s, Endpoint: blobstest.Endpoint(t)})
			start := time.Now()
			_, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{e.Addr()}, bao.Sum(data), ticket.Raw, nil)
			blobstest.WantErr(t, err, c.want)
			blobstest.WantNothing(t, s)
			if took := time.Since(start); took > soon {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestResumeEveryCut cuts the first answer for a 300 KiB blob at many places, by FIN, reset or refusal to go on, and fetches the rest with
// another call: only groups that were not complete are asked for again.
func TestResumeEveryCut(t *testing.T) {
	s := blobstest.OpenStore(t)
	double := newDouble(t)
	d := New(Config{Store: s})
	data := blobstest.RandomBytes(14, 300<<10)
	hash := bao.Sum(data)
	length := len(blobstest.AnswerFor(t, data, bao.All()))
	var cuts []int
	for cut := 0; cut < length; cut += 6007 {
		cuts = append(cuts, cut)
	}
	for range 25 {
		cuts = append(cuts, rand.IntN(length))
	}
	for _, cut := range cuts {
		double.set(func(n int, request blobs.GetRequest, stream *quic.Stream) {
			if n > 0 {
				stream.CancelWrite(blobs.CodePermission)
				return
			}
			blobstest.Send(stream, honest(t, data, request)[:cut])
		})
		first, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
		if err == nil {
			t.Fatalf("cut at %d: no error", cut)
		}
		double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
			blobstest.Send(stream, honest(t, data, request))
		})
		second, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		blobstest.WantBlob(t, s, data)
		if first.Bytes%bao.GroupSize != 0 || first.Bytes+second.Bytes != uint64(len(data)) {
			t.Fatalf("cut at %d: %d bytes, then %d", cut, first.Bytes, second.Bytes)
		}
		// The path of pairs is the only loss beyond the group that was cut.
		if int(first.Bytes) < cut-bao.GroupSize-8-64*20 {
			t.Fatalf("cut at %d: only %d bytes kept", cut, first.Bytes)
		}
		if err := s.Delete(hash); err != nil {
			t.Fatal(err)
		}
	}
}

// TestResumeByItself goes on after random cuts of every kind within one call.
func TestResumeByItself(t *testing.T) {
	s := blobstest.OpenStore(t)
	random := rand.New(rand.NewPCG(7, 8))
	data := blobstest.RandomBytes(15, 3<<20+77)
	hash := bao.Sum(data)
	e := blobstest.Endpoint(t)
	var sent atomic.Int64
	blobstest.Accept(t, e, func(ctx context.Context, conn *iroh.Conn) {
		for {
			stream, err := conn.AcceptStream(ctx)
			if err != nil {
				return
			}
			raw, _ := io.ReadAll(stream)
			request, err := blobs.ParseRequest(raw)
			if err != nil {
				t.Error(err)
				return
			}
			b := honest(t, data, request.(blobs.GetRequest))
			b = b[:min(len(b), 100_000+random.IntN(400_000))]
			sent.Add(int64(len(b)))
			_, _ = stream.Write(b)
			switch random.IntN(3) {
			case 0:
				_ = stream.Close()
			case 1:
				time.Sleep(100 * time.Millisecond) // for the bytes to get there before the reset
				stream.CancelWrite(blobs.CodeInternal)
			case 2:
				time.Sleep(100 * time.Millisecond)
				_ = conn.CloseWithError(blobs.CodeDropped, "")
				return
			}
		}
	})
	d := New(Config{Store: s, Endpoint: blobstest.Endpoint(t)})
	stats, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{e.Addr()}, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, s, data)
	if stats.Bytes != uint64(len(data)) || stats.Requests < 7 {
		t.Errorf("%+v", stats)
	}
}

// TestResumeOtherSize goes on after a provider whose size was a lie that fitted what it sent.
func TestResumeOtherSize(t *testing.T) {
	s := blobstest.OpenStore(t)
	double := newDouble(t)
	d := New(Config{Store: s, StallTimeout: soon})
	data := blobstest.RandomBytes(16, 300<<10)
	hash := bao.Sum(data)
	lie := func(claim uint64, cut int) {
		double.set(func(n int, request blobs.GetRequest, stream *quic.Stream) {
			if n > 0 {
				stream.CancelWrite(blobs.CodePermission)
				return
			}
			b := honest(t, data, request)
			binary.LittleEndian.PutUint64(b, claim)
			blobstest.Send(stream, b[:cut])
		})
	}
	for _, claim := range []uint64{300<<10 + 16384, 300<<10 - 16384, 300<<10 + 1, 300<<10 - 1} {
		lie(claim, 150_000)
		if _, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil); err == nil {
			t.Fatal("no error")
		}
		if status, err := s.Status(hash); err != nil || status.State != store.Partial || status.Size != claim {
			t.Fatalf("%+v, %v", status, err)
		}
		// Another liar does not get rid of it.
		lie(300<<10+5, 150_000)
		_, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil)
		blobstest.WantErr(t, err, blobs.ErrSize)
		if status, err := s.Status(hash); err != nil || status.State != store.Partial || status.Size != claim {
			t.Fatalf("%+v, %v", status, err)
		}
		double.set(func(_ int, request blobs.GetRequest, stream *quic.Stream) {
			blobstest.Send(stream, honest(t, data, request))
		})
		if _, err := d.FetchFrom(blobstest.Deadline(t), double.conn, hash, ticket.Raw, nil); err != nil {
			t.Fatalf("after a claim of %d: %v", claim, err)
		}
		blobstest.WantBlob(t, s, data)
		if err := s.Delete(hash); err != nil {
			t.Fatal(err)
		}
	}
}
