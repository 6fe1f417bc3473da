// Package exchange trades blocks with other IPFS nodes by Bitswap: it serves
// the blocks that it is given a source of, and fetches blocks in sessions.
//
// # Wire
//
// Bitswap 1.2.0 (/ipfs/bitswap/1.2.0, and 1.1.0, 1.0.0 and the unversioned one
// before it), from boxo, with boxo's limits: 1,024 wants and 1 MiB of unsent
// blocks for each peer, CIDs of at most 168 bytes, messages of at most 4 MiB.
// The tests hold them.
//
// # Units
//
// Sizes are bytes. A block has at most 2 MiB.
//
// # Trust
//
// A CID is served or fetched only if its hash function is one that collisions
// cannot be made for, and its digest is long enough: boxo's list without SHA-1;
// identity multihashes of at most 128 bytes, which never touch the network. A
// received block is hashed and is the block of the CID that comes out, whatever
// its sender says: a peer cannot make us take wrong bytes for a CID. Blocks from
// the local source are hashed before a session returns them, and are not when
// they are served: the receiver hashes them.
package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/iroh-ipfs/bridge/ipfs/host"
)

// Errors that callers branch on. They are wrapped in errors that name the CID.
var (
	// ErrNotFound says that a block is not there: a [Blocks] returns it for what
	// it has not, a session when no peer sent anything for a while.
	ErrNotFound = errors.New("block not found")
	// ErrRefused says that a CID or a block is of a kind that is neither fetched
	// nor served.
	ErrRefused = errors.New("refused")
	// ErrClosed says that the session or the exchange is closed.
	ErrClosed = errors.New("closed")
)

// Blocks is where the blocks that are served come from. Its methods are called
// concurrently.
type Blocks interface {
	// Block returns a block's bytes, which the caller does not change.
	Block(ctx context.Context, c cid.Cid) ([]byte, error)
	// BlockSize returns a block's length. It is called for every want of every
	// peer, mostly in vain, so it must be cheap.
	BlockSize(ctx context.Context, c cid.Cid) (int, error)
}

// Config says how an exchange runs. Host and Blocks are required.
type Config struct {
	// Host is the libp2p host. Its routing, if it has one, finds providers.
	Host *host.Host
	// Blocks is what is served.
	Blocks Blocks
	// Stall is how long a session waits for a block while nothing arrives. 0 is
	// a minute.
	Stall time.Duration
	// Logger gets what the exchange has to say. Nil is silent. boxo itself logs
	// as GOLOG_LOG_LEVEL has it.
	Logger *slog.Logger
}

// Exchange is a Bitswap server and client.
type Exchange struct {
	cfg   Config
	local blockstore
	bs    *bitswap.Bitswap
	// zeroes stand for the bytes of any block. Nobody writes to them, so they take no memory.
	zeroes []byte
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	sessions map[*Session]struct{}
	names    uint64
}

// New starts serving and fetching. ctx is for starting only.
func New(ctx context.Context, cfg Config) (*Exchange, error) {
	if cfg.Host == nil || cfg.Blocks == nil {
		return nil, errors.New("exchange: a host and blocks are required")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	if cfg.Stall == 0 {
		cfg.Stall = defaultStall
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	x := &Exchange{cfg: cfg, sessions: make(map[*Session]struct{}), zeroes: make([]byte, maxBlock)}
	x.local = blockstore{blocks: cfg.Blocks, log: cfg.Logger}
	net := bsnet.NewFromIpfsHost(cfg.Host.LibP2P())
	// A block that arrives goes to its session and nowhere else, so whether the
	// store has it already need not be counted.
	x.bs = bitswap.New(context.WithoutCancel(ctx), net, cfg.Host.Routing(), x.local, bitswap.WithoutDuplicatedBlockStats())
	sweeping, stop := context.WithCancel(context.Background())
	x.stop = stop
	x.work.Go(func() { x.sweep(sweeping) })
	return x, nil
}

// Notify sends blocks that have come to be here to peers that asked for them and still wait. It costs a look at each
// block's length and at who wants it; blocks that nobody waits for are not read. CIDs that are not served are passed over.
// The error is that of the first block which is not here after all.
func (x *Exchange) Notify(ctx context.Context, cids ...cid.Cid) error {
	here := make([]blocks.Block, 0, len(cids))
	for _, c := range cids {
		if CheckCID(c) != nil {
			continue
		}
		n, err := x.local.GetSize(ctx, c)
		if err != nil {
			return fmt.Errorf("exchange: notify: %w", err)
		}
		here = append(here, sized{c, x.zeroes[:n]})
	}
	if err := x.bs.Server.NotifyNewBlocks(ctx, here...); err != nil {
		return fmt.Errorf("exchange: notify: %w", err)
	}
	return nil
}

// Wants is how many blocks connected peers have asked for and not got, counted for each peer.
func (x *Exchange) Wants() int {
	n := 0
	for _, p := range x.cfg.Host.LibP2P().Network().Peers() {
		n += len(x.bs.Server.WantlistForPeer(p))
	}
	return n
}

// Session starts fetching a set of related blocks, usually those of one DAG. It
// connects to peers, whose addresses the host must know, in the background, and
// asks them as well as all other connected peers; when none has a block, it asks
// the routing. The session ends with ctx or when it is closed; a session of a
// closed exchange is a closed one.
func (x *Exchange) Session(ctx context.Context, peers []peer.ID) *Session {
	s := newSession(ctx, x)
	x.mu.Lock()
	closed := x.closed
	if !closed {
		x.names++
		s.name = fmt.Sprintf("exchange-session-%d", x.names)
		x.sessions[s] = struct{}{}
	}
	x.mu.Unlock()
	if closed {
		s.Close()
		return s
	}
	s.connect(peers)
	return s
}

// forget drops a session that is closed.
func (x *Exchange) forget(s *Session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.sessions, s)
}

// Close ends all sessions and stops serving. It does not close the host.
func (x *Exchange) Close() error {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	var open []*Session
	for s := range x.sessions {
		open = append(open, s)
	}
	x.mu.Unlock()
	for _, s := range open {
		s.Close()
	}
	x.stop()
	x.work.Wait()
	if err := x.bs.Close(); err != nil {
		return fmt.Errorf("exchange: close: %w", err)
	}
	return nil
}
