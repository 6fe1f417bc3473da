// Package pieces reads a file once and names its bytes in both networks' ways at the same time.
//
// A file is cut into pieces of 1 MiB. Each piece is hashed while it is in the processor's cache, into its part of the
// BLAKE3 tree and into the UnixFS leaves that its bytes are, on as many cores as there are; the pieces come out in order.
// Memory is bounded by the number of cores, whatever the file's size.
package pieces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// A Piece is one MiB of a file, less at its end. It is valid until the function that it is handed to returns.
type Piece struct {
	Offset uint64
	Data   []byte
	Tree   bao.Piece     // its part of the BLAKE3 tree, unless the hash was known
	Leaves []unixfs.Leaf // the UnixFS leaves that its bytes are, if a profile was given

	buf  []byte // what Data is the beginning of
	err  error
	done chan struct{}
}

// A Hasher cuts a file of a known size into pieces, hashes them in parallel and hands them on in order.
//
// It is fed by [Hasher.Write] or [Hasher.ReadFrom] and ended by [Hasher.Close]. out is never called twice at once. At most 2 × cores + 2 pieces are held at a time.
type Hasher struct {
	ctx      context.Context
	size     uint64
	profile  *unixfs.Profile // nil: no leaves
	skipTree bool            // the blob's hash is known and its bytes were verified
	out      func(*Piece) error

	offset  uint64 // of the piece being filled
	current []byte
	whole   []byte // what current is the beginning of, when it comes from free
	err     error

	// Present only for files of more than one piece.
	jobs    chan *Piece
	ordered chan *Piece
	free    chan []byte
	workers sync.WaitGroup
	failed  chan struct{} // closed once outErr is set
	outErr  error
}

// New begins a file of size bytes. The profile, if any, has chunks that divide a piece; with skipTree the blob's hash is
// known and its bytes were verified, so that no tree is computed. out takes the pieces, in order.
func New(ctx context.Context, size uint64, profile *unixfs.Profile, skipTree bool, out func(*Piece) error) *Hasher {
	return &Hasher{ctx: ctx, size: size, profile: profile, skipTree: skipTree, out: out}
}

// ErrSize is what a file that grew or shrank while it was read ends in.
var ErrSize = errors.New("the file's size changed while it was read; add it again when it is no longer written to")

// Write feeds the next bytes.
func (h *Hasher) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		buf, err := h.buffer()
		if err != nil {
			return n - len(p), err
		}
		k := copy(buf[len(buf):cap(buf)], p)
		h.current, p = buf[:len(buf)+k], p[k:]
		if err := h.submitFull(); err != nil {
			return n - len(p), err
		}
	}
	return n, nil
}

// ReadFrom feeds r to its end without an extra copy.
func (h *Hasher) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		if h.received() == h.size {
			// One byte more would be a file that grew.
			var one [1]byte
			if n, err := io.ReadFull(r, one[:]); n != 0 {
				return total, ErrSize
			} else if err != io.EOF {
				return total, err
			}
			return total, nil
		}
		buf, err := h.buffer()
		if err != nil {
			return total, err
		}
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		total += int64(n)
		h.current = buf[:len(buf)+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return total, ErrSize
		}
		if err != nil {
			return total, err
		}
		if err := h.submitFull(); err != nil {
			return total, err
		}
	}
}

func (h *Hasher) received() uint64 { return h.offset + uint64(len(h.current)) }

// buffer returns the piece being filled; its capacity ends where the piece does.
func (h *Hasher) buffer() ([]byte, error) {
	if h.err != nil {
		return nil, h.err
	}
	if err := h.ctx.Err(); err != nil {
		return nil, err
	}
	if h.current != nil {
		return h.current, nil
	}
	want := min(h.size-h.offset, bao.PieceSize)
	if want == 0 {
		h.err = ErrSize
		return nil, h.err
	}
	if h.size <= bao.PieceSize {
		h.current = make([]byte, 0, want)
		return h.current, nil
	}
	h.start()
	select {
	case b := <-h.free:
		h.whole, h.current = b, b[:0:want]
	case <-h.failed:
		h.err = h.outErr
		return nil, h.err
	case <-h.ctx.Done():
		return nil, h.ctx.Err()
	}
	return h.current, nil
}

// start brings up the workers, once, when a file turns out to have several pieces.
func (h *Hasher) start() {
	if h.jobs != nil {
		return
	}
	cores := runtime.GOMAXPROCS(0)
	held := 2*cores + 2
	h.jobs = make(chan *Piece, held)
	h.ordered = make(chan *Piece, held)
	h.free = make(chan []byte, held)
	h.failed = make(chan struct{})
	for range held {
		h.free <- make([]byte, bao.PieceSize)
	}
	for range cores {
		h.workers.Go(func() {
			for p := range h.jobs {
				h.hash(p)
				close(p.done)
			}
		})
	}
	h.workers.Go(func() {
		for p := range h.ordered {
			<-p.done
			if h.outErr == nil {
				if h.outErr = p.err; h.outErr == nil {
					h.outErr = h.out(p)
				}
				if h.outErr != nil {
					close(h.failed)
				}
			}
			h.free <- p.buf
		}
	})
}

func (h *Hasher) hash(p *Piece) {
	if !h.skipTree {
		p.Tree = bao.HashPiece(p.Data, p.Offset, h.size)
	}
	if h.profile == nil {
		return
	}
	chunk := h.profile.ChunkSize
	for off := 0; off < len(p.Data); off += chunk {
		leaf, err := h.profile.Leaf(p.Data[off:min(off+chunk, len(p.Data))])
		if err != nil {
			p.err = err
			return
		}
		p.Leaves = append(p.Leaves, leaf)
	}
}

// submitFull sends the current piece on its way when it is full.
func (h *Hasher) submitFull() error {
	if uint64(len(h.current)) < min(h.size-h.offset, bao.PieceSize) {
		return nil
	}
	p := &Piece{Offset: h.offset, Data: h.current, buf: h.whole}
	h.offset += uint64(len(h.current))
	h.current = nil
	if h.jobs == nil {
		h.hash(p)
		if p.err == nil {
			p.err = h.out(p)
		}
		h.err = p.err
		return h.err
	}
	p.done = make(chan struct{})
	h.ordered <- p // has room for every buffer that exists
	h.jobs <- p
	return nil
}

// Close waits for the last piece. A file of no bytes is one empty piece. It must be called however the feeding ended;
// with an error (the feeder's own, say) it only stops the workers and returns that error.
func (h *Hasher) Close(cause error) error {
	if cause == nil && h.err == nil && h.size == 0 {
		p := &Piece{}
		h.hash(p)
		if p.err != nil {
			return p.err
		}
		return h.out(p)
	}
	if h.jobs != nil {
		close(h.jobs)
		close(h.ordered)
		h.workers.Wait()
		if cause == nil {
			cause = h.outErr
		}
	}
	switch {
	case cause != nil:
		return cause
	case h.err != nil:
		return h.err
	case h.received() != h.size || h.current != nil:
		return fmt.Errorf("%w (%d of %d bytes)", ErrSize, h.received(), h.size)
	}
	return nil
}
