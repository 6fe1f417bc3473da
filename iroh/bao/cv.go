package bao

import (
	"encoding/binary"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

// cv is a chaining value as the eight words that the compression works on.
type cv [8]uint32

func loadCV(b []byte) (v cv) {
	_ = b[31]
	for i := range v {
		v[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return v
}

func storeCV(b []byte, v cv) {
	_ = b[31]
	for i, w := range v {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
}

func (v cv) hash() (h Hash) {
	storeCV(h[:], v)
	return h
}

// rootFlag is ROOT for the top node of a blob and 0 for every other.
func rootFlag(root bool) uint32 {
	if root {
		return guts.FlagRoot
	}
	return 0
}

// finish compresses a node to its chaining value.
func finish(n *guts.Node) (v cv) {
	out := guts.CompressNode(*n)
	copy(v[:], out[:8])
	return v
}

// parentCV compresses two chaining values.
func parentCV(left, right cv, root bool) cv {
	n := guts.Node{CV: guts.IV, BlockLen: guts.BlockSize, Flags: guts.FlagParent | rootFlag(root)}
	copy(n.Block[:8], left[:])
	copy(n.Block[8:], right[:])
	return finish(&n)
}

// pairCV compresses a 64-byte pair as it stands in an outboard.
func pairCV(pair []byte, root bool) (parent, left, right cv) {
	left, right = loadCV(pair), loadCV(pair[32:])
	return parentCV(left, right, root), left, right
}

// groupCV hashes at most one chunk group that begins with the given chunk. The
// vector code wants 16 KiB of readable memory whatever the length; scratch is
// where a shorter group is put for it (what else lies there does not matter).
func groupCV(data []byte, chunk uint64, root bool, scratch *[GroupSize]byte) cv {
	var n guts.Node
	switch {
	case len(data) <= ChunkSize:
		n = guts.CompressChunk(data, &guts.IV, chunk, 0)
	case len(data) == GroupSize:
		n = guts.CompressBuffer((*[GroupSize]byte)(data), GroupSize, &guts.IV, chunk, 0)
	default:
		copy(scratch[:], data)
		n = guts.CompressBuffer(scratch, len(data), &guts.IV, chunk, 0)
	}
	n.Flags |= rootFlag(root)
	return finish(&n)
}

// touch reads one byte of each cache line and returns something made of them. The
// vector code reads sixteen streams at once, 1 KiB apart, which the processor does
// not prefetch well: data that is not cached yet hashes half as fast again after
// this, and it costs next to nothing when the data is cached.
func touch(data []byte) (x byte) {
	for len(data) >= 4*64 {
		x ^= data[0] ^ data[64] ^ data[128] ^ data[192]
		data = data[4*64:]
	}
	return x
}

// subtreeCV hashes data, which begins with the given chunk and is one subtree of
// its blob. If pairs is not nil it has room for the subtree's pairs above the
// chunk groups and receives them in pre-order.
func subtreeCV(data []byte, chunk uint64, root bool, pairs []byte, scratch *[GroupSize]byte) cv {
	if len(data) <= GroupSize {
		scratch[0] = touch(data)
		return groupCV(data, chunk, root, scratch)
	}
	// For more than one chunk the largest power of two of chunks below n is the
	// largest power of two of bytes below the length.
	mid := 1 << (bits.Len(uint(len(data)-1)) - 1)
	var leftPairs, rightPairs []byte
	if pairs != nil {
		leftPairs = pairs[pairSize : mid/GroupSize*pairSize]
		rightPairs = pairs[mid/GroupSize*pairSize:]
	}
	left := subtreeCV(data[:mid], chunk, false, leftPairs, scratch)
	right := subtreeCV(data[mid:], chunk+uint64(mid/ChunkSize), false, rightPairs, scratch)
	if pairs != nil {
		storeCV(pairs, left)
		storeCV(pairs[32:], right)
	}
	return parentCV(left, right, root)
}

// Sum returns the hash of data, on the calling goroutine.
func Sum(data []byte) Hash {
	var scratch [GroupSize]byte
	return subtreeCV(data, 0, true, nil, &scratch).hash()
}
