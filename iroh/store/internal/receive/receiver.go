// Package receive takes the verified groups and pairs of a blob as they come
// from the network and brings them to the disk in large writes, by a goroutine
// of its own, so that receiving overlaps with writing.
//
// Leaves that follow one another are collected into runs of up to a mebibyte.
// A run is handed to the goroutine when it is full, together with all pairs
// that came before; the goroutine writes the pairs, then the data, and then
// notes in [Progress] that they are there. So a group that Progress has is on
// disk with every pair above it, given that the pairs came before it, as they
// do in every stream.
//
// The bytes are trusted: they were verified by who calls.
package receive

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
)

const (
	// runSize is the unit in which leaves are written. Writing 16 KiB at a time
	// costs a third of the receiving speed.
	runSize = 1 << 20

	// maxRuns is how many places of one blob may be received in parallel
	// without losing the coalescing.
	maxRuns = 16

	// maxQueue is how many full runs of one download may wait for the disk
	// before the receiver is held back.
	maxQueue = 2

	// maxPairs bounds the bytes of hash pairs held back between two data
	// writes, should a peer send parents without leaves.
	maxPairs = 64 << 10
)

// Receiver receives one blob. Its methods may be called concurrently. Stop must
// end it.
type Receiver struct {
	Progress // what is on disk

	size     uint64
	pool     *Pool
	folder   *disk.Folder
	data     *os.File // nil: the blob is one leaf, kept in memory
	outboard *Outboard

	// mu is held while a full queue makes the caller wait, so the goroutine
	// that empties the queue never takes it.
	mu      sync.Mutex
	open    []*run // the one that grew last at the end
	pairs   []pairRun
	pending int           // bytes in pairs
	queued  bao.Ranges    // chunks handed to the disk
	whole   []byte        // the blob, if it is kept in memory
	jobs    chan job      // nil until the goroutine is needed
	done    chan struct{} // closed when it has ended

	errMu sync.Mutex
	err   error // the first failure, or the end
}

// run is data that is contiguous in the blob.
type run struct {
	off    uint64
	buf    []byte
	shared *[runSize]byte // where buf comes from, if it is one of the pool's
	token  bool           // it counts against the pool
	grown  time.Time      // when it was added to last
}

// pairRun is hash pairs that are contiguous in the outboard.
type pairRun struct {
	off uint64
	buf []byte
}

// job is one unit of work for the disk.
type job struct {
	pairs   []pairRun
	run     *run
	barrier chan<- struct{} // closed when all jobs before are done
}

