package native

import (
	"fmt"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// heard is a BlobProgress that remembers.
type heard struct {
	total, done uint64
	parts       map[string]string
}

func (h *heard) Item(_ string, size int64) { h.total += uint64(size) }
func (h *heard) Bytes(n uint64)            { h.done += n }

func (h *heard) Blob(name string, have, size uint64) {
	h.parts[name[:2]] = fmt.Sprintf("%d of %d", have, size)
}

// Two blobs come at the same time, one is begun twice more, of the second time with another size: all is counted once, and how far each is
// is known at any time.
func TestEachBlob(t *testing.T) {
	h := &heard{parts: map[string]string{}}
	e := newEach(h)
	a, b := bao.Hash{0xaa}, bao.Hash{0xbb}
	want := func(total, done uint64, parts ...string) {
		t.Helper()
		if h.total != total || h.done != done || h.parts["aa"] != parts[0] || h.parts["bb"] != parts[1] {
			t.Errorf("%+v, want %d of %d, %q", *h, done, total, parts)
		}
	}
	e.Blob(a, 1000, 100)
	want(900, 0, "100 of 1000", "")
	e.Blob(b, 50, 0)
	want(950, 0, "100 of 1000", "0 of 50")
	e.Bytes(a, 400)
	e.Bytes(b, 50)
	want(950, 450, "500 of 1000", "50 of 50")
	e.Blob(a, 1000, 500)
	want(950, 450, "500 of 1000", "50 of 50")
	e.Blob(a, 1200, 500)
	want(1150, 450, "500 of 1200", "50 of 50")
	e.Bytes(a, 700)
	want(1150, 1150, "1200 of 1200", "50 of 50")
	if len(e.on) != 0 {
		t.Errorf("left: %v", e.on)
	}
}
