package exchange

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap/message"
	pb "github.com/ipfs/boxo/bitswap/message/pb"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/host"
)

// A gatherer is a peer that wants blocks and keeps those that it gets.
type gatherer struct {
	*speaker
	mu  sync.Mutex
	got map[cid.Cid]int
}

func newGatherer(t *testing.T) *gatherer {
	g := &gatherer{got: map[cid.Cid]int{}}
	g.speaker = newSpeaker(t, func(_ peer.ID, m message.BitSwapMessage) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, blk := range m.Blocks() {
			g.got[blk.Cid()]++
		}
	})
	return g
}

// want asks a node for blocks, and for one that the node has, which shows that it answers.
func (g *gatherer) want(t *testing.T, n *node, cids []cid.Cid) {
	t.Helper()
	connect(t, g.h, n.h, "/tcp/")
	m := message.New(false)
	for i, c := range append(cids, n.blocks.add(t, []byte("for the gatherer"))) {
		m.AddEntry(c, int32(i), pb.Message_Wantlist_Block, true)
	}
	if err := say(timeout(t, time.Minute), g.h.LibP2P(), n.h.ID(), m); err != nil {
		t.Fatal(err)
	}
}

// gotOnlyThat checks that the one block came, and no other.
func (g *gatherer) gotOnlyThat(t *testing.T) {
	t.Helper()
	c := sum(t, 1, cid.Raw, mh.SHA2_256, []byte("for the gatherer"))
	eventually(t, time.Minute, "the block that is there is served", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.got[c] > 0
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.got) != 1 {
		t.Errorf("%d blocks were passed on", len(g.got)-1)
	}
}