// Leaf takes whole groups, or the blob's last group to its end. data may be
// reused afterwards. An error of writing, which may be that of an earlier leaf,
// is final.
func (r *Receiver) Leaf(off uint64, data []byte) error {
	n := uint64(len(data))
	if off%bao.GroupSize != 0 || n == 0 || n > r.size || off > r.size-n || n%bao.GroupSize != 0 && off+n != r.size {
		return fmt.Errorf("store: %d bytes at %d of %d are not whole groups", n, off, r.size)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Failed(); err != nil {
		return err
	}
	if r.data == nil {
		r.whole = slices.Clone(data)
		return nil
	}
	for len(data) > 0 {
		k := r.collect(off, data)
		off, data = off+uint64(k), data[k:]
	}
	return r.Failed()
}

// Pair takes a hash pair by its place in the pre-order outboard.
func (r *Receiver) Pair(at int64, pair []byte) error {
	off := uint64(at)
	if len(pair) != pairSize || at < 0 || off%pairSize != 0 || off >= bao.OutboardSize(r.size) {
		return fmt.Errorf("store: no pair of %d bytes belongs at %d", len(pair), at)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Failed(); err != nil {
		return err
	}
	if n := len(r.pairs); n > 0 && r.pairs[n-1].off+uint64(len(r.pairs[n-1].buf)) == off {
		r.pairs[n-1].buf = append(r.pairs[n-1].buf, pair...)
	} else {
		r.pairs = append(r.pairs, pairRun{off: off, buf: append(make([]byte, 0, 4*pairSize), pair...)})
	}
	if r.pending += pairSize; r.pending >= maxPairs {
		r.submit(job{pairs: r.takePairs()})
	}
	return r.Failed()
}

// collect adds the beginning of data to a run and returns how much it took.
func (r *Receiver) collect(off uint64, data []byte) int {
	now := time.Now()
	n := r.grow(off, now)
	if n == nil {
		// All buffers are in use: this leaf goes to the disk by itself, and the
		// caller waits for it, so that no memory is held.
		r.hand(&run{off: off, buf: data}, true)
		return len(data)
	}
	k := min(len(data), cap(n.buf)-len(n.buf))
	n.buf = append(n.buf, data[:k]...)
	n.grown = now
	if len(n.buf) == cap(n.buf) {
		r.open = r.open[:len(r.open)-1]
		r.hand(n, false)
	}
	return k
}

// grow returns the run that ends at off, or a new one, as the last of the open
// ones; nil if there is no buffer for it.
func (r *Receiver) grow(off uint64, now time.Time) *run {
	for i, n := range r.open {
		if n.off+uint64(len(n.buf)) == off {
			r.open = append(slices.Delete(r.open, i, i+1), n)
			return n
		}
	}
	if len(r.open) == maxRuns {
		n := r.open[0]
		r.open = slices.Delete(r.open, 0, 1)
		r.hand(n, false)
	}
	if !r.pool.take(r, now) {
		r.pool.reclaim(r, now)
		return nil
	}
	n := &run{off: off, token: true}
	if left := r.size - off; left >= runSize {
		n.shared = r.pool.free.Get().(*[runSize]byte)
		n.buf = n.shared[:0]
	} else {
		n.buf = make([]byte, 0, left)
	}
	r.open = append(r.open, n)
	return n
}

// hand gives a run to the disk, with all pairs that came before it, and may
// wait until it is there.
func (r *Receiver) hand(n *run, wait bool) {
	r.queued = r.queued.Union(bao.Span(ChunkSpan(n.off, uint64(len(n.buf)))))
	j := job{pairs: r.takePairs(), run: n}
	if !wait {
		r.submit(j)
		return
	}
	barrier := make(chan struct{})
	j.barrier = barrier
	r.submit(j)
	<-barrier
}

func (r *Receiver) takePairs() []pairRun {
	p := r.pairs
	r.pairs, r.pending = nil, 0
	return p
}

// submit queues a job, or does it at once for a blob so short that there is
// nothing to overlap with.
func (r *Receiver) submit(j job) {
	if r.jobs == nil {
		if r.size <= 2*runSize {
			r.perform(j)
			return
		}
		r.jobs, r.done = make(chan job, maxQueue), make(chan struct{})
		go r.work(r.jobs)
	}
	r.jobs <- j
}

// work writes what is queued until Stop.
func (r *Receiver) work(jobs <-chan job) {
	defer close(r.done)
	for j := range jobs {
		r.perform(j)
	}
}

// perform writes pairs, then data, and then notes that they are there. After a
// failure it only gives buffers back.
func (r *Receiver) perform(j job) {
	if r.Failed() == nil {
		if err := r.write(j); err != nil {
			_ = r.Fail(err) // the next call returns it
		}
	}
	r.release(j.run)
	if j.barrier != nil {
		close(j.barrier)
	}
}

func (r *Receiver) write(j job) error {
	for _, p := range j.pairs {
		if _, err := r.outboard.WriteAt(p.buf, int64(p.off)); err != nil {
			return err
		}
		r.addPairs(p.off/pairSize, (p.off+uint64(len(p.buf)))/pairSize)
	}
	if j.run == nil {
		return nil
	}
	if err := r.folder.Take(len(j.run.buf), false); err != nil {
		return err
	}
	if _, err := r.data.WriteAt(j.run.buf, int64(j.run.off)); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	r.addGroups(ChunkSpan(j.run.off, uint64(len(j.run.buf))))
	return nil
}

func (r *Receiver) release(n *run) {
	if n == nil || !n.token {
		return
	}
	if n.shared != nil {
		r.pool.free.Put(n.shared)
	}
	r.pool.give(r)
}

// Drain writes everything that came before the call.
func (r *Receiver) Drain() error {
	barrier := make(chan struct{})
	r.mu.Lock()
	if err := r.Failed(); err != nil {
		r.mu.Unlock()
		return err
	}
	for _, n := range r.open {
		if r.jobs == nil {
			r.submitNow(n)
		} else {
			r.hand(n, false)
		}
	}
	r.open = r.open[:0]
	j := job{pairs: r.takePairs(), barrier: barrier}
	if r.jobs == nil {
		r.perform(j) // nothing is queued
	} else {
		r.jobs <- j
	}
	r.mu.Unlock()
	<-barrier
	return r.Failed()
}

// submitNow is hand for the last run before a Drain, when there is no goroutine
// and none is worth starting.
func (r *Receiver) submitNow(n *run) {
	r.queued = r.queued.Union(bao.Span(ChunkSpan(n.off, uint64(len(n.buf)))))
	r.perform(job{pairs: r.takePairs(), run: n})
}

// Stop ends the receiver and closes its files; what was not written is dropped.
// Later calls return the error, unless it had failed before.
func (r *Receiver) Stop(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.Fail(err) // for the calls that follow
	for _, n := range r.open {
		r.release(n)
	}
	r.open, r.pairs, r.whole = nil, nil, nil
	if r.jobs != nil {
		close(r.jobs)
		<-r.done
		r.jobs = nil
	}
	r.pool.leave(r)
	r.closeFiles()
}

// Received is the chunks that have come: on disk, on their way, or collected.
func (r *Receiver) Received() bao.Ranges {
	r.mu.Lock()
	defer r.mu.Unlock()
	got, _ := r.Snapshot()
	got = got.Union(r.queued)
	for _, n := range r.open {
		got = got.Union(bao.Span(ChunkSpan(n.off, uint64(len(n.buf)))))
	}
	if r.whole != nil {
		got = bao.Span(0, Chunks(r.size))
	}
	return got
}

// Memory returns the bytes of a blob that is kept in memory, nil if they have
// not come.
func (r *Receiver) Memory() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.whole
}

// Failed returns the first failure, or the error of Stop.
func (r *Receiver) Failed() error {
	r.errMu.Lock()
	defer r.errMu.Unlock()
	return r.err
}

// Fail keeps the first error and returns it.
func (r *Receiver) Fail(err error) error {
	r.errMu.Lock()
	defer r.errMu.Unlock()
	if r.err == nil {
		r.err = err
	}
	return r.err
}
