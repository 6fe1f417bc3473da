package bridge

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/mapping/layout"
)

// TestPartsOfAFolder: whatever has a CID inside linked content can be got and mapped by it.
func TestPartsOfAFolder(t *testing.T) {
	dir := sample(t)
	wide := filepath.Join(dir, "deep", "wide") // wide enough to be sharded
	if err := os.Mkdir(wide, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 1150 {
		name := filepath.Join(wide, fmt.Sprintf("%04d%s", i, strings.Repeat("n", 200)))
		if err := os.WriteFile(name, []byte(name[len(name)-i%7:]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("x", filepath.Join(dir, "deep", "er", "link")); err != nil {
		t.Fatal(err)
	}
	other := open(t, t.TempDir()) // tells the parts' CIDs
	for _, profile := range []string{"unixfs-v1-2025", "unixfs-v0-2015"} {
		b := open(t, t.TempDir())
		whole := add(t, b, AddRequest{Path: dir, Profile: profile})
		for _, part := range []string{"deep", "deep/er", "deep/wide", "grüße/日本"} {
			c := add(t, other, AddRequest{Path: filepath.Join(dir, filepath.FromSlash(part)), Profile: profile})
			if got := tree(t, b, "/ipfs/"+c.CID); !maps.Equal(diskTree(t, filepath.Join(dir, filepath.FromSlash(part))), got) {
				t.Errorf("%s: got another tree, of %d names", part, len(got))
			}
			want := Mapped{CID: c.CID, Format: "collection", Size: c.Size, CIDs: []string{c.CID}}
			if m, err := b.Map(t.Context(), c.CID); err != nil || !cmp.Equal(m, want) {
				t.Errorf("%s: %v, %v", part, cmp.Diff(want, m), err)
			}
			if _, err := b.Remove(t.Context(), c.CID); !errors.Is(err, ErrInvalid) {
				t.Errorf("rm %s: %v", part, err)
			}
			if _, err := b.Map(t.Context(), c.Hash); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s has a hash here, that nobody could fetch: %v", part, err)
			}
		}
		file := add(t, other, AddRequest{Path: filepath.Join(dir, "deep", "er", "y"), Profile: profile})
		m, err := b.Map(t.Context(), file.CID)
		if err != nil || m.Hash != file.Hash || m.Format != "blob" || m.Size != file.Size {
			t.Errorf("file: %+v, %v", m, err)
		}
		if got := tree(t, b, file.CID)[""]; got != string(random(4, 1<<20+1)) {
			t.Errorf("file of %d bytes", len(got))
		}
		checkChunks(t, b, whole.CID)
	}
}

// checkChunks gets the pieces of a link's largest file.
func checkChunks(t *testing.T, b *Bridge, root string) {
	t.Helper()
	l, err := b.mapping.Link(t.Context(), mustCID(t, root))
	if err != nil {
		t.Fatal(err)
	}
	big, seen := random(10, 5<<20+3), 0
	hash := bao.Sum(big)
	if err := recording.Replay(b.store, l, func(r layout.Record) error {
		if r.Kind != layout.Leaf || r.Block.Blob != hash {
			return nil
		}
		seen++
		want := string(big[r.Block.Offset : r.Block.Offset+r.Block.Length])
		if got := tree(t, b, r.CID.String())[""]; got != want {
			t.Errorf("%s: %d bytes, want %d", r.CID, len(got), len(want))
		}
		if m, err := b.Map(t.Context(), r.CID.String()); err != nil || m.Size != r.Block.Length || m.Format != "blob" {
			t.Errorf("%s: %+v, %v", r.CID, m, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if seen < 6 {
		t.Errorf("the file has %d pieces", seen)
	}
}

// TestImportAPart gives a folder inside other content a hash and a ticket of its own, from what is here.
func TestImportAPart(t *testing.T) {
	b := online(t)
	dir := sample(t)
	add(t, b, AddRequest{Path: dir})
	part := add(t, open(t, t.TempDir()), AddRequest{Path: filepath.Join(dir, "deep")})
	c, err := b.Import(timeout(t), ImportRequest{Path: part.CID}, Silent{})
	if err != nil || c.Hash != part.Hash || c.Ticket == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	if m, err := b.Map(t.Context(), part.CID); err != nil || m.Hash != part.Hash {
		t.Errorf("%+v, %v", m, err)
	}
	verified(t, b)
}

// TestPartThatIsGone is not found, and neither is a block that is no file.
func TestPartThatIsGone(t *testing.T) {
	b := open(t, t.TempDir())
	c := add(t, b, AddRequest{Path: sample(t)})
	cbor := cid.NewCidV1(cid.DagCBOR, mustCID(t, c.CID).Hash())
	if _, err := b.Open(t.Context(), cbor.String(), Silent{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("as dag-cbor: %v", err)
	}
	if _, err := b.Remove(t.Context(), c.CID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context(), c.CID, Silent{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("after rm: %v", err)
	}
}
