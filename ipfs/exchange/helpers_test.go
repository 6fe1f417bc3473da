package exchange

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap/message"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	mh "github.com/multiformats/go-multihash"
	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/ipfs/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bitswap120 = protocol.ID("/ipfs/bitswap/1.2.0")

// memory is a source of blocks that counts what is asked of it.
type memory struct {
	mu          sync.Mutex
	m           map[string][]byte // by multihash
	reads, asks atomic.Int64
}

func newMemory() *memory { return &memory{m: make(map[string][]byte)} }

func (m *memory) put(c cid.Cid, data []byte) cid.Cid {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[string(c.Hash())] = data
	return c
}

func (m *memory) get(c cid.Cid) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.m[string(c.Hash())]
	if !ok {
		return nil, fmt.Errorf("%s: %w", c, ErrNotFound)
	}
	return data, nil
}

func (m *memory) Block(_ context.Context, c cid.Cid) ([]byte, error) {
	data, err := m.get(c)
	if err == nil {
		m.reads.Add(1)
	}
	return data, err
}

func (m *memory) BlockSize(_ context.Context, c cid.Cid) (int, error) {
	m.asks.Add(1)
	data, err := m.get(c)
	return len(data), err
}

// add adds a raw block.
func (m *memory) add(t testing.TB, data []byte) cid.Cid {
	t.Helper()
	return m.put(sum(t, 1, cid.Raw, mh.SHA2_256, data), data)
}

// addMany adds n random blocks of a size.
func (m *memory) addMany(t testing.TB, n, size int) []cid.Cid {
	t.Helper()
	var out []cid.Cid
	for i := range n {
		out = append(out, m.add(t, random(uint64(i), size)))
	}
	return out
}

func random(seed uint64, size int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(size), byte(size >> 8), byte(size >> 16)})
	out := make([]byte, size)
	r.Read(out)
	return out
}

func sum(t testing.TB, version, codec, code uint64, data []byte) cid.Cid {
	t.Helper()
	m, err := mh.Sum(data, code, -1)
	if err != nil {
		t.Fatal(err)
	}
	if version == 0 {
		return cid.NewCidV0(m)
	}
	return cid.NewCidV1(codec, m)
}

// node is an exchange with its host.
type node struct {
	*Exchange
	h      *host.Host
	blocks *memory
}

func start(t testing.TB, cfg Config) *node {
	t.Helper()
	return startOn(t, cfg, host.Config{})
}

func startOn(t testing.TB, cfg Config, hcfg host.Config) *node {
	t.Helper()
	n := &node{h: startHost(t, hcfg), blocks: newMemory()}
	cfg.Host = n.h
	if cfg.Blocks == nil {
		cfg.Blocks = n.blocks
	}
	x, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Exchange = x
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

func startHost(t testing.TB, cfg host.Config) *host.Host {
	t.Helper()
	cfg.Local = true
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	h, err := host.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close host: %v", err)
		}
	})
	return h
}

// addr returns the host's address with a transport.
func addr(t testing.TB, h *host.Host, transport string) string {
	t.Helper()
	for _, a := range h.Addrs() {
		if strings.Contains(a, transport) {
			return a
		}
	}
	t.Fatalf("no %s address among %v", transport, h.Addrs())
	return ""
}

func connect(t testing.TB, from, to *host.Host, transport string) {
	t.Helper()
	if err := from.Connect(timeout(t, time.Minute), addr(t, to, transport)); err != nil {
		t.Fatal(err)
	}
}

func timeout(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func session(t testing.TB, x *Exchange, peers ...peer.ID) *Session {
	t.Helper()
	s := x.Session(context.Background(), peers)
	t.Cleanup(s.Close)
	return s
}

func wantBlock(t testing.TB, s *Session, c cid.Cid, want []byte) {
	t.Helper()
	got, err := s.Block(timeout(t, time.Minute), c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("block %s: got %d bytes, want %d", c, len(got), len(want))
	}
}

// speaker is a peer that speaks Bitswap message by message: it says what a test
// makes it say.
type speaker struct {
	h *host.Host
}

// newSpeaker makes a speaker that calls answer for each message it gets.
func newSpeaker(t testing.TB, answer func(p peer.ID, m message.BitSwapMessage)) *speaker {
	t.Helper()
	s := &speaker{h: startHost(t, host.Config{})}
	s.h.LibP2P().SetStreamHandler(bitswap120, func(st network.Stream) {
		defer st.Reset()
		r := msgio.NewVarintReaderSize(st, network.MessageSizeMax)
		for {
			m, _, err := message.FromMsgReader(r)
			if err != nil {
				return
			}
			answer(st.Conn().RemotePeer(), m)
		}
	})
	return s
}

// say sends messages to a peer on one stream.
func say(ctx context.Context, h libhost.Host, p peer.ID, msgs ...message.BitSwapMessage) error {
	return sayIn(ctx, h, p, false, msgs...)
}

// sayIn sends messages in the form of today, or in the old one, which has blocks without their CIDs' prefixes.
func sayIn(ctx context.Context, h libhost.Host, p peer.ID, old bool, msgs ...message.BitSwapMessage) error {
	st, err := h.NewStream(ctx, p, bitswap120)
	if err != nil {
		return err
	}
	defer st.Close()
	for _, m := range msgs {
		if old {
			err = m.ToNetV0(st)
		} else {
			err = m.ToNetV1(st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forged is a block whose bytes are not those of its CID.
func forged(c cid.Cid, data []byte) blocks.Block {
	b, err := blocks.NewBlockWithCid(data, c)
	if err != nil {
		panic(err) // only with boxo's debugging switched on
	}
	return b
}

// eventually waits until a condition holds.
func eventually(t testing.TB, d time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within %v: %s", d, what)
}
