// Package mappingtest is the contract of [mapping.Store] as tests. Every
// implementation passes them.
//
// [Test] takes a function that opens a new, empty store; the store is closed by
// the suite. [Reopen] takes one that opens the store in a folder, again with
// what it held. [Model] compares a store, under random operations, with a slow
// and obvious one in memory.
package mappingtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/mapping"
)

// Test runs the contract over stores from open, each new and empty.
func Test(t *testing.T, open func(t *testing.T) mapping.Store) {
	for _, c := range []struct {
		name string
		fn   func(t *testing.T, s mapping.Store)
	}{
		{"empty store finds nothing", testEmpty},
		{"rows are invisible before commit and whole after it", testCommit},
		{"blocks are found by multihash alone", testMultihash},
		{"links are found by either CID version", testVersions},
		{"every kind and size of block comes back", testKinds},
		{"rows of the wrong shape are refused", testInvalid},
		{"delete hides the link and its rows only", testDelete},
		{"shared blocks survive the other link", testShared},
		{"a second commit replaces the first", testReplace},
		{"abort leaves nothing", testAbort},
		{"a transaction is over after commit and abort", testDone},
		{"references say who needs a blob", testRefs},
		{"purge calls orphan for what nothing needs", testPurge},
		{"purge stops at an error and goes on later", testPurgeError},
		{"purge waits for nobody and a reference waits for purge", testPurgeRace},
		{"many transactions at once", testConcurrent},
		{"a block never disappears while its link is replaced", testReplaceRead},
		{"links lists all", testLinks},
		{"a cancelled context is heard", testContext},
		{"a closed store says so", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			c.fn(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// Hash makes a blob hash from a number.
func Hash(n uint64) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("blob"), n))
}

// Multihash makes a multihash from a number.
func Multihash(n uint64) mh.Multihash {
	d := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("block"), n))
	m, err := mh.Encode(d[:], mh.SHA2_256)
	if err != nil {
		panic(err) // a digest of the right length always encodes
	}
	return m
}

// CID makes a CIDv1 from a codec and a number.
func CID(codec, n uint64) cid.Cid { return cid.NewCidV1(codec, Multihash(n)) }

// Leaf makes a leaf block from a number: a range of the blob with the number
// n/1000.
func Leaf(n uint64) mapping.Block {
	return mapping.Block{Multihash: Multihash(n), Blob: Hash(n / 1000), Offset: n % 1000 << 18, Length: 1 << 18}
}

// Node makes an interior block from a number.
func Node(n uint64) mapping.Block {
	return mapping.Block{Multihash: Multihash(n), Node: bytes.Repeat([]byte{byte(n)}, int(n%64))}
}

// Link makes a link from a number. Its CID is CIDv1, raw.
func Link(n uint64) mapping.Link {
	return mapping.Link{
		CID: CID(cid.Raw, n), Hash: Hash(n), Format: mapping.FormatBlob, Size: n, Blocks: 3, Layout: Hash(n + 1<<32),
		Profile: "unixfs-v1-2025",
	}
}

// put commits a link with some blocks.
func put(t testing.TB, s mapping.Store, l mapping.Link, blocks ...mapping.Block) {
	t.Helper()
	tx := begin(t, s)
	for _, b := range blocks {
		if err := tx.Block(b); err != nil {
			t.Fatalf("block: %v", err)
		}
	}
	if err := tx.Commit(context.Background(), l); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func begin(t testing.TB, s mapping.Store) mapping.Tx {
	t.Helper()
	tx, err := s.Begin(context.Background())
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	return tx
}

func wantBlock(t testing.TB, s mapping.Store, want mapping.Block) {
	t.Helper()
	got, err := s.Block(context.Background(), want.Multihash)
	if err != nil {
		t.Fatalf("block %v: %v", want.Multihash, err)
	}
	if d := cmp.Diff(normal(want), normal(got)); d != "" {
		t.Fatalf("block (-want +got):\n%s", d)
	}
}

// normal makes an empty slice nil.
func normal(b mapping.Block) mapping.Block {
	for _, p := range []*[]byte{&b.Node, &b.Prefix, &b.Suffix} {
		if len(*p) == 0 {
			*p = nil
		}
	}
	return b
}

func wantNoBlock(t testing.TB, s mapping.Store, m mh.Multihash) {
	t.Helper()
	if b, err := s.Block(context.Background(), m); !errors.Is(err, mapping.ErrNotFound) {
		t.Fatalf("block %v: got %+v, %v; want not found", m, b, err)
	}
}

func wantLink(t testing.TB, s mapping.Store, c cid.Cid, want mapping.Link) {
	t.Helper()
	got, err := s.Link(context.Background(), c)
	if err != nil {
		t.Fatalf("link %s: %v", c, err)
	}
	sameLink(t, want, got)
}

// sameLink compares links; a zero Created in want means any.
func sameLink(t testing.TB, want, got mapping.Link) {
	t.Helper()
	if want.Created.IsZero() {
		if got.Created.IsZero() {
			t.Fatalf("link %s has no time", got.CID)
		}
		want.Created = got.Created
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b cid.Cid) bool { return a == b })); d != "" {
		t.Fatalf("link (-want +got):\n%s", d)
	}
}

func wantNoLink(t testing.TB, s mapping.Store, c cid.Cid) {
	t.Helper()
	if l, err := s.Link(context.Background(), c); !errors.Is(err, mapping.ErrNotFound) {
		t.Fatalf("link %s: got %+v, %v; want not found", c, l, err)
	}
}

func wantReferenced(t testing.TB, s mapping.Store, hash [32]byte, want bool) {
	t.Helper()
	got, err := s.Referenced(context.Background(), hash)
	if err != nil || got != want {
		t.Fatalf("referenced %x: got %v, %v; want %v", hash[:4], got, err, want)
	}
}

// purge purges and returns the hashes that became orphans, which were listed as such before.
func purge(t testing.TB, s mapping.Store) map[[32]byte]int {
	t.Helper()
	listed, got := make(map[[32]byte]int), make(map[[32]byte]int)
	count := func(in map[[32]byte]int) func([32]byte) error { return func(h [32]byte) error { in[h]++; return nil } }
	if err := s.Orphans(context.Background(), count(listed)); err != nil {
		t.Fatalf("orphans: %v", err)
	}
	if err := s.Purge(context.Background(), count(got)); err != nil {
		t.Fatalf("purge: %v", err)
	}
	if !maps.Equal(listed, got) {
		t.Errorf("%d orphans are listed, %d are purged", len(listed), len(got))
	}
	return got
}
