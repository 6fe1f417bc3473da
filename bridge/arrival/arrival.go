// Package arrival lets content be read while it is still coming in.
//
// An [Arrival] stands between a download and whoever wants its bytes: it hears the downloader's progress, and its readers
// get bytes out of the store as soon as they are there, verified as everything in the store is. A reader trails the
// download by a few mebibytes and ends with it; when the download fails, so does the reader.
package arrival

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// step is how many bytes come between two looks at what is there, so that following costs little.
const step = 256 << 10

// Progress is whom to tell how the download goes.
type Progress interface {
	Item(name string, size int64)
	Bytes(n uint64)
}

// An Arrival is a download that is going on. Its Blob and Bytes are the downloader's progress (blobs.Progress), for one
// goroutine; everything else may be called from any.
type Arrival struct {
	Progress               // whom it tells; it is nobody else's to call before the end
	came     chan struct{} // more has come; has room for one
	over     chan struct{} // closed when the download has ended
	err      error         // of the download; to be read after over

	unsaid uint64 // bytes since came was last sent to

	mu   sync.Mutex
	hash bao.Hash // of the blob that is coming
	size uint64   // what is claimed for it
}

// New is a download that begins, which tells to how it goes until it has ended.
func New(to Progress) *Arrival {
	return &Arrival{Progress: to, came: make(chan struct{}, 1), over: make(chan struct{})}
}

// Blob implements blobs.Progress.
func (a *Arrival) Blob(hash bao.Hash, size, have uint64) {
	a.mu.Lock()
	a.hash, a.size = hash, size
	a.mu.Unlock()
	a.Progress.Item(hash.String(), int64(size))
	a.Bytes(hash, have)
}

// Bytes implements blobs.Progress.
func (a *Arrival) Bytes(_ bao.Hash, n uint64) {
	a.Progress.Bytes(n)
	if a.unsaid += n; a.unsaid < step {
		return
	}
	a.unsaid = 0
	select {
	case a.came <- struct{}{}:
	default: // the last one was not taken yet
	}
}

// End says that nothing more comes, and why. It is called once.
func (a *Arrival) End(err error) {
	a.err = err
	close(a.over)
}

// Ended reports whether the download has ended.
func (a *Arrival) Ended() bool {
	select {
	case <-a.over:
		return true
	default:
		return false
	}
}

// Cause is the download's error, if it failed, else err: what follows a download fails because of it.
func (a *Arrival) Cause(err error) error {
	if a.Ended() && a.err != nil {
		return a.err
	}
	return err
}

// Until repeats try, as more comes, until it finds what it wants or the download has ended.
func (a *Arrival) Until(ctx context.Context, try func() error) error {
	for {
		over := a.Ended() // asked first: then try sees everything
		err := try()
		if over || !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrIncomplete) {
			return err
		}
		select {
		case <-a.came:
		case <-a.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Open waits until a blob is there, or is coming, and returns it, to be closed, and a reader of all its bytes.
func (a *Arrival) Open(ctx context.Context, from *store.Store, hash bao.Hash) (blob *store.Blob, data io.ReaderAt, err error) {
	err = a.Until(ctx, func() error {
		b, err := from.Open(hash)
		if err != nil {
			return err
		}
		if bao.BytesSpan(0, b.Size()).Subtract(b.Ranges()).IsEmpty() {
			blob, data = b, b
			return nil
		}
		a.mu.Lock()
		coming := a.hash == hash && a.size == b.Size()
		a.mu.Unlock()
		if !coming { // left by an earlier download; its size may be another one than this provider's
			return errors.Join(store.ErrIncomplete, b.Close())
		}
		blob, data = b, &trail{Arrival: a, ctx: ctx, store: from, hash: hash, size: b.Size()}
		return nil
	})
	return blob, data, err
}

// A trail reads a blob that is still coming.
type trail struct {
	*Arrival
	ctx   context.Context // of the operation that reads
	store *store.Store
	hash  bao.Hash
	size  uint64
}

// ReadAt implements io.ReaderAt. It waits for bytes that are not there yet.
func (t *trail) ReadAt(p []byte, off int64) (n int, err error) {
	err = t.Until(t.ctx, func() error {
		// Opened anew each time: what was opened before the download began does not grow.
		blob, err := t.store.Open(t.hash)
		if err != nil {
			return err
		}
		defer blob.Close()
		if blob.Size() != t.size {
			return fmt.Errorf("the provider first claimed %d bytes for this blob, then %d: try again, or another provider", t.size, blob.Size())
		}
		n, err = blob.ReadAt(p, off)
		return err
	})
	return n, err
}
