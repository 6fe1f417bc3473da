package exchange

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	mh "github.com/multiformats/go-multihash"
)

// sizes is the ladder of block sizes.
var sizes = []int{0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 1 << 20, 1<<20 + 1, maxBlock}

func TestTwoHosts(t *testing.T) {
	for _, transport := range []string{"/tcp/", "/quic-v1"} {
		t.Run(transport, func(t *testing.T) {
			a, b := start(t, Config{}), start(t, Config{})
			connect(t, b.h, a.h, transport)
			s := session(t, b.Exchange, a.h.ID())
			for _, n := range sizes {
				data := random(1, n)
				for _, c := range []cid.Cid{
					sum(t, 1, cid.Raw, mh.SHA2_256, data), sum(t, 1, cid.Raw, mh.BLAKE3, data),
					sum(t, 1, cid.DagCBOR, mh.SHA2_512, data), sum(t, 0, 0, mh.SHA2_256, data),
				} {
					wantBlock(t, s, a.blocks.put(c, data), data)
				}
			}
			if got := a.h.LibP2P().Network().ConnsToPeer(b.h.ID()); len(got) != 1 || !strings.Contains(got[0].RemoteMultiaddr().String(), transport) {
				t.Errorf("connections: %v", got)
			}
		})
	}
}

// TestSessionConnects: the session dials a preferred peer by itself, before and
// after the want.
func TestSessionConnects(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	c := a.blocks.add(t, []byte("hello"))
	b.h.LibP2P().Peerstore().AddAddrs(a.h.ID(), a.h.LibP2P().Addrs(), time.Hour)
	s := session(t, b.Exchange, a.h.ID(), b.h.ID())
	if !b.h.LibP2P().ConnManager().IsProtected(a.h.ID(), s.name) {
		t.Error("the preferred peer is not protected")
	}
	wantBlock(t, s, c, []byte("hello"))
	s.Close()
	if b.h.LibP2P().ConnManager().IsProtected(a.h.ID(), s.name) {
		t.Error("the preferred peer is protected after the session")
	}
}

// TestLatePeer: a block is found at a peer that connects while a session waits.
func TestLatePeer(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	c := a.blocks.add(t, []byte("late"))
	s := session(t, b.Exchange)
	got := make(chan error, 1)
	go func() {
		data, err := s.Block(context.Background(), c)
		if err == nil && string(data) != "late" {
			err = errors.New("wrong bytes")
		}
		got <- err
	}()
	time.Sleep(50 * time.Millisecond)
	connect(t, a.h, b.h, "/tcp/")
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestLocalBlocks(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{Stall: 3 * time.Second})
	connect(t, a.h, b.h, "/tcp/")
	data := []byte("at home")
	c := b.blocks.add(t, data)
	s := session(t, b.Exchange)
	s.Prefetch([]cid.Cid{c})
	wantBlock(t, s, c, data)
	if a.blocks.asks.Load() != 0 {
		t.Error("a peer was asked for a block that is here")
	}
	// A local block that has gone bad is fetched instead.
	b.blocks.put(c, []byte("tampered"))
	a.blocks.put(c, data)
	s2 := session(t, b.Exchange)
	wantBlock(t, s2, c, data)
	// And the bad one is all there is:
	only := sum(t, 1, cid.Raw, mh.SHA2_256, []byte("nowhere"))
	b.blocks.put(only, []byte("tampered"))
	if _, err := s2.Block(context.Background(), only); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestSingleFlight(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, a.h, b.h, "/tcp/")
	data := random(1, 100000)
	c := a.blocks.add(t, data)
	s := session(t, b.Exchange)
	s.Prefetch([]cid.Cid{c, c})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got, err := s.Block(timeout(t, time.Minute), c)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	// Those who came when it had been taken fetched it anew, one after the other
	// at most: far fewer than who asked.
	if n := a.blocks.reads.Load(); n > 10 {
		t.Errorf("50 callers cost %d reads at the peer", n)
	}
}

