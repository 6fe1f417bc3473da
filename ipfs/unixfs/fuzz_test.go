package unixfs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"
)

// anyBlock answers every CID with one of a few blocks, chosen by the CID: what a fetcher that does not verify could be
// made to deliver.
type anyBlock [][]byte

func (b anyBlock) Block(_ context.Context, c cid.Cid) ([]byte, error) {
	h := c.Hash()
	return b[int(h[len(h)-1])%len(b)], nil
}

func (anyBlock) Prefetch([]cid.Cid) {}

// FuzzWalk walks DAGs of arbitrary blocks: a walk ends at a limit or an error that names a block, or everything that it
// delivered is consistent, which the recorder checks.
func FuzzWalk(f *testing.F) {
	files, err := filepath.Glob("testdata/*.car")
	if err != nil || len(files) == 0 {
		f.Fatalf("no CARs: %v", err)
	}
	for _, file := range files {
		car, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var blocks [][]byte
		for h, b := range readCAR(f, car) {
			if c, err := cid.Cast(append([]byte{1, 0x70}, h...)); err == nil && len(b) > 0 && b[0] <= 0x12 && c.Defined() {
				blocks = append(blocks, b)
			}
		}
		for i := 0; i+2 < len(blocks) && i < 12; i += 3 {
			f.Add(blocks[i], blocks[i+1], blocks[i+2])
		}
	}
	f.Add([]byte{0x0a, 2, 8, 1}, []byte{0x0a, 4, 8, 2, 0x18, 0}, []byte("raw"))
	root := blockMap{}.put(cid.DagProtobuf, nil)
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		blocks := anyBlock{a, b, c}
		r := newRecorder(t)
		err := Walk(t.Context(), root, blocks, r, Limits{Depth: 20, Blocks: 500, Bytes: 1 << 20})
		var ne *NodeError
		if err != nil && !errors.As(err, &ne) {
			t.Fatalf("an error that names no block: %v", err)
		}
		if err == nil && (r.inFile || len(r.open) > 0) {
			t.Fatal("the walk ended in a file or directory")
		}
		if _, err := List(t.Context(), root, blocks, Limits{Depth: 20, Blocks: 500}, func(string, cid.Cid) error { return nil }); err != nil && !errors.As(err, &ne) {
			t.Fatalf("an error that names no block: %v", err)
		}
		for _, name := range []string{"", "a", ".."} {
			if _, err := Lookup(t.Context(), root, name, blocks); err != nil && !errors.As(err, &ne) {
				t.Fatalf("an error that names no block: %v", err)
			}
		}
	})
}
