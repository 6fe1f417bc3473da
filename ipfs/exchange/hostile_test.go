package exchange

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap/message"
	pb "github.com/ipfs/boxo/bitswap/message/pb"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/host"
)

// TestBadBlocks: a peer that says it has every block and sends other bytes,
// under the CID that was asked for and in the old form without one, never gets
// one of them taken; an honest peer's block is.
func TestBadBlocks(t *testing.T) {
	honest, b := start(t, Config{}), start(t, Config{})
	var sent atomic.Int64
	var liar *speaker
	liar = newSpeaker(t, func(p peer.ID, m message.BitSwapMessage) {
		out := message.New(false)
		for _, e := range m.Wantlist() {
			if e.Cancel {
				continue
			}
			if e.WantType == pb.Message_Wantlist_Have {
				out.AddHave(e.Cid)
			}
			for range 10 {
				data := random(uint64(sent.Add(1)), 100)
				blk := message.New(false) // a message holds one block for each CID
				blk.AddBlock(forged(e.Cid, data))
				say(context.Background(), liar.h.LibP2P(), p, blk)
			}
		}
		say(context.Background(), liar.h.LibP2P(), p, out)
	})
	connect(t, b.h, liar.h, "/tcp/")
	s := session(t, b.Exchange, liar.h.ID())
	cids := honest.blocks.addMany(t, 200, 1000)
	s.Prefetch(cids)
	if data, err := s.Block(timeout(t, time.Second), cids[0]); err == nil {
		t.Fatalf("%d bytes from the liar", len(data))
	}
	if sent.Load() < 300 {
		t.Fatalf("the liar sent %d blocks", sent.Load())
	}
	connect(t, b.h, honest.h, "/tcp/")
	for i, c := range cids {
		wantBlock(t, s, c, random(uint64(i), 1000))
	}
}

// TestUnwantedBlocks is figure 19: ten thousand blocks that nobody asked for and
// that are not what their CIDs say, a thousand that are too large, and five
// hundred with CIDs of every refused kind leave nothing behind.
func TestUnwantedBlocks(t *testing.T) {
	b := start(t, Config{})
	s := session(t, b.Exchange)
	waiting := sum(t, 1, cid.Raw, mh.SHA2_256, []byte("wanted"))
	s.Prefetch([]cid.Cid{waiting})
	loud := newSpeaker(t, func(peer.ID, message.BitSwapMessage) {})
	connect(t, loud.h, b.h, "/tcp/")
	var msgs []message.BitSwapMessage
	for i := range 100 {
		m := message.New(false)
		for j := range 100 {
			data := random(uint64(i*100+j), 64)
			c := sum(t, 1, cid.Raw, mh.SHA2_256, append(data, byte(j%2))) // none is right
			m.AddBlock(forged(c, data))
		}
		msgs = append(msgs, m)
	}
	large := message.New(false)
	big := make([]byte, maxBlock+1)
	large.AddBlock(forged(sum(t, 1, cid.Raw, mh.SHA2_256, big), big))
	for range 1000 {
		msgs = append(msgs, large)
	}
	refused := message.New(false)
	for i, codes := 0, []uint64{mh.SHA1, mh.MD5, mh.MURMUR3X64_64, mh.IDENTITY}; i < 500; i++ {
		data := random(uint64(i), 200)
		c, err := cid.Prefix{Version: 1, Codec: cid.Raw, MhType: codes[i%len(codes)], MhLength: -1}.Sum(data)
		if err != nil {
			t.Fatal(err)
		}
		refused.AddBlock(forged(c, data))
	}
	msgs = append(msgs, refused)
	before := heap()
	for _, m := range msgs {
		// A message that is not liked ends its stream only.
		if err := say(timeout(t, 20*time.Second), loud.h.LibP2P(), b.h.ID(), m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 60*time.Second, "the messages are read", func() bool {
		st, err := b.bs.Stat()
		return err == nil && st.MessagesReceived >= uint64(len(msgs))
	})
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	s.mu.Lock()
	if len(s.wants) != 1 || s.held != 0 {
		t.Errorf("%d wants, %d bytes held", len(s.wants), s.held)
	}
	s.mu.Unlock()
	if len(b.blocks.m) != 0 {
		t.Errorf("%d blocks stored", len(b.blocks.m))
	}
	good := start(t, Config{})
	good.blocks.add(t, []byte("wanted"))
	connect(t, b.h, good.h, "/tcp/")
	wantBlock(t, s, waiting, []byte("wanted"))
}

// TestLargeBlock: a block of the right CID and beyond 2 MiB is refused.
func TestLargeBlock(t *testing.T) {
	b := start(t, Config{})
	big := make([]byte, maxBlock+1)
	c := sum(t, 1, cid.Raw, mh.SHA2_256, big)
	var giant *speaker
	giant = newSpeaker(t, func(p peer.ID, m message.BitSwapMessage) {
		out := message.New(false)
		out.AddBlock(forged(c, big))
		say(context.Background(), giant.h.LibP2P(), p, out)
	})
	connect(t, b.h, giant.h, "/tcp/")
	s := session(t, b.Exchange)
	if data, err := s.Block(timeout(t, 10*time.Second), c); err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.String())) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestWantlistFlood is figure 18: a hundred peers with ten thousand wants each.
