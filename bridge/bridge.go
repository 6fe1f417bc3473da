// Package bridge wires an iroh node and an IPFS node together over one copy of the bytes.
//
// # What is kept
//
// A data folder holds the blobs (bytes and BLAKE3 trees, package iroh/store), the mapping (links and the block index,
// package mapping), the two nodes' keys, the API's token and, while a daemon runs, its API address:
//
//	lock  iroh.key  libp2p.key  token  api.json  config.toml  blobs/  mapping/
//
// Every piece of content has one link: a root CID, its blob or collection, and the blob that holds the layout, the
// records which say what each IPFS block is made of. The block index is derived from the layouts and can be rebuilt.
//
// # The ways
//
// Each way through the bridge is one file that reads from top to bottom: add.go, expose.go, importing.go, export.go,
// serving.go, remove.go, verify.go. What add, expose and import have in common is in two rooms of their own: pieces (hashing
// for both networks) and recording (a link in the making); what verify and rebuild have, in scrub.
// All stream with bounded memory, take a context, report to a [Progress] and commit at the end: a crash leaves either
// nothing or everything.
//
// # Whom it trusts
//
// Nobody with a hash: bytes from iroh and from IPFS are verified before they are stored. Bytes from its own store are
// verified again when the file belongs to somebody else (added in place) and before they are handed out by get.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/bridge/folder"
	"github.com/iroh-ipfs/bridge/bridge/keeping"
	"github.com/iroh-ipfs/bridge/bridge/naming"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/ipfs/host"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/pebble"
)

// Errors that callers branch on. They are wrapped with what was looked for and what to do.
var (
	// ErrNotFound: the content is not here, or no peer has it.
	ErrNotFound = naming.ErrNotFound
	// ErrInvalid: the request itself cannot be carried out: a malformed CID, a path that is not there.
	ErrInvalid = naming.ErrInvalid
	// ErrContent: the content cannot be taken, or handed out, as it is: it is malformed, beyond a limit, has a name that
	// no file may have. Whoever made it is to blame, not whoever asked.
	ErrContent = recording.ErrContent
	// ErrVerify: bytes did not hash to their name.
	ErrVerify = naming.ErrVerify
	// ErrPartial: some items of several failed, and the others are good.
	ErrPartial = errors.New("some items failed")
	// ErrBusy: another process uses the data folder.
	ErrBusy = folder.ErrBusy
	// ErrDamaged: the mapping database cannot be opened or read. [Rebuild] mends it.
	ErrDamaged = errors.New("the mapping database is damaged or missing; stop the daemon, if one runs, and run `bridge verify --repair`")
)

// Bridge is an open data folder and, once [Bridge.Online] was called, the two nodes over it. Its methods may be called
// from several goroutines.
type Bridge struct {
	cfg config.Config
	log *slog.Logger

	folder   *folder.Folder
	store    *store.Store
	stock    *native.Stock
	mapping  mapping.Store
	register *recording.Register

	// ops is held once by every operation that brings blobs in, and wholly by the purge, which therefore never sees a
	// blob that is between its arrival and its reference.
	ops       *semaphore.Weighted
	purgeWake chan struct{}
	purgeDue  atomic.Bool // something was left to purge since the last one
	audited   atomic.Bool // every link that the register has is in the mapping
	running   sync.WaitGroup
	stop      context.CancelFunc
	life      context.Context

	stall    time.Duration // how long an import waits while nothing arrives; zero is the exchange's own
	onlineMu sync.Mutex
	net      *network // nil until Online
}

// network is what reaches other machines.
type network struct {
	iroh     *native.Side
	host     *host.Host
	exchange *exchange.Exchange
	stays    bool // it is a daemon's
}

// Open opens a data folder, creating it if need be. No socket is opened. The folder is locked: ErrBusy if another
// process has it. ErrDamaged if the mapping database cannot be opened, or is gone.
func Open(dir string, cfg config.Config, log *slog.Logger) (*Bridge, error) {
	b, err := prepare(dir, cfg, log)
	if err != nil {
		return nil, err
	}
	known, err := recording.Registered(b.store)
	if err == nil {
		err = b.openMapping(known)
	}
	if err == nil && !known {
		err = b.register.Complete(b.life)
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("bridge: %w", err)
	}
	if b.folder.Cut() {
		b.mend(b.life)
	}
	b.running.Go(b.purgeLoop)
	b.wakePurge() // what an earlier process left
	return b, nil
}

