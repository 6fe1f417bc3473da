package provider

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// errHashSeq says that a blob is not a hash sequence, because its size is not a multiple of 32.
var errHashSeq = errors.New("blobs: not a hash sequence")

// hashSize is the size of one entry of a hash sequence.
const hashSize = uint64(len(bao.Hash{}))

// hashSeq looks up hashes in a stored hash sequence. It holds one verified group of 512 hashes at a time, so that a
// sequence of any length costs 16 KiB. The zero blob is opened at the first look-up.
type hashSeq struct {
	open func(bao.Hash) (*store.Blob, error)
	hash bao.Hash

	blob  *store.Blob
	group uint64
	data  []byte // content of group; nil when none was read
	buf   bytes.Buffer
}

// child returns hash number i; past the end ok is false.
func (s *hashSeq) child(i uint64) (hash bao.Hash, ok bool, err error) {
	if s.blob == nil {
		if s.blob, err = s.open(s.hash); err != nil {
			return hash, false, fmt.Errorf("blobs: hash sequence %s: %w", s.hash.ShortString(), err)
		}
	}
	size := s.blob.Size()
	if size%hashSize != 0 {
		return hash, false, fmt.Errorf("%w: %d bytes", errHashSeq, size)
	}
	if i >= size/hashSize {
		return hash, false, nil
	}
	const perGroup = bao.GroupSize / hashSize
	if group := i / perGroup; s.data == nil || group != s.group {
		if err := s.read(group, size); err != nil {
			return hash, false, err
		}
	}
	copy(hash[:], s.data[i%perGroup*hashSize:])
	return hash, true, nil
}

// read verifies one group. The group is the only leaf of its encoding and so the end of it.
func (s *hashSeq) read(group, size uint64) error {
	s.data = nil
	s.buf.Reset()
	first := group * (bao.GroupSize / bao.ChunkSize)
	ranges := bao.Span(first, first+bao.GroupSize/bao.ChunkSize)
	if err := bao.Encode(&s.buf, s.hash, size, s.blob, s.blob.Outboard(), ranges); err != nil {
		return fmt.Errorf("blobs: hash sequence %s: %w", s.hash.ShortString(), err)
	}
	length := min(bao.GroupSize, size-group*bao.GroupSize)
	s.group, s.data = group, s.buf.Bytes()[uint64(s.buf.Len())-length:]
	return nil
}

func (s *hashSeq) close() {
	if s.blob != nil {
		_ = s.blob.Close()
	}
}
