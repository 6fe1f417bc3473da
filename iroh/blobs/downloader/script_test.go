package downloader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// content is a blob that scripts serve.
type content struct {
	hash     bao.Hash
	data     []byte
	outboard blobstest.Memory
}

func contentOf(t testing.TB, data []byte) *content {
	t.Helper()
	c := &content{data: data, outboard: make(blobstest.Memory, bao.OutboardSize(uint64(len(data))))}
	tree := bao.NewTree(uint64(len(data)), c.outboard)
	for off := 0; off == 0 || off < len(data); off += bao.PieceSize {
		if err := tree.Add(bao.HashPiece(data[off:min(off+bao.PieceSize, len(data))], uint64(off), uint64(len(data)))); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if c.hash, err = tree.Root(); err != nil {
		t.Fatal(err)
	}
	return c
}

// script is a provider of some blobs over real QUIC that does well but for what it is told to do badly.
type script struct {
	blobs map[bao.Hash]*content
	has   bao.Ranges // chunks of every blob that it has; nil is all
	// says is what it answers to blobs.Observe; nil is the truth. silent does not know the request, as providers up to 0.35.
	says   *blobs.Available
	claims func(ctx context.Context, stream *quic.Stream) // answers it in place of all that
	silent bool
	claim  uint64                            // size that it claims in place of the true one; 0 is the true one
	write  func(to *quic.Stream) io.Writer   // what an answer goes through; nil is nothing
	begin  func(n int, conn *iroh.Conn) bool // called before each answer with its number; false leaves the stream to it

	addr  ticket.EndpointAddr
	asked atomic.Int64 // Gets
	sent  atomic.Int64 // bytes of answers
}

// start begins to serve.
func (s *script) start(t testing.TB, blobs ...*content) *script {
	t.Helper()
	s.blobs = make(map[bao.Hash]*content)
	for _, c := range blobs {
		s.blobs[c.hash] = c
	}
	e := blobstest.Endpoint(t)
	s.addr = e.Addr()
	blobstest.Accept(t, e, func(ctx context.Context, conn *iroh.Conn) {
		for {
			stream, err := conn.AcceptStream(ctx)
			if err != nil {
				return
			}
			go s.answer(ctx, conn, stream)
		}
	})
	return s
}

func (s *script) answer(ctx context.Context, conn *iroh.Conn, stream *quic.Stream) {
	defer context.AfterFunc(ctx, func() { stream.CancelWrite(0); stream.CancelRead(0) })()
	raw, err := io.ReadAll(stream)
	if err != nil {
		return
	}
	request, err := blobs.ParseRequest(raw)
	if err != nil {
		return
	}
	switch request := request.(type) {
	case blobs.ObserveRequest:
		s.observe(ctx, stream, s.blobs[request.Hash])
	case blobs.GetRequest:
		n := int(s.asked.Add(1) - 1)
		if s.begin != nil && !s.begin(n, conn) {
			<-stream.Context().Done()
			return
		}
		if err := s.get(request, stream); err != nil {
			stream.CancelWrite(blobs.CodeInternal)
			return
		}
		_ = stream.Close()
	}
}

func (s *script) observe(ctx context.Context, stream *quic.Stream, c *content) {
	switch {
	case s.claims != nil:
		s.claims(ctx, stream)
		return
	case s.silent:
		_ = stream.Close()
		return
	}
	item := blobs.Available{}
	if c != nil {
		item = blobs.Available{Size: uint64(len(c.data)), Ranges: bao.All()}
		if s.has != nil {
			item.Ranges = s.has
		}
	}
	if s.says != nil {
		item = *s.says
	}
	_, _ = stream.Write(wireObserveItem(item))
	select {
	case <-stream.Context().Done():
	case <-ctx.Done():
	}
}

// get writes an answer; an error is to be a reset.
func (s *script) get(request blobs.GetRequest, stream *quic.Stream) error {
	var to io.Writer = stream
	if s.write != nil {
		to = s.write(stream)
	}
	to = &counter{to, &s.sent}
	root := s.blobs[request.Hash]
	if root == nil {
		return errors.New("missing")
	}
	for index, ranges := range request.Ranges.All() {
		c := root
		if index > 0 {
			if int(index) > len(root.data)/hashSize {
				return nil
			}
			if c = s.blobs[bao.Hash(root.data[(index-1)*hashSize:][:hashSize])]; c == nil {
				return errors.New("missing")
			}
		}
		size := uint64(len(c.data))
		if s.claim != 0 {
			size = s.claim
		}
		if _, err := to.Write(binary.LittleEndian.AppendUint64(nil, size)); err != nil {
			return err
		}
		asked := ranges.Clamp(uint64(len(c.data)))
		if s.has != nil && !asked.Subtract(s.has).IsEmpty() {
			return errors.New("in part")
		}
		if err := bao.Encode(to, c.hash, uint64(len(c.data)), bytes.NewReader(c.data), bytes.NewReader(c.outboard), ranges); err != nil {
			return err
		}
	}
	return nil
}

type counter struct {
	io.Writer
	n *atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// flipping flips a bit in each write of a group.
type flipping struct{ to io.Writer }

func (f flipping) Write(b []byte) (int, error) {
	if len(b) > 64 {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 4
	}
	return f.to.Write(b)
}

// pacing writes so many bytes per second, all streams together.
type pacing struct {
	to   *quic.Stream
	rate int
}

func (p pacing) Write(b []byte) (n int, err error) {
	piece := max(1, p.rate/20)
	for len(b) > 0 && err == nil {
		var k int
		k, err = p.to.Write(b[:min(piece, len(b))])
		n, b = n+k, b[k:]
		select {
		case <-time.After(time.Duration(float64(k) / float64(p.rate) * float64(time.Second))):
		case <-p.to.Context().Done():
			return n, errors.New("stopped")
		}
	}
	return n, err
}

// stopping writes so many bytes, all streams together, and then waits until nobody wants the stream.
type stopping struct {
	to   *quic.Stream
	left *atomic.Int64
}

func (s stopping) Write(b []byte) (int, error) {
	if s.left.Add(-int64(len(b))) < 0 {
		<-s.to.Context().Done()
		return 0, errors.New("stopped")
	}
	return s.to.Write(b)
}