// prepare locks a data folder, creating it if need be, and opens the blobs in it.
func prepare(dir string, cfg config.Config, log *slog.Logger) (_ *Bridge, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	data, err := folder.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	b := &Bridge{folder: data, cfg: cfg, log: log, ops: semaphore.NewWeighted(allOps), purgeWake: make(chan struct{}, 1)}
	b.life, b.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if b.store, err = store.Open(data.Blobs(), store.Config{Logger: log}); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	b.stock = &native.Stock{
		Store: b.store, Keeper: keeping.New(b.store), Linked: b.find,
		Referenced: func(ctx context.Context, hash [32]byte) (bool, error) {
			linked, err := b.mapping.Referenced(ctx, hash)
			return linked, mappingError(err)
		},
	}
	return b, nil
}

// mend makes good what a process that was killed left between a link's entry in the register and the link, before anybody sees
// anything: else content would turn up later that was not there at first. What it cannot do the purge tries again.
func (b *Bridge) mend(ctx context.Context) {
	if err := b.look(ctx); err != nil {
		b.log.Error("looking through the links after a crash", "err", mappingError(err))
	}
}

// openMapping opens the mapping database, which must be there if there ever was one.
func (b *Bridge) openMapping(existing bool) error {
	index, err := pebble.Open(b.folder.Mapping(), pebble.Config{Logger: b.log, Existing: existing})
	if err != nil {
		return mappingError(err)
	}
	b.mapping, b.register = index, recording.NewRegister(b.store, index)
	return nil
}

// mappingError marks what the mapping database says of damage.
func mappingError(err error) error {
	if errors.Is(err, pebble.ErrDamaged) && !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Dir returns the data folder's absolute path.
func (b *Bridge) Dir() string { return b.folder.Dir() }

// Close ends the networks, waits for everything that runs, and closes the stores.
func (b *Bridge) Close() error {
	b.stop()
	var errs []error
	b.onlineMu.Lock()
	if b.net != nil {
		errs = append(errs, b.net.close())
		b.net = nil
	}
	b.onlineMu.Unlock()
	b.running.Wait()
	b.settle()
	if b.mapping != nil {
		errs = append(errs, b.mapping.Close())
	}
	if b.store != nil {
		errs = append(errs, b.store.Close())
	}
	well := errors.Join(errs...) == nil && (b.audited.Load() || !b.folder.Cut())
	return errors.Join(append(errs, b.folder.Close(well))...)
}

// settle waits a moment for operations whose callers were cut off, and purges what is due: a command without a daemon
// ends sooner than the purge begins by itself. What is not done in time goes on at the next start.
func (b *Bridge) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	if b.mapping == nil || b.ops.Acquire(ctx, allOps) != nil {
		return
	}
	defer b.ops.Release(allOps)
	if b.purgeDue.Load() {
		if err := b.sweep(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("purge", "err", err)
		}
	}
}

// Online starts the two nodes and begins to serve. It may be called again; the first call counts.
func (b *Bridge) Online(ctx context.Context) error { return b.start(ctx, b.cfg, true) }

// Visit is Online for a command that ends soon: it finds others, on both networks, but nobody is told where it is or what it
// has, and no port is mapped.
func (b *Bridge) Visit(ctx context.Context) error {
	cfg := b.cfg
	cfg.Discovery.Publish, cfg.Iroh.PortMapping, cfg.Libp2p.PortMapping = config.PublishNothing, config.Off, config.Off
	return b.start(ctx, cfg, false)
}

func (b *Bridge) start(ctx context.Context, cfg config.Config, stays bool) error {
	b.onlineMu.Lock()
	defer b.onlineMu.Unlock()
	if b.net != nil {
		return nil
	}
	if err := b.recall(ctx); err != nil {
		return err
	}
	n, err := b.connect(ctx, cfg, stays)
	if err != nil {
		return err
	}
	b.net = n
	return nil
}

// online returns the networks, or nil.
func (b *Bridge) online() *network {
	b.onlineMu.Lock()
	defer b.onlineMu.Unlock()
	return b.net
}

// record begins a link. end is deferred: it lets go of what was not committed.
func (b *Bridge) record(ctx context.Context, profile *unixfs.Profile) (r *recording.Recording, end func(), err error) {
	if err := b.ops.Acquire(ctx, 1); err != nil {
		return nil, nil, err
	}
	r, err = recording.Begin(ctx, b.register, profile)
	if err != nil {
		b.ops.Release(1)
		return nil, nil, err
	}
	return r, func() {
		defer b.ops.Release(1)
		committed, err := r.End()
		if err != nil {
			b.log.Error("letting go of an operation", "err", err)
		}
		if !committed {
			b.wakePurge() // the blobs that came in are nobody's
		}
	}, nil
}

func (b *Bridge) irohKey() (key.SecretKey, error) {
	return key.LoadOrCreate(b.folder.IrohKey())
}
