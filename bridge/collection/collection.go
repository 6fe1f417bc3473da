// Package collection reads an iroh hash sequence as a tree of files, and says how paths stand in one.
//
// A collection's names are paths and come from strangers: they are checked before they become folders. A hash sequence
// without names becomes files that are numbered, with as many digits as the last one needs.
package collection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// MaxBytes bounds a hash sequence or a collection's names when they are read whole (sendme's own limit), against a ticket
// whose root is an endless blob.
const MaxBytes = 32 << 20

// ErrTooLarge says that a blob has more than MaxBytes.
var ErrTooLarge = errors.New("blob is too large to be read whole")

// ReadBlob returns a whole blob: a hash sequence, or a collection's names. It is hashed again, since what is said in it decides over
// other blobs. Errors: ErrTooLarge, and the store's, with store.ErrDamaged for other bytes.
func ReadBlob(s *store.Store, hash bao.Hash) ([]byte, error) {
	blob, err := s.Open(hash)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	if blob.Size() > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes; the limit is %d", ErrTooLarge, blob.Size(), MaxBytes)
	}
	data := make([]byte, blob.Size())
	if _, err := blob.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if bao.Sum(data) != hash {
		return nil, &store.DamageError{Hash: hash, Part: "data", Err: bao.ErrHashMismatch}
	}
	return data, nil
}

// A Tree is what a hash sequence holds. Its files are in path order.
type Tree struct {
	// Format is a collection, or a hash sequence without names.
	Format mapping.Format
	// Meta is the blob with a collection's names.
	Meta bao.Hash

	names  []string
	hashes []bao.Hash
}

// Read reads a hash sequence, and its names with read if it is a collection. What is not a tree of files is
// recording.ErrContent; read's own errors come as they are.
func Read(seq []byte, read func(bao.Hash) ([]byte, error)) (*Tree, error) {
	hashes, err := blobs.ParseHashSeq(seq)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", recording.ErrContent, err)
	}
	t := &Tree{Format: mapping.FormatHashSeq, hashes: hashes}
	if len(hashes) > 0 {
		meta, err := read(hashes[0])
		if err != nil && !errors.Is(err, ErrTooLarge) {
			return nil, err
		}
		if blobs.IsCollection(meta) {
			c, err := blobs.ParseCollection(meta, seq)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", recording.ErrContent, err)
			}
			t.Format, t.Meta = mapping.FormatCollection, hashes[0]
			t.names, t.hashes = c.Names, c.Hashes
		}
	}
	if len(t.hashes) > recording.MaxEntries {
		return nil, fmt.Errorf("%w: %d files in one hash sequence; the limit is %d", recording.ErrContent, len(t.hashes), recording.MaxEntries)
	}
	if t.Format == mapping.FormatHashSeq {
		t.number()
	}
	t.sort()
	return t, nil
}

func (t *Tree) number() {
	digits := len(strconv.Itoa(max(len(t.hashes)-1, 0)))
	for i := range t.hashes {
		t.names = append(t.names, fmt.Sprintf("%0*d", digits, i))
	}
}

// sort puts the files into path order, in which everything below a folder stands together.
func (t *Tree) sort() {
	order := make([]int, len(t.names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return blobs.ComparePaths(t.names[a], t.names[b]) })
	names, hashes := make([]string, len(order)), make([]bao.Hash, len(order))
	for i, from := range order {
		names[i], hashes[i] = t.names[from], t.hashes[from]
	}
	t.names, t.hashes = names, hashes
}

// Hash names the blob of the file with that Index.
func (t *Tree) Hash(index int) bao.Hash { return t.hashes[index] }

// List implements half of recording.Source: what a folder holds, sorted by name.
func (t *Tree) List(_ context.Context, dir string) ([]recording.Item, error) {
	prefix := ""
	if dir != "." {
		prefix = dir + "/"
	}
	start, _ := slices.BinarySearchFunc(t.names, prefix, blobs.ComparePaths)
	var items []recording.Item
	for i := start; i < len(t.names) && strings.HasPrefix(t.names[i], prefix); i++ {
		name, _, nested := strings.Cut(t.names[i][len(prefix):], "/")
		if len(items) > 0 && items[len(items)-1].Name == name {
			continue // more files of the same folder
		}
		it := recording.Item{Name: name, Kind: unixfs.KindFile, Index: i}
		if nested {
			it.Kind = unixfs.KindDirectory
		}
		items = append(items, it)
	}
	return items, nil
}
