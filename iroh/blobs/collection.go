package blobs

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/name"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// collectionHeader begins the metadata blob of every collection.
const collectionHeader = "CollectionV0."

// hashSize is the size of one entry of a hash sequence.
const hashSize = 32

// ErrHashSeq says that a blob is not a hash sequence, because its size is not a multiple of 32.
var ErrHashSeq = errors.New("blobs: not a hash sequence")

// ErrCollection says that a hash sequence is not a well-formed collection.
var ErrCollection = errors.New("blobs: not a collection")

// Collection is a folder of blobs: Names[i] is the path of the blob Hashes[i]. Both have the same length. On the wire it
// is a hash sequence whose first hash is that of the metadata blob and whose others are Hashes; the metadata blob is
//
//	"CollectionV0." | count varint | count times: length varint, UTF-8
//
// (iroh-blobs, format/collection.rs).
type Collection struct {
	Names  []string
	Hashes []bao.Hash
}

// ErrName says that a name in a collection is not one that may become a path.
var ErrName = name.ErrName

// ValidName tells whether a name from a collection may be used as a path below a folder of ours: parts of 1 to 255
// bytes joined by single slashes, valid UTF-8, 4,096 bytes in all. Refused are "." and "..", absolute names,
// backslashes and drive letters (paths on Windows) and NUL. The error wraps [ErrName] and quotes the name. sendme's
// receiver checks none of this (0.37.1); the provider chooses the names, so the receiver has to.
//
// A valid name may still lead through a symbolic link that was there before: write through [os.Root].
func ValidName(path string) error { return name.Valid(path) }

// ComparePaths orders names part by part (the slash before all else), so that what lies below a name follows it directly. It is less
// than, equal to or greater than 0, as in slices.SortFunc.
func ComparePaths(a, b string) int { return name.Compare(a, b) }

// ParseHashSeq splits the content of a hash sequence, which must be a multiple of 32 bytes long.
func ParseHashSeq(data []byte) ([]bao.Hash, error) {
	if len(data)%hashSize != 0 {
		return nil, fmt.Errorf("%w: %d bytes", ErrHashSeq, len(data))
	}
	hashes := make([]bao.Hash, len(data)/hashSize)
	for i := range hashes {
		copy(hashes[i][:], data[i*hashSize:])
	}
	return hashes, nil
}

// AppendHashSeq appends a hash sequence to b.
func AppendHashSeq(b []byte, hashes []bao.Hash) []byte {
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

// ParseCollection reads a collection from its metadata blob and its hash sequence, both of which are already verified
// against their hashes but written by a stranger: all names are checked with [ValidName], no two may be the same path,
// and there must be one for each hash. The error wraps [ErrCollection], [ErrHashSeq] or [ErrName].
func ParseCollection(meta, hashSeq []byte) (Collection, error) {
	count := len(hashSeq)/hashSize - 1
	switch {
	case len(hashSeq)%hashSize != 0:
		return Collection{}, fmt.Errorf("%w: %d bytes", ErrHashSeq, len(hashSeq))
	case count < 0:
		return Collection{}, fmt.Errorf("%w: empty hash sequence", ErrCollection)
	case count > maxChildren:
		return Collection{}, fmt.Errorf("%w: %d files, at most %d are taken", ErrCollection, count, maxChildren)
	case len(meta) > maxMeta:
		return Collection{}, fmt.Errorf("%w: %d bytes of names, at most %d are taken", ErrCollection, len(meta), maxMeta)
	}
	names, err := parseMeta(meta, count)
	if err != nil {
		return Collection{}, err
	}
	if err := name.ValidAll(names); err != nil {
		return Collection{}, err
	}
	hashes, err := ParseHashSeq(hashSeq[hashSize:])
	if err != nil {
		return Collection{}, err
	}
	return Collection{Names: names, Hashes: hashes}, nil
}

// IsCollection tells whether a blob is, by its first bytes, the metadata of a collection.
func IsCollection(meta []byte) bool {
	return bytes.HasPrefix(meta, []byte(collectionHeader))
}

// parseMeta reads exactly count names. They share one copy of meta.
func parseMeta(meta []byte, count int) ([]string, error) {
	if !IsCollection(meta) {
		return nil, fmt.Errorf("%w: the first blob does not begin with %q", ErrCollection, collectionHeader)
	}
	text := string(meta)
	r := postcard.NewReader(meta[len(collectionHeader):])
	if n := r.Count(1); n != count || r.Err() != nil {
		return nil, fmt.Errorf("%w: its names are not those of %d files", ErrCollection, count)
	}
	names := make([]string, count)
	for i := range names {
		n := len(r.Bytes())
		end := len(text) - r.Len()
		if r.Err() != nil {
			return nil, fmt.Errorf("%w: name %d: %w", ErrCollection, i, r.Err())
		}
		names[i] = text[end-n : end]
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last name", ErrCollection, r.Len())
	}
	return names, nil
}

// Meta returns the metadata blob, byte for byte as iroh-blobs writes it.
func (c Collection) Meta() []byte {
	b := append([]byte(nil), collectionHeader...)
	b = postcard.AppendUint(b, uint64(len(c.Names)))
	for _, path := range c.Names {
		b = postcard.AppendString(b, path)
	}
	return b
}

// HashSeq returns the hash sequence; metaHash is the hash of what [Collection.Meta] returns.
func (c Collection) HashSeq(metaHash bao.Hash) []byte {
	b := make([]byte, 0, (len(c.Hashes)+1)*hashSize)
	return AppendHashSeq(append(b, metaHash[:]...), c.Hashes)
}

// Valid checks a collection that is to be written as [ParseCollection] checks one that is read.
func (c Collection) Valid() error {
	if len(c.Names) != len(c.Hashes) {
		return fmt.Errorf("%w: %d names for %d files", ErrCollection, len(c.Names), len(c.Hashes))
	}
	if len(c.Names) > maxChildren {
		return fmt.Errorf("%w: %d files, at most %d are taken", ErrCollection, len(c.Names), maxChildren)
	}
	return name.ValidAll(c.Names)
}
