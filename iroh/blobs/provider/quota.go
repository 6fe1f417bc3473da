package provider

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// PushTag begins the names of the tags that mark what was pushed: PushTag and the blob's hash in hex, one for each blob. They are the
// durable account of the quota. Whoever removes one, or the blob, gives its bytes back.
const PushTag = "push/"

// errQuota says that a push would go beyond the quota.
var errQuota = errors.New("blobs: quota of pushed bytes is used up")

// PushConfig says who may push and how much. The zero value lets nobody.
type PushConfig struct {
	// Peers may push, and nobody else.
	Peers []key.EndpointID
	// Quota is how many bytes of blobs pushes of all peers together may put into the store, each blob counted with 1 KiB more than it
	// has; what is there already when it is pushed does not count. 0 is nothing.
	Quota uint64
}

// quota is the account of pushed bytes.
type quota struct {
	store *store.Store
	limit uint64

	mu       sync.Mutex
	counted  time.Time // last recount; zero: never
	stored   uint64
	reserved uint64 // by pushes under way
}

// reserve takes n bytes, or says that they are not there. Before it does it looks, at most every recountEvery, what is still in
// the store.
func (q *quota) reserve(n uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.counted.IsZero() || !q.fits(n) && time.Since(q.counted) > recountEvery {
		if err := q.recount(); err != nil {
			return err
		}
	}
	if !q.fits(n) {
		return fmt.Errorf("%w: %d bytes wanted, %d of %d in use", errQuota, n, q.stored+q.reserved, q.limit)
	}
	q.reserved += n
	return nil
}

func (q *quota) fits(n uint64) bool {
	used := q.stored + q.reserved
	return used <= q.limit && n <= q.limit-used
}

// Recount has the next push count again what is still in the store, for who has removed tags of [PushTag] or blobs and wants room for
// others at once. Without it that may take ten seconds.
func (p *Provider) Recount() {
	p.quota.mu.Lock()
	defer p.quota.mu.Unlock()
	p.quota.counted = time.Time{}
}

// settle gives a reservation back, of which so many bytes were stored.
func (q *quota) settle(reserved, stored uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reserved -= reserved
	q.stored += stored
}

// recount adds up the tagged blobs and drops the tags of those that are gone.
func (q *quota) recount() error {
	var sum uint64
	var gone []string
	for tag, err := range q.store.Tags() {
		if err != nil {
			return fmt.Errorf("blobs: quota: %w", err)
		}
		if !strings.HasPrefix(tag.Name, PushTag) {
			continue
		}
		status, err := q.store.Status(tag.Hash)
		if err != nil {
			return fmt.Errorf("blobs: quota: %w", err)
		}
		sum += held(status)
		if status.State == store.Missing && q.reserved == 0 {
			gone = append(gone, tag.Name)
		}
	}
	for _, name := range gone {
		if err := q.store.DeleteTag(name); err != nil {
			return fmt.Errorf("blobs: quota: %w", err)
		}
	}
	q.stored, q.counted = sum, time.Now()
	return nil
}

// unmark takes the tag away from a blob of which nothing was kept.
func (q *quota) unmark(hash bao.Hash) error {
	if err := q.store.DeleteTag(PushTag + hash.String()); err != nil {
		return fmt.Errorf("blobs: quota: %w", err)
	}
	return nil
}

// held is what a blob counts for: how many bytes of it are there, and blobCost.
func held(status store.Status) uint64 {
	switch status.State {
	case store.Complete:
		return blobCost + status.Size
	case store.Partial:
		return blobCost + spanBytes(status.Ranges, status.Size)
	}
	return 0
}

// spanBytes is how many bytes of a blob of that size are in the chunks; unlike Ranges.Bytes it takes what is beyond the end for nothing.
func spanBytes(ranges bao.Ranges, size uint64) (n uint64) {
	chunks := chunkCount(size)
	for i := 0; i < len(ranges) && ranges[i] < chunks; i += 2 {
		end := size
		if i+1 < len(ranges) && ranges[i+1] < chunks {
			end = ranges[i+1] * bao.ChunkSize
		}
		n += end - ranges[i]*bao.ChunkSize
	}
	return n
}

// chunkCount is the number of chunks of a blob; the empty one has one.
func chunkCount(size uint64) uint64 { return max(1, size/bao.ChunkSize+min(1, size%bao.ChunkSize)) }
