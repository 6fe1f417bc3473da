package mapping

import (
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// BLAKE3Of returns the 32-byte BLAKE3 digest that c carries, if it does: the
// hash of a blob. Longer BLAKE3 digests never name blobs.
func BLAKE3Of(c cid.Cid) (hash [32]byte, ok bool) {
	d, err := mh.Decode(c.Hash())
	if err != nil || d.Code != mh.BLAKE3 || d.Length != len(hash) {
		return hash, false
	}
	return [32]byte(d.Digest), true
}

// BLAKE3CID is the raw CID that names a blob of size bytes by its own hash. A
// blob larger than MaxBlock has none that a peer could fetch.
func BLAKE3CID(hash [32]byte, size uint64) (cid.Cid, bool) {
	if size > MaxBlock {
		return cid.Undef, false
	}
	sum, err := mh.Encode(hash[:], mh.BLAKE3)
	if err != nil {
		return cid.Undef, false
	}
	return cid.NewCidV1(cid.Raw, sum), true
}
