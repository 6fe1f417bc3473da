package relay

import (
	"bufio"
	"errors"
	"net"
	"sync"
)

// readBuffer is how much is read from a connection at once.
const readBuffer = 64 << 10

// A wideReader is a connection that is read in large pieces, whatever its reader asks for. before is called when nothing
// is left of what was read and there may be nothing more for a while.
type wideReader struct {
	net.Conn
	buf    *bufio.Reader
	before func()
}

func newWideReader(c net.Conn) *wideReader {
	return &wideReader{Conn: c, buf: bufio.NewReaderSize(c, readBuffer), before: func() {}}
}

// Read is for one goroutine at a time.
func (c *wideReader) Read(p []byte) (int, error) {
	if c.buf.Buffered() == 0 {
		c.before()
	}
	return c.buf.Read(p)
}

// A corked connection collects what is written between cork and flush, and writes it at once. The WebSocket library ends
// every message with a write of its own.
type corked struct {
	net.Conn
	in   *wideReader // under it all
	open bool        // the WebSocket is there
	head int         // bytes that may come until then
	mu   sync.Mutex
	wait bool
	buf  []byte
}

// Read reads from the connection. It is for one goroutine at a time.
func (c *corked) Read(p []byte) (int, error) {
	if c.open {
		return c.Conn.Read(p)
	}
	if c.head == 0 {
		return 0, errors.New("its answer is too long")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.head)])
	c.head -= n
	return n, err
}

// Write writes, or collects if there is room.
func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.wait {
		return c.Conn.Write(p)
	}
	if len(c.buf)+len(p) > maxBurst {
		if err := c.empty(); err != nil {
			return 0, err
		}
	}
	c.buf = append(c.buf, p...)
	return len(p), nil
}

// cork begins to collect.
func (c *corked) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait = true
}

// flush ends it and writes what there is.
func (c *corked) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait = false
	return c.empty()
}

func (c *corked) empty() error {
	if len(c.buf) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}
