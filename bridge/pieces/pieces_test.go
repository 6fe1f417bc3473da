package pieces

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
)

func testProfile(t *testing.T, name string) *unixfs.Profile {
	t.Helper()
	p, err := unixfs.ProfileByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func random(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	p := make([]byte, n)
	_, _ = r.Read(p)
	return p
}

// TestHasher compares what comes out of the parallel pipeline, however it is fed, with hashing the bytes at once.
func TestHasher(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, size := range []int{0, 1, 16383, 16385, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 17, 23 << 20} {
		for _, name := range []string{"unixfs-v1-2025", "unixfs-v0-2015"} {
			for _, feed := range []string{"ReadFrom", "ReadFrom odd", "Write", "Write odd"} {
				t.Run(fmt.Sprint(size, " ", name, " ", feed), func(t *testing.T) {
					data := random(uint64(size), size)
					profile := testProfile(t, name)
					tree := bao.NewTree(uint64(size), nil)
					var got bytes.Buffer
					leaves := 0
					h := New(t.Context(), uint64(size), profile, false, func(p *Piece) error {
						got.Write(p.Data)
						off := 0
						for _, l := range p.Leaves {
							want, err := profile.Leaf(p.Data[off : off+int(l.Size)])
							if err != nil || !want.CID.Equals(l.CID) {
								t.Errorf("leaf at %d: %s, want %s, %v", off, l.CID, want.CID, err)
							}
							off += int(l.Size)
							leaves++
						}
						return tree.Add(p.Tree)
					})
					var err error
					switch feed {
					case "ReadFrom":
						_, err = h.ReadFrom(bytes.NewReader(data))
					case "ReadFrom odd":
						_, err = h.ReadFrom(iotest.DataErrReader(bytes.NewReader(data)))
					case "Write":
						_, err = h.Write(data)
					case "Write odd":
						for off := 0; off < size && err == nil; off += 77777 {
							_, err = h.Write(data[off:min(off+77777, size)])
						}
					}
					if err := h.Close(err); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got.Bytes(), data) {
						t.Error("other bytes came out")
					}
					if root, err := tree.Root(); err != nil || root != bao.Sum(data) {
						t.Errorf("hash %s, want %s, %v", root, bao.Sum(data), err)
					}
					if want := max(1, (size+profile.ChunkSize-1)/profile.ChunkSize); size > 0 && leaves != want {
						t.Errorf("%d leaves, want %d", leaves, want)
					}
				})
			}
		}
	}
}

// TestHasherErrors: an error anywhere comes out of Close, once, and no goroutine stays.
func TestHasherErrors(t *testing.T) {
	defer goleak.VerifyNone(t)
	const size = 9 << 20
	data := random(1, size)
	boom := errors.New("boom")
	ok := func(*Piece) error { return nil }
	for name, tc := range map[string]struct {
		size uint64
		in   io.Reader
		out  func(*Piece) error
		want error
	}{
		"file shrank":    {size, bytes.NewReader(data[:size-1]), ok, ErrSize},
		"file grew":      {size - 1, bytes.NewReader(data), ok, ErrSize},
		"file was empty": {1, bytes.NewReader(nil), ok, ErrSize},
		"file was not":   {0, bytes.NewReader(data), ok, ErrSize},
		"reader fails":   {size, io.MultiReader(bytes.NewReader(data[:3<<20]), iotest.ErrReader(boom)), ok, boom},
		"writer fails":   {size, bytes.NewReader(data), func(p *Piece) error { return boom }, boom},
		"writer fails late": {size, bytes.NewReader(data), func(p *Piece) error {
			if p.Offset == 8<<20 {
				return boom
			}
			return nil
		}, boom},
		"small writer fails": {10, bytes.NewReader(data[:10]), func(p *Piece) error { return boom }, boom},
	} {
		t.Run(name, func(t *testing.T) {
			h := New(t.Context(), tc.size, nil, false, tc.out)
			_, err := h.ReadFrom(tc.in)
			if err := h.Close(err); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	t.Run("context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := New(ctx, size, nil, false, func(*Piece) error { cancel(); return nil })
		_, err := h.ReadFrom(bytes.NewReader(data))
		if err := h.Close(err); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
