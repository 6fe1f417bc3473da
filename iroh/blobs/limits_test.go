package blobs_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// TestLimitConnections opens one connection more than a peer, and than all, may have.
func TestLimitConnections(t *testing.T) {
	s := blobstest.OpenStore(t)
	hash := blobstest.Put(t, s, blobstest.Pattern(1025))
	heard := &blobstest.Recorder{}
	addr := blobstest.Provide(t, blobs.ProviderConfig{Store: s, Events: heard, Limits: provider.Limits{
		All: provider.Limit{Connections: 3}, Peer: provider.Limit{Connections: 2},
	}})
	request := blobs.GetRequest{Hash: hash, Ranges: blobs.WholeBlob()}.Append(nil)
	open := func(e *iroh.Endpoint, want bool) *iroh.Conn {
		t.Helper()
		conn, err := e.Dial(blobstest.Deadline(t), addr, blobs.ALPN)
		if err != nil {
			t.Fatal(err)
		}
		_, end := blobstest.Exchange(t, conn, request, true, 30*time.Second)
		if !want {
			<-conn.Done()
		}
		var closed *quic.ApplicationError
		if want != (end == "FIN") || !want && (!errors.As(context.Cause(conn.Context()), &closed) || closed.ErrorCode != blobs.CodeLimit) {
			t.Fatalf("%s, %v, want it to be let in: %v", end, context.Cause(conn.Context()), want)
		}
		return conn
	}
	first, second, third := blobstest.Endpoint(t), blobstest.Endpoint(t), blobstest.Endpoint(t)
	one := open(first, true)
	open(first, true)
	open(first, false)
	open(second, true)
	open(third, false)
	_ = one.CloseWithError(0, "")
	heard.Of(t, provider.Disconnected, 1)
	open(third, true)
	if n := len(heard.Of(t, provider.Connected, 4)); n != 4 {
		t.Errorf("%d connected", n)
	}
	if n := len(heard.Of(t, provider.Refused, 2)); n != 2 {
		t.Errorf("%d refused", n)
	}
}

// TestLimitRequests asks for more at once, and more often, than is allowed.
func TestLimitRequests(t *testing.T) {
	s := blobstest.OpenStore(t)
	large, small := blobstest.Put(t, s, blobstest.RandomBytes(1, 8<<20)), blobstest.Put(t, s, blobstest.Pattern(100))
	request := blobs.GetRequest{Hash: small, Ranges: blobs.WholeBlob()}.Append(nil)
	conn := blobstest.Dial(t, blobstest.Provide(t, blobs.ProviderConfig{Store: s, Limits: provider.Limits{Peer: provider.Limit{Requests: 3}}}))
	var held []*blobs.Response
	for range 3 { // not read, so they stay
		r, err := blobs.Get(blobstest.Deadline(t), conn, blobs.GetRequest{Hash: large, Ranges: blobs.WholeBlob()}, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.Next()
		if _, err := r.Open(large); err != nil {
			t.Fatal(err)
		}
		held = append(held, r)
	}
	if _, end := blobstest.Exchange(t, conn, request, true, 30*time.Second); end != "Reset(2)" {
		t.Errorf("the fourth: %s", end)
	}
	for _, r := range held {
		r.Close()
	}
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, end := blobstest.Exchange(t, conn, request, true, 30*time.Second); end == "FIN" {
			break
		} else if time.Since(start) > 30*time.Second {
			t.Fatalf("afterwards: %s", end)
		}
	}

	conn = blobstest.Dial(t, blobstest.Provide(t, blobs.ProviderConfig{Store: s, Limits: provider.Limits{Peer: provider.Limit{RequestRate: 50}}}))
	var answered, refused int
	start := time.Now()
	for range 3000 {
		switch _, end := blobstest.Exchange(t, conn, request, true, 30*time.Second); end {
		case "FIN":
			answered++
		case "Reset(2)":
			refused++
		default:
			t.Fatal(end)
		}
	}
	if most := 51 + int(50*time.Since(start).Seconds()); answered > most || answered < 50 || refused == 0 {
		t.Errorf("%d answered of 3,000, at most %d may be", answered, most)
	}
}

// TestLimitBytes fetches at the rate of a peer, while another is not held back by it.
func TestLimitBytes(t *testing.T) {
	s := blobstest.OpenStore(t)
	data := blobstest.RandomBytes(1, 3<<20)
	hash := blobstest.Put(t, s, data)
	addr := blobstest.Provide(t, blobs.ProviderConfig{Store: s, Limits: provider.Limits{Peer: provider.Limit{ByteRate: 2 << 20}}})
	var fetches sync.WaitGroup
	start := time.Now()
	for range 12 { // peers, who would take 17 s if they shared the rate
		fetches.Go(func() {
			d := downloader.New(downloader.Config{Store: blobstest.OpenStore(t), Endpoint: blobstest.Endpoint(t)})
			if _, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil); err != nil {
				t.Error(err)
			}
		})
	}
	fetches.Wait()
	if took := time.Since(start); took < time.Second || took > 15*time.Second {
		t.Errorf("3 MiB at 2 MiB/s took %v", took)
	}
	from := blobstest.OpenStore(t)
	push := blobstest.Put(t, from, blobstest.RandomBytes(2, 3<<20))
	conn := blobstest.Between(t, blobs.ProviderConfig{Store: s, Limits: provider.Limits{All: provider.Limit{ByteRate: 2 << 20}}}, 1<<30)
	start = time.Now()
	if _, err := blobs.Push(blobstest.Deadline(t), conn, blobs.PushConfig{Store: from}, push, ticket.Raw, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < time.Second || took > 30*time.Second {
		t.Errorf("pushing 3 MiB at 2 MiB/s took %v", took)
	}
}

