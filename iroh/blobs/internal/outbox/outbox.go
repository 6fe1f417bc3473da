// Package outbox writes long answers to a QUIC stream beside the work that makes them.
package outbox

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// sendSize is what is handed to a stream at a time. Writes of 64 KiB and more let quic-go fill whole batches of packets.
	sendSize = 128 << 10

	// buffers is how many of them one outbox holds: one being sent, one being filled. More would let a peer that does not read
	// hold more memory, and gain nothing.
	buffers = 2

	// PassSize is up to where an answer is short: it is kept until the end, then sent with no goroutine. Of a longer one so much is
	// collected before it is handed over.
	PassSize = 64 << 10
)

// ErrSlow says that the peer did not take a buffer within the idle time.
var ErrSlow = errors.New("blobs: peer does not take the answer")

// Buffer holds part of an answer.
type Buffer struct {
	used  int
	bytes [sendSize]byte
}

// Pacer decides how fast a stream is written.
type Pacer interface {
	// Before waits until the next bytes may go, at most n, and says how many.
	Before(n int) (int, error)
	// After says that n of them were taken, or none because of an error. Its own error ends the answer.
	After(n int) error
}

// Outbox writes to Stream. Answers longer than PassSize go through two buffers and a goroutine, so that reading and verifying goes
// on while the stream takes the bytes. It must be closed. Not for concurrent use.
type Outbox struct {
	Stream *quic.Stream
	Idle   time.Duration           // how long the peer may take for a buffer
	Get    func() (*Buffer, error) // gives a buffer; may wait
	Put    func(*Buffer)           // takes it back
	Pacer  Pacer                   // nil: as fast as the peer takes it

	written uint64
	small   []byte // up to PassSize bytes, before the first buffer
	buf     *Buffer
	made    int           // buffers in existence
	full    chan *Buffer  // to the goroutine; nil before the first
	free    chan *Buffer  // from it
	ended   chan struct{} // closed when it ends
	err     error         // why; to be read after ended
}

// Written returns how many bytes were written to the outbox.
func (s *Outbox) Written() uint64 { return s.written }

// Write takes all of b, or returns the error that ended the stream.
func (s *Outbox) Write(b []byte) (int, error) {
	if s.made == 0 {
		if len(s.small)+len(b) <= PassSize {
			s.small = append(s.small, b...)
			s.written += uint64(len(b))
			return len(b), nil
		}
		if err := s.start(); err != nil {
			return 0, err
		}
	}
	return s.fill(b)
}

// start begins with buffers.
func (s *Outbox) start() error {
	s.full = make(chan *Buffer, buffers)
	s.free = make(chan *Buffer, buffers)
	s.ended = make(chan struct{})
	go s.loop()
	small := s.small
	s.small = nil
	s.written = 0
	_, err := s.fill(small)
	return err
}

func (s *Outbox) fill(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		if err := s.next(); err != nil {
			return total - len(b), err
		}
		n := copy(s.buf.bytes[s.buf.used:], b)
		s.buf.used += n
		s.written += uint64(n)
		b = b[n:]
		if s.buf.used == sendSize {
			s.pass()
		}
	}
	if s.buf != nil && s.buf.used >= PassSize {
		s.pass()
	}
	return total, nil
}

// next sees to it that there is a buffer with room.
func (s *Outbox) next() (err error) {
	switch {
	case s.buf != nil:
		return nil
	case s.made < buffers:
		if s.buf, err = s.Get(); err != nil {
			return err
		}
		s.made++
	default:
		select {
		case s.buf = <-s.free:
		case <-s.ended:
			return s.err
		}
	}
	s.buf.used = 0
	return nil
}

// pass hands the buffer to the goroutine. There is always room: the channel holds all of them.
func (s *Outbox) pass() {
	s.full <- s.buf
	s.buf = nil
}

func (s *Outbox) loop() {
	defer close(s.ended)
	for buf := range s.full {
		err := s.send(buf.bytes[:buf.used])
		s.free <- buf
		if err != nil {
			s.err = err
			return
		}
	}
}

// send writes b at the pacer's pace.
func (s *Outbox) send(b []byte) error {
	if s.Pacer == nil {
		return s.write(b)
	}
	for len(b) > 0 {
		n, err := s.Pacer.Before(len(b))
		if err != nil {
			return err
		}
		if err = s.write(b[:n]); err != nil {
			_ = s.Pacer.After(0)
			return err
		}
		if err = s.Pacer.After(n); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// write writes b, which a peer has to take within the idle timeout.
func (s *Outbox) write(b []byte) error {
	if err := s.Stream.SetWriteDeadline(time.Now().Add(s.Idle)); err != nil {
		return fmt.Errorf("blobs: deadline: %w", err)
	}
	_, err := s.Stream.Write(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSlow
	case err != nil:
		return fmt.Errorf("blobs: send: %w", err)
	}
	return nil
}

// Close writes what is left and waits for the goroutine. It does not end the stream.
func (s *Outbox) Close() error {
	if s.full == nil {
		if len(s.small) == 0 {
			return nil
		}
		return s.send(s.small)
	}
	if s.buf != nil {
		s.pass()
	}
	close(s.full)
	<-s.ended
	for len(s.full) > 0 {
		s.Put(<-s.full)
	}
	for len(s.free) > 0 {
		s.Put(<-s.free)
	}
	return s.err
}
