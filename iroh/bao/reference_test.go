package bao

import (
	"encoding/binary"
	"math/bits"
	"sort"
)

// This file is a second implementation, written for being read: BLAKE3 one block
// at a time after the paper, trees by recursion over single chunks, queries as one
// truth value a chunk. Nothing of it is shared with the code under test.

var refIV = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

const (
	refChunkStart = 1 << iota
	refChunkEnd
	refParent
	refRoot
)

// refCompress is the compression function of section 2.2, first half of its output.
func refCompress(h [8]uint32, block [64]byte, counter uint64, blockLen int, flags uint32) [8]uint32 {
	var m [16]uint32
	for i := range m {
		m[i] = binary.LittleEndian.Uint32(block[4*i:])
	}
	v := [16]uint32{8: refIV[0], 9: refIV[1], 10: refIV[2], 11: refIV[3],
		12: uint32(counter), 13: uint32(counter >> 32), 14: uint32(blockLen), 15: flags}
	copy(v[:], h[:])
	g := func(a, b, c, d int, x, y uint32) {
		v[a] += v[b] + x
		v[d] = bits.RotateLeft32(v[d]^v[a], -16)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -12)
		v[a] += v[b] + y
		v[d] = bits.RotateLeft32(v[d]^v[a], -8)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -7)
	}
	for range 7 {
		g(0, 4, 8, 12, m[0], m[1])
		g(1, 5, 9, 13, m[2], m[3])
		g(2, 6, 10, 14, m[4], m[5])
		g(3, 7, 11, 15, m[6], m[7])
		g(0, 5, 10, 15, m[8], m[9])
		g(1, 6, 11, 12, m[10], m[11])
		g(2, 7, 8, 13, m[12], m[13])
		g(3, 4, 9, 14, m[14], m[15])
		var p [16]uint32
		for i, from := range [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8} {
			p[i] = m[from]
		}
		m = p
	}
	for i := range h {
		h[i] = v[i] ^ v[i+8]
	}
	return h
}

func refBytes(h [8]uint32) (b [32]byte) {
	for i, w := range h {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return b
}

func refChunk(chunk []byte, index uint64, root bool) [32]byte {
	h, flags := refIV, uint32(refChunkStart)
	for {
		var block [64]byte
		n := copy(block[:], chunk)
		chunk = chunk[n:]
		if len(chunk) == 0 {
			flags |= refChunkEnd
			if root {
				flags |= refRoot
			}
			return refBytes(refCompress(h, block, index, n, flags))
		}
		h = refCompress(h, block, index, n, flags)
		flags = 0
	}
}

func refPair(l, r [32]byte, root bool) [32]byte {
	flags := uint32(refParent)
	if root {
		flags |= refRoot
	}
	return refBytes(refCompress(refIV, [64]byte(append(l[:], r[:]...)), 0, 64, flags))
}

// refBlob is a blob cut into chunks. known, if not nil, remembers the hashes of
// subtrees of full chunks below the root, for blobs that begin alike.
type refBlob struct {
	data  []byte
	known map[[2]uint64][32]byte
}

func (b refBlob) chunks() uint64 { return max(1, (uint64(len(b.data))+1023)/1024) }

func (b refBlob) bytes(s, e uint64) []byte {
	return b.data[s*1024 : min(e*1024, uint64(len(b.data)))]
}

func refMid(s, e uint64) uint64 {
	mid := uint64(1)
	for mid*2 < e-s {
		mid *= 2
	}
	return s + mid
}

func (b refBlob) hash(s, e uint64, root bool) [32]byte {
	full := e*1024 <= uint64(len(b.data)) && !root
	if h, ok := b.known[[2]uint64{s, e}]; ok && full {
		return h
	}
	var h [32]byte
	if e-s == 1 {
		h = refChunk(b.bytes(s, e), s, root)
	} else {
		mid := refMid(s, e)
		h = refPair(b.hash(s, mid, false), b.hash(mid, e, false), root)
	}
	if b.known != nil && full {
		b.known[[2]uint64{s, e}] = h
	}
	return h
}

// outboard returns the pairs above subtrees of 16 chunks, in pre-order.
func (b refBlob) outboard(s, e uint64) []byte {
	if e-s <= 16 {
		return nil
	}
	mid := refMid(s, e)
	l, r := b.hash(s, mid, false), b.hash(mid, e, false)
	out := append(l[:], r[:]...)
	out = append(out, b.outboard(s, mid)...)
	return append(out, b.outboard(mid, e)...)
}

// encode appends the encoding of the selected chunks of a subtree to out.
func (b refBlob) encode(out []byte, s, e uint64, selected []bool) []byte {
	some, whole := false, true
	for _, on := range selected[s:e] {
		some, whole = some || on, whole && on
	}
	switch {
	case !some:
		return out
	case e-s == 1, whole && e-s <= 16:
		return append(out, b.bytes(s, e)...)
	}
	mid := refMid(s, e)
	l, r := b.hash(s, mid, false), b.hash(mid, e, false)
	out = append(append(out, l[:]...), r[:]...)
	return b.encode(b.encode(out, s, mid, selected), mid, e, selected)
}

// refTruncate cuts boundaries as iroh does (bao-tree 0.17, by its four cases).
func refTruncate(b []uint64, chunks uint64) []uint64 {
	last := chunks - 1
	i := sort.Search(len(b), func(i int) bool { return b[i] >= last })
	found := i < len(b) && b[i] == last
	switch {
	case found && i%2 == 0:
		return b[:i+1]
	case found && i == len(b)-1:
		return b
	case found:
		return b[:i]
	case i%2 == 0 && i == len(b):
		return b
	case i%2 == 0:
		return b[:i+1]
	}
	return b[:i]
}

// refSelect tells for each chunk whether the query selects it. What iroh's walk
// does with an open start beyond the end, to follow the right edge, is to select
// the last chunk.
func refSelect(r []uint64, chunks uint64) []bool {
	r = refTruncate(r, chunks)
	selected := make([]bool, chunks)
	for i := 0; i < len(r); i += 2 {
		end := chunks
		if i+1 < len(r) {
			end = min(end, r[i+1])
		}
		for c := r[i]; c < end; c++ {
			selected[c] = true
		}
		if i+1 == len(r) && r[i] >= chunks {
			selected[chunks-1] = true
		}
	}
	return selected
}