func TestNotFound(t *testing.T) {
	const stall = 3 * time.Second
	a, b := start(t, Config{}), start(t, Config{Stall: stall})
	connect(t, a.h, b.h, "/tcp/")
	c := sum(t, 1, cid.Raw, mh.SHA2_256, []byte("nobody has it"))
	s := session(t, b.Exchange, a.h.ID())
	begun := time.Now()
	_, err := s.Block(context.Background(), c)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), c.String()) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begun); d < stall || d > 10*stall {
		t.Errorf("after %v", d)
	}
	// The want stands: when the peer has come to have the block, it sends it.
	eventually(t, time.Minute, "the want is there", func() bool { return a.Wants() == 1 })
	a.blocks.put(c, []byte("nobody has it"))
	if err := a.Notify(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	wantBlock(t, s, c, []byte("nobody has it"))
	if err := a.Notify(context.Background(), sum(t, 1, cid.Raw, mh.SHA2_256, []byte("nor this"))); err == nil {
		t.Error("notify of a block that is not here: no error")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Block(ctx, sum(t, 1, cid.Raw, mh.SHA2_256, []byte("nor this"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestSessionEnds(t *testing.T) {
	b := start(t, Config{})
	c := sum(t, 1, cid.Raw, mh.SHA2_256, []byte("nobody has it"))
	ctx, cancel := context.WithCancel(context.Background())
	testEnd(t, "its context ends", b.Session(ctx, nil), c, func(*Session) { cancel() })
	s := b.Session(context.Background(), nil)
	testEnd(t, "the session is closed", s, c, func(s *Session) { s.Close() })
	s = b.Session(context.Background(), nil)
	testEnd(t, "the exchange is closed", s, c, func(*Session) { b.Close() })
	s = b.Session(context.Background(), nil)
	if _, err := s.Block(context.Background(), c); !errors.Is(err, ErrClosed) {
		t.Errorf("session of a closed exchange: %v", err)
	}
	s.Prefetch([]cid.Cid{c})
	s.Close()
}

func testEnd(t *testing.T, name string, s *Session, c cid.Cid, end func(*Session)) {
	t.Helper()
	s.Prefetch([]cid.Cid{sum(t, 1, cid.Raw, mh.SHA2_256, []byte("in advance"))})
	got := make(chan error, 1)
	go func() {
		_, err := s.Block(context.Background(), c)
		got <- err
	}()
	time.Sleep(50 * time.Millisecond)
	end(s)
	select {
	case err := <-got:
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("%s: Block does not return", name)
	}
	if _, err := s.Block(context.Background(), c); !errors.Is(err, ErrClosed) {
		t.Errorf("%s, then Block: %v", name, err)
	}
	s.Close()
	s.Close()
}

// TestRefusedCIDs: neither fetched nor served, with an error that names the CID.
func TestRefusedCIDs(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, a.h, b.h, "/tcp/")
	s := session(t, b.Exchange)
	encode := func(code uint64, n int) cid.Cid {
		m, err := mh.Encode(bytes.Repeat([]byte{1}, n), code)
		if err != nil {
			t.Fatal(err)
		}
		return cid.NewCidV1(cid.Raw, m)
	}
	for name, c := range map[string]cid.Cid{
		"sha1":                    sum(t, 1, cid.Raw, mh.SHA1, []byte("x")),
		"md5":                     encode(mh.MD5, 16),
		"murmur3":                 encode(mh.MURMUR3X64_64, 8),
		"murmur3 padded":          encode(mh.MURMUR3X64_64, 32),
		"sha2-256 cut to 16":      encode(mh.SHA2_256, 16),
		"sha2-256 of 19":          encode(mh.SHA2_256, 19),
		"blake3 of 129":           encode(mh.BLAKE3, 129),
		"identity of 129":         encode(mh.IDENTITY, 129),
		"identity of 4096":        encode(mh.IDENTITY, 4096),
		"unknown hash":            encode(0x300001, 32),
		"CID of more than 168":    encode(mh.SHA2_512, 200),
		"blake2b of 18 (too low)": encode(mh.BLAKE2B_MIN+17, 18),
	} {
		a.blocks.put(c, []byte("x"))
		b.blocks.put(c, []byte("x"))
		_, err := s.Block(context.Background(), c)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.String()) {
			t.Errorf("%s: fetched: %v", name, err)
		}
		if _, err := a.local.GetSize(context.Background(), c); !ipld.IsNotFound(err) {
			t.Errorf("%s: size served: %v", name, err)
		}
		if _, err := a.local.Get(context.Background(), c); !ipld.IsNotFound(err) {
			t.Errorf("%s: served: %v", name, err)
		}
		if has, err := a.local.Has(context.Background(), c); has || err != nil {
			t.Errorf("%s: had: %v, %v", name, has, err)
		}
		s.Prefetch([]cid.Cid{c})
	}
	if _, err := s.Block(context.Background(), cid.Undef); !errors.Is(err, ErrRefused) {
		t.Errorf("undefined: %v", err)
	}
	for _, n := range []int{0, 1, 128} {
		c := encode(mh.IDENTITY, n)
		wantBlock(t, s, c, bytes.Repeat([]byte{1}, n))
		blk, err := a.local.Get(context.Background(), c)
		if err != nil || len(blk.RawData()) != n {
			t.Errorf("identity of %d: %v", n, err)
		}
		if size, err := a.local.GetSize(context.Background(), c); err != nil || size != max(n, 1) {
			t.Errorf("identity of %d: size %d, %v", n, size, err)
		}
	}
	if a.blocks.asks.Load()+a.blocks.reads.Load()+b.blocks.asks.Load()+b.blocks.reads.Load() != 0 {
		t.Error("the blocks were asked for a CID that is refused")
	}
}

// TestNotServed: blocks that are too large, or that cannot be read, are not
// there for a peer.
func TestNotServed(t *testing.T) {
	a := start(t, Config{})
	ctx := context.Background()
	big := a.blocks.add(t, make([]byte, maxBlock+1))
	missing := sum(t, 1, cid.Raw, mh.SHA2_256, []byte("missing"))
	for name, c := range map[string]cid.Cid{"too large": big, "missing": missing} {
		if _, err := a.local.GetSize(ctx, c); !ipld.IsNotFound(err) {
			t.Errorf("%s: size: %v", name, err)
		}
		if _, err := a.local.Get(ctx, c); !ipld.IsNotFound(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := blockstore{blocks: failing{}, log: a.cfg.Logger}
	if _, err := broken.Get(ctx, missing); !ipld.IsNotFound(err) {
		t.Errorf("unreadable: %v", err)
	}
	if has, err := broken.Has(ctx, missing); has || err != nil {
		t.Errorf("unreadable: %v, %v", has, err)
	}
	_, errKeys := a.local.AllKeysChan(ctx)
	for name, err := range map[string]error{
		"put": a.local.Put(ctx, nil), "put many": a.local.PutMany(ctx, nil),
		"delete": a.local.DeleteBlock(ctx, big), "all keys": errKeys,
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

type failing struct{}

func (failing) Block(context.Context, cid.Cid) ([]byte, error)  { return nil, errors.New("the disk") }
func (failing) BlockSize(context.Context, cid.Cid) (int, error) { return 0, errors.New("the disk") }

// TestNoStart: what New refuses.
func TestNoStart(t *testing.T) {
	h := startHost(t, hostConfig())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, cfg := range map[string]Config{
		"no host": {Blocks: newMemory()}, "no blocks": {Host: h}, "cancelled": {Host: h, Blocks: newMemory()},
	} {
		if x, err := New(ctx, cfg); err == nil {
			t.Errorf("%s: no error", name)
			x.Close()
		}
	}
}
