package relay

import (
	"bufio"
	"net"
	"sync"
)

// readBuffer is how much is read from a connection at once.
const readBuffer = 128 << 10

// A wideReader is a connection that is read in large pieces, whatever its reader asks for.
type wideReader struct {
	net.Conn
	buf *bufio.Reader
}

func newWideReader(c net.Conn) *wideReader {
	return &wideReader{Conn: c, buf: bufio.NewReaderSize(c, readBuffer)}
}

// Read is for one goroutine at a time.
func (c *wideReader) Read(p []byte) (int, error) { return c.buf.Read(p) }

// A corked connection collects what is written between cork and flush, and writes it at once. The WebSocket library
// writes 4 KiB at a time and ends every message with a write of its own.
type corked struct {
	net.Conn
	mu   sync.Mutex
	wait bool
	buf  []byte
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
