// Package bao hashes, encodes and decodes BLAKE3 verified streams with the
// chunk groups that iroh-blobs uses. It is pure: no goroutines, no files, no
// clock; it works on readers, writers and byte slices that the caller owns.
//
// # The tree
//
// A blob is cut into chunks of 1024 bytes; the last one may be shorter, and the
// empty blob is one empty chunk. A chunk's chaining value (CV, 32 bytes) is its
// BLAKE3 compression with the chunk's index in the blob as the counter. A
// parent's CV is the compression of left CV ‖ right CV with the flag PARENT.
// Of n > 1 chunks the left subtree holds the largest power of two below n. The
// top node is compressed with the flag ROOT and gives the blob's hash, which is
// the ordinary BLAKE3 hash of its bytes (BLAKE3 paper, sections 2.1 and 2.4).
//
// Sixteen chunks (16 KiB) are a chunk group. Only nodes above the groups are
// kept, so a blob of g groups has g-1 pairs.
//
// # The outboard
//
// The g-1 pairs in pre-order (a node, its whole left subtree, its whole right
// subtree), each left CV ‖ right CV, 64 bytes; no size prefix. This is byte for
// byte iroh-blobs' ".obao4". Blobs of up to one group have an empty outboard.
//
// # The encoding of a range query
//
// Units are chunks. The query is clamped to the blob's size ([Ranges.Clamp]) and
// the tree is walked in pre-order. A subtree that the query does not touch adds
// nothing. A subtree of at most 16 chunks that is selected as a whole, and any
// single chunk, adds its data. Every other subtree adds its pair, and then its
// two children. Inside a chunk group there are therefore parents only when the
// group is partly selected. The blob's size (u64 little-endian on the wire) is
// not part of what this package reads and writes.
//
// # Trust
//
// Nothing is trusted but the root hash. [Decoder] hands out only bytes that hash
// up to it; the claimed size decides the shape of the tree and nothing else, costs
// no memory, and is proven once the last chunk has been verified. [Encode] does
// not trust the disk either: each pair and each group is checked against the
// root before it, or anything below it, is written.
package bao