func TestWantlistFlood(t *testing.T) {
	peers, wants, perMessage := 100, 10000, 1000
	if testing.Short() {
		peers = 20
	}
	a := start(t, Config{})
	var msgs []message.BitSwapMessage
	for i := range wants / perMessage {
		m := message.New(false)
		for j := range perMessage {
			d := sum(t, 1, cid.Raw, mh.SHA2_256, random(uint64(i*perMessage+j), 8))
			m.AddEntry(d, int32(j), pb.Message_Wantlist_Block, true)
		}
		msgs = append(msgs, m)
	}
	before := heap()
	var hosts []*host.Host
	var wg sync.WaitGroup
	for range peers {
		sp := newSpeaker(t, func(peer.ID, message.BitSwapMessage) {})
		hosts = append(hosts, sp.h)
		connect(t, sp.h, a.h, "/tcp/")
	}
	speakers := heap() - before
	for _, h := range hosts {
		wg.Go(func() {
			if err := say(timeout(t, 60*time.Second), h.LibP2P(), a.h.ID(), msgs...); err != nil {
				t.Errorf("say: %v", err)
			}
		})
	}
	wg.Wait()
	eventually(t, 60*time.Second, "all peers' wants are counted", func() bool {
		for _, h := range hosts {
			n := len(a.bs.WantlistForPeer(h.ID()))
			if n > 1024 {
				t.Fatalf("%d wants kept for a peer", n)
			}
			if n < 1024 {
				return false
			}
		}
		return true
	})
	if grown := heap() - before - speakers; grown > 128<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	} else {
		t.Logf("the heap grew by %d MiB", grown>>20)
	}
	for _, h := range hosts {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, 2*time.Minute, "what was on its way is read", func() bool {
		st, err := a.bs.Stat()
		return err == nil && st.MessagesReceived >= uint64(peers*wants/perMessage)
	})
	eventually(t, 20*time.Second, "nothing is kept of peers that have gone", func() bool {
		for _, h := range hosts {
			if len(a.bs.WantlistForPeer(h.ID())) != 0 {
				return false
			}
		}
		return true
	})
}

// TestOutstandingBytes: a peer that wants much and reads nothing makes us read
// little.
func TestOutstandingBytes(t *testing.T) {
	a := start(t, Config{})
	cids := a.blocks.addMany(t, 200, 256<<10)
	stuck := startHost(t, host.Config{})
	release := make(chan struct{})
	defer close(release)
	stuck.LibP2P().SetStreamHandler(bitswap120, func(st network.Stream) {
		<-release
		st.Reset()
	})
	connect(t, stuck, a.h, "/tcp/")
	m := message.New(true)
	for i, c := range cids {
		m.AddEntry(c, int32(i), pb.Message_Wantlist_Block, true)
	}
	if err := say(timeout(t, 10*time.Second), stuck.LibP2P(), a.h.ID(), m); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "something is sent", func() bool { return a.blocks.reads.Load() > 0 })
	time.Sleep(time.Second)
	// 1 MiB outstanding, and what the workers have in their hands.
	if n := a.blocks.reads.Load(); n > 16 {
		t.Errorf("%d blocks of 256 KiB were read for a peer that takes none", n)
	}
}

// TestLongCIDs: a want for a CID of more than 168 bytes is dropped.
func TestLongCIDs(t *testing.T) {
	a := start(t, Config{})
	sp := newSpeaker(t, func(peer.ID, message.BitSwapMessage) {})
	connect(t, sp.h, a.h, "/tcp/")
	long, err := mh.Encode(random(1, 200), mh.SHA2_512)
	if err != nil {
		t.Fatal(err)
	}
	short := sum(t, 1, cid.Raw, mh.SHA2_256, []byte("x"))
	m := message.New(false)
	m.AddEntry(cid.NewCidV1(cid.Raw, long), 1, pb.Message_Wantlist_Block, true)
	m.AddEntry(short, 1, pb.Message_Wantlist_Block, true)
	if err := say(timeout(t, 10*time.Second), sp.h.LibP2P(), a.h.ID(), m); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the other want is kept", func() bool { return len(a.bs.WantlistForPeer(sp.h.ID())) > 0 })
	if got := a.bs.WantlistForPeer(sp.h.ID()); len(got) != 1 || got[0] != short {
		t.Errorf("kept %v", got)
	}
}

// TestGarbage: bytes that are no message end the stream and nothing else.
func TestGarbage(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, b.h, a.h, "/tcp/")
	for i := range 200 {
		st, err := b.h.LibP2P().NewStream(timeout(t, 10*time.Second), a.h.ID(), bitswap120)
		if err != nil {
			t.Fatal(err)
		}
		w := msgio.NewVarintWriter(st)
		switch i % 4 {
		case 0:
			err = w.WriteMsg(random(uint64(i), 1+i*50))
		case 1:
			_, err = st.Write(bytes.Repeat([]byte{0xff}, 20)) // a length of 2^64
		case 2:
			_, err = st.Write([]byte{0x80, 0x80, 0x80, 0x40, 1, 2, 3}) // a length of 128 MiB
		case 3:
			_, err = st.Write([]byte{10, 1}) // a length and then the end
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			st.Reset()
		} else {
			st.Close()
		}
	}
	c := a.blocks.add(t, []byte("still serving"))
	wantBlock(t, session(t, b.Exchange), c, []byte("still serving"))
}