// TestLimitSlowReader reads always a little in time, but less than the least rate.
func TestLimitSlowReader(t *testing.T) {
	s := blobstest.OpenStore(t)
	hash := blobstest.Put(t, s, blobstest.RandomBytes(1, 16<<20))
	conn := blobstest.Dial(t, blobstest.Provide(t, blobs.ProviderConfig{
		Store: s, IdleTimeout: time.Second, Limits: provider.Limits{MinRate: 4 << 20},
	}))
	stream, err := conn.OpenStream(blobstest.Deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = stream.Write(blobs.GetRequest{Hash: hash, Ranges: blobs.WholeBlob()}.Append(nil))
	_ = stream.Close()
	start, n := time.Now(), 0
	for err == nil && time.Since(start) < 15*time.Second {
		var k int
		k, err = io.ReadFull(stream, make([]byte, 128<<10))
		n += k
		time.Sleep(100 * time.Millisecond) // 1.25 MiB/s: no single buffer takes a second
	}
	if end := blobstest.StreamEnd(err); end != "Reset(2)" || n > 14<<20 {
		t.Errorf("%s after %d bytes and %v", end, n, time.Since(start))
	}
}

// TestLimitMemory has 20 peers ask for 40 large blobs each and read none: the buffers stay within the budget, and when they are
// gone a good peer is served.
func TestLimitMemory(t *testing.T) {
	s := blobstest.OpenStore(t)
	hash := blobstest.Put(t, s, blobstest.RandomBytes(1, 4<<20))
	var handled atomic.Int64
	addr := blobstest.Provide(t, blobs.ProviderConfig{
		Store: s, IdleTimeout: time.Minute, Limits: provider.Limits{Memory: 16 << 20},
		Policy: blobstest.PolicyFunc(func(bao.Hash) bool { handled.Add(1); return true }),
	})
	before := heap()
	var conns []*iroh.Conn
	for range 20 {
		conn := blobstest.Dial(t, addr)
		conns = append(conns, conn)
		for range 40 {
			stream, err := conn.OpenStream(blobstest.Deadline(t))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = stream.Write(blobs.GetRequest{Hash: hash, Ranges: blobs.WholeBlob()}.Append(nil))
			_ = stream.Close()
		}
	}
	time.Sleep(time.Second)
	if n := handled.Load(); n == 0 || n > 19 {
		t.Errorf("%d answers at once in 16 MiB", n) // 12 MiB of 640 KiB each
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	// The connections' windows on both ends are in it too.
	if full := heap(); full > before+64<<20 {
		t.Errorf("heap grew by %d MiB", (full-before)>>20)
	}
	d := downloader.New(downloader.Config{Store: blobstest.OpenStore(t), Endpoint: blobstest.Endpoint(t)})
	for _, conn := range conns {
		_ = conn.CloseWithError(0, "")
	}
	if _, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil); err != nil {
		t.Error(err)
	}
}

// TestHostileObservation has a provider send what makes no sense, and items without end.
func TestHostileObservation(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(stream *quic.Stream)
		want   error
	}{
		"nothing":     {func(s *quic.Stream) { _ = s.Close() }, blobs.ErrRefused},
		"refused":     {func(s *quic.Stream) { s.CancelWrite(blobs.CodePermission) }, blobs.ErrRefused},
		"reset 3":     {func(s *quic.Stream) { s.CancelWrite(blobs.CodeInternal) }, blobs.ErrTruncated},
		"falls":       {func(s *quic.Stream) { blobstest.Send(s, []byte{5, 1, 3, 4, 5, 5}) }, blobs.ErrObservation},
		"long":        {func(s *quic.Stream) { blobstest.Send(s, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}) }, blobs.ErrObservation},
		"cut":         {func(s *quic.Stream) { blobstest.Send(s, []byte{5, 0xa0, 0x8d}) }, blobs.ErrTruncated},
		"ends":        {func(s *quic.Stream) { blobstest.Send(s, []byte{2, 0, 0}) }, blobs.ErrTruncated},
		"many pieces": {manyPieces, blobs.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			e := blobstest.Endpoint(t)
			blobstest.Accept(t, e, func(ctx context.Context, conn *iroh.Conn) {
				stream, err := conn.AcceptStream(ctx)
				if err == nil {
					_, _ = io.ReadAll(stream)
					c.answer(stream)
				}
			})
			o, err := blobs.Observe(blobstest.Deadline(t), blobstest.Dial(t, e.Addr()), bao.Sum(nil))
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			for err == nil {
				_, err = o.Next()
			}
			blobstest.WantErr(t, err, c.want)
			if _, again := o.Next(); again != err {
				t.Errorf("then %v", again)
			}
		})
	}
}

// manyPieces says for ever that another chunk is there.
func manyPieces(stream *quic.Stream) {
	const each = 100_000
	for first := uint64(0); ; first += 2 * each {
		item := wire.ObserveItem{Size: 1 << 60}
		for i := range uint64(each) {
			item.Ranges = append(item.Ranges, first+2*i, first+2*i+1)
		}
		if _, err := stream.Write(item.Append(nil)); err != nil {
			return
		}
	}
}
