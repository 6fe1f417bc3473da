package integration

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/netns"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// lonely is a host that reaches nobody but itself.
func lonely(t testing.TB) *netns.Host {
	t.Helper()
	h, err := peertest.Lab(t).Host(peertest.Context(t), "lonely")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// decodeBlob decodes the answer to a request for all of one blob, which must be all that there is.
func decodeBlob(t testing.TB, root bao.Hash, answer []byte) []byte {
	t.Helper()
	if len(answer) < 8 {
		t.Fatalf("an answer of %d bytes", len(answer))
	}
	r := bytes.NewReader(answer[8:])
	d := bao.NewDecoder(r, root, binary.LittleEndian.Uint64(answer), bao.All())
	var data []byte
	for {
		item, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if item.Kind == bao.Leaf {
			data = append(data, item.Data...)
		}
	}
	if r.Len() != 0 {
		t.Errorf("%d bytes after the end", r.Len())
	}
	return data
}

// An older iroh, of the npm package, that only knows connections and streams, asks for a blob by hand.
func TestOlderClientFetches(t *testing.T) {
	host := lonely(t)
	npm, ours := peertest.NPM(t, host), program
	ours.Netns = host.Namespace
	d := startOn(t, ours)
	for _, size := range []int{0, 1, 16 << 10, 1<<20 + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			file := randomFile(t, filepath.Join(t.TempDir(), "file"), int64(size), uint64(size))
			content := do(t, d, "add", file)
			root, err := bao.ParseHash(content.Hash)
			if err != nil {
				t.Fatal(err)
			}
			// Get (0), the hash, two range sets: all of blob 0, nothing from blob 1 on.
			request := append(append([]byte{0}, root[:]...), 2, 0, 1, 0, 1, 0)
			answer, err := npm.Get(peertest.Context(t), t.TempDir(), d.EndpointID, direct(t, content.Ticket).String(), request)
			if err != nil {
				t.Fatal(err)
			}
			if answer.RemoteID != d.EndpointID {
				t.Errorf("connected to %s", answer.RemoteID)
			}
			data, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(decodeBlob(t, root, answer.Body), data) {
				t.Error("other bytes", err)
			}
		})
	}
}

// encoded is a blob that answers requests for ranges of it.
type encoded struct {
	data, outboard []byte
	root           bao.Hash
}

// WriteAt makes encoded a place for an outboard.
func (e *encoded) WriteAt(p []byte, off int64) (int, error) { return copy(e.outboard[off:], p), nil }

func encode(t testing.TB, data []byte) *encoded {
	t.Helper()
	size := uint64(len(data))
	e := &encoded{data: data, outboard: make([]byte, bao.OutboardSize(size))}
	tree := bao.NewTree(size, e)
	for at := 0; at < len(data); at += bao.PieceSize {
		piece := data[at:min(at+bao.PieceSize, len(data))]
		if err := tree.Add(bao.HashPiece(piece, uint64(at), size)); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if e.root, err = tree.Root(); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *encoded) answer(request []byte) ([]byte, error) {
	parsed, err := blobs.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	get, ok := parsed.(blobs.GetRequest)
	if !ok || get.Hash != e.root {
		return nil, fmt.Errorf("an unexpected request %T", parsed)
	}
	var out bytes.Buffer
	for index, ranges := range get.Ranges.All() {
		if index > 0 || len(ranges) == 0 {
			break
		}
		out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(e.data))))
		err = bao.Encode(&out, e.root, uint64(len(e.data)), bytes.NewReader(e.data), bytes.NewReader(e.outboard), ranges)
	}
	return out.Bytes(), err
}

// serve answers requests that come to a Unix socket until the test ends.
func (e *encoded) serve(t testing.TB, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				request, err := io.ReadAll(conn)
				if err != nil {
					t.Error(err)
					return
				}
				answer, err := e.answer(request)
				if err != nil {
					t.Errorf("%x: %v", request, err)
				}
				conn.Write(answer)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
}

// The other way round: the older iroh accepts our connection and our requests.
func TestOlderClientServes(t *testing.T) {
	host := lonely(t)
	npm, ours := peertest.NPM(t, host), program
	ours.Netns = host.Namespace
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), 1<<20+1, 1)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blob := encode(t, data)
	socket := filepath.Join(t.TempDir(), "s")
	blob.serve(t, socket)
	node, err := npm.Serve(peertest.Context(t), socket)
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	id, err := key.ParseEndpointID(node.EndpointID)
	if err != nil {
		t.Fatal(err)
	}
	addr := ticket.EndpointAddr{ID: id, Direct: []netip.AddrPort{netip.MustParseAddrPort(node.Addrs[0])}}
	d := startOn(t, ours)
	content := do(t, d, "expose", ticket.Blob{Addr: addr, Hash: blob.root, Format: ticket.Raw}.String())
	if content.Hash != hex.EncodeToString(blob.root[:]) || content.Size != uint64(len(data)) {
		t.Errorf("exposed %+v", content)
	}
	out := filepath.Join(t.TempDir(), "out")
	if r := d.Run(peertest.Context(t), "get", content.Hash, "-o", out); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	sameFile(t, out, file)
}