// TestBadBlocks: ten thousand blocks whose bytes are not those of CIDs that are wanted just then, from a peer that says
// it has them all, each with its CID's prefix or in the old form without one. None is taken, none is passed on to a
// peer that wants them too, under the CID or under the one that the bytes have; an honest peer's blocks are taken.
func TestBadBlocks(t *testing.T) {
	const wanted, times = 32, 320 // boxo asks for no more at a time as long as none comes
	honest, b := start(t, Config{}), start(t, Config{})
	cids := honest.blocks.addMany(t, wanted, 1000)
	asked := make(chan cid.Cid, 10*wanted)
	liar := newSpeaker(t, func(_ peer.ID, m message.BitSwapMessage) {
		for _, e := range m.Wantlist() {
			if !e.Cancel {
				select {
				case asked <- e.Cid:
				default:
				}
			}
		}
	})
	connect(t, b.h, liar.h, "/tcp/")
	s := session(t, b.Exchange, liar.h.ID())
	s.Prefetch(cids)
	waiting := map[cid.Cid]bool{}
	for len(waiting) < wanted {
		select {
		case c := <-asked:
			waiting[c] = true
		case <-time.After(time.Minute):
			t.Fatalf("%d blocks were asked for", len(waiting))
		}
	}
	var real []cid.Cid // what the bytes hash to
	var msgs []message.BitSwapMessage
	for i := range times {
		m := message.New(false)
		for j, c := range cids {
			data := random(uint64(1_000_000+i*wanted+j), 100)
			if i == 0 {
				real = append(real, sum(t, 1, cid.Raw, mh.SHA2_256, data))
				m.AddHave(c)
			} else {
				m.AddBlock(forged(c, data))
			}
		}
		msgs = append(msgs, m)
	}
	third := newGatherer(t)
	third.want(t, b, append(append([]cid.Cid{}, cids...), real...))
	for i, m := range msgs {
		if err := sayIn(timeout(t, time.Minute), liar.h.LibP2P(), b.h.ID(), i%4 == 3, m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, "ten thousand blocks are read", func() bool {
		st, err := b.bs.Stat()
		return err == nil && st.BlocksReceived >= wanted*(times-1)
	})
	if data, err := s.Block(timeout(t, time.Second), cids[0]); err == nil {
		t.Fatalf("%d bytes from the liar", len(data))
	}
	s.mu.Lock()
	if len(s.wants) != wanted || s.held != 0 {
		t.Errorf("%d wants, %d bytes held", len(s.wants), s.held)
	}
	s.mu.Unlock()
	third.gotOnlyThat(t)
	connect(t, b.h, honest.h, "/tcp/")
	for i, c := range cids {
		wantBlock(t, s, c, random(uint64(i), 1000))
	}
}

// refusedBlocks makes blocks whose CIDs are of every kind that is refused, with the bytes that belong to them.
func refusedBlocks(t *testing.T, n int) (out []blocks.Block) {
	t.Helper()
	for i := range n {
		kind := []cid.Prefix{
			{MhType: mh.SHA1, MhLength: -1}, {MhType: mh.MD5, MhLength: -1}, {MhType: mh.MURMUR3X64_64, MhLength: -1},
			{MhType: mh.IDENTITY, MhLength: -1}, // of 200 bytes: more than may be inlined, and a CID of more than 168
			{MhType: mh.SHA2_256, MhLength: 16}, {MhType: mh.SHA2_512, MhLength: 19}, {MhType: mh.BLAKE3, MhLength: 8},
		}[i%7]
		kind.Version, kind.Codec = 1, cid.Raw
		data := random(uint64(i), 200)
		c, err := kind.Sum(data)
		if err != nil {
			t.Fatal(err)
		}
		if kind.MhLength > 0 && len(c.Hash()) > 24 {
			t.Fatalf("%s has no short digest", c)
		}
		if err := CheckCID(c); err == nil {
			t.Fatalf("%s is not refused", c)
		}
		out = append(out, forged(c, data))
	}
	return out
}

// TestUnwantedBlocks: ten thousand blocks that nobody asked for, a thousand that are too large, and five hundred with CIDs
// of every refused kind leave nothing behind and are not passed on.
func TestUnwantedBlocks(t *testing.T) {
	b := start(t, Config{})
	s := session(t, b.Exchange)
	waiting := sum(t, 1, cid.Raw, mh.SHA2_256, []byte("wanted"))
	big := make([]byte, maxBlock+1)
	tooLarge := sum(t, 1, cid.Raw, mh.SHA2_256, big)
	s.Prefetch([]cid.Cid{waiting})
	loud := newSpeaker(t, func(peer.ID, message.BitSwapMessage) {})
	connect(t, loud.h, b.h, "/tcp/")
	wants := []cid.Cid{tooLarge}
	var msgs []message.BitSwapMessage
	for i := range 100 {
		m := message.New(false)
		for j := range 100 {
			data := random(uint64(i*100+j), 64)
			c := sum(t, 1, cid.Raw, mh.SHA2_256, append(data, byte(j%2))) // none is right
			if i == 0 {
				wants = append(wants, c)
			}
			m.AddBlock(forged(c, data))
		}
		msgs = append(msgs, m)
	}
	large := message.New(false)
	large.AddBlock(forged(tooLarge, big))
	for range 1000 {
		msgs = append(msgs, large)
	}
	refused := message.New(false)
	for _, blk := range refusedBlocks(t, 500) {
		wants = append(wants, blk.Cid())
		refused.AddBlock(blk)
	}
	msgs = append(msgs, refused)
	third := newGatherer(t)
	third.want(t, b, wants)
	before := heap()
	for _, m := range msgs {
		// A message that is not liked ends its stream only.
		if err := say(timeout(t, time.Minute), loud.h.LibP2P(), b.h.ID(), m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 3*time.Minute, "the messages are read", func() bool {
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
	third.gotOnlyThat(t)
	if len(b.blocks.m) != 1 { // the gatherer's
		t.Errorf("%d blocks stored", len(b.blocks.m)-1)
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
	runtime.GC() // what is in pools goes with the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestWantlistFlood: a hundred peers with ten thousand wants each.
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
			if err := say(timeout(t, 3*time.Minute), h.LibP2P(), a.h.ID(), msgs...); err != nil {
				t.Errorf("say: %v", err)
			}
		})
	}
	wg.Wait()
	eventually(t, 3*time.Minute, "all peers' wants are counted", func() bool {
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
	// What is on its way is here as well, on both ends, and on few cores nearly all of it at the same time.
	flying := heap() - before - speakers
	if flying > 384<<20 {
		t.Errorf("the heap grew by %d MiB", flying>>20)
	}
	eventually(t, 5*time.Minute, "what was on its way is read", func() bool {
		st, err := a.bs.Stat()
		return err == nil && st.MessagesReceived >= uint64(peers*wants/perMessage)
	})
	kept := int64(0)
	eventually(t, time.Minute, "no more than 64 MiB are kept of the peers", func() bool {
		kept = heap() - before - speakers
		return kept <= 64<<20
	})
	t.Logf("the heap grew by %d MiB, of which %d were kept", flying>>20, kept>>20)
	for _, h := range hosts {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, time.Minute, "nothing is kept of peers that have gone", func() bool {
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
	if err := say(timeout(t, time.Minute), stuck.LibP2P(), a.h.ID(), m); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "something is sent", func() bool { return a.blocks.reads.Load() > 0 })
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
	if err := say(timeout(t, time.Minute), sp.h.LibP2P(), a.h.ID(), m); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the other want is kept", func() bool { return len(a.bs.WantlistForPeer(sp.h.ID())) > 0 })
	if got := a.bs.WantlistForPeer(sp.h.ID()); len(got) != 1 || got[0] != short {
		t.Errorf("kept %v", got)
	}
}

// TestGarbage: bytes that are no message end the stream and nothing else.
func TestGarbage(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	connect(t, b.h, a.h, "/tcp/")
	for i := range 200 {
		st, err := b.h.LibP2P().NewStream(timeout(t, time.Minute), a.h.ID(), bitswap120)
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
