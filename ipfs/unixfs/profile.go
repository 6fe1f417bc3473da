package unixfs

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// An Estimate is the way in which the size of a directory is reckoned before it is sharded (IPIP-499).
type Estimate uint8

const (
	// EstimateLinks adds up the bytes of names and CIDs ("links-bytes").
	EstimateLinks Estimate = iota
	// EstimateBlock is the exact size of the block that a plain directory would be ("block-bytes").
	EstimateBlock
)

// A Profile is everything that the CID of a file or folder depends on beside its bytes and names.
type Profile struct {
	Name           string
	CIDVersion     int    // of dag-pb nodes; raw leaves have version 1 always
	HashCode       uint64 // multihash code; version 0 needs sha2-256
	ChunkSize      int    // bytes of a leaf, except the last
	Width          int    // most links of a file's node
	RawLeaves      bool   // false: leaves are UnixFS nodes of type File
	ShardThreshold int    // a directory is sharded when its estimated bytes are more than this; 0: never
	ShardEstimate  Estimate
	ShardFanout    int // slots of a shard: a power of two, 8 to 1,024
}

// ProfileByName returns one of the profiles of IPIP-499, unixfs-v1-2025 or unixfs-v0-2015.
func ProfileByName(name string) (Profile, error) {
	p := Profile{Name: name, HashCode: mh.SHA2_256, ShardThreshold: 256 << 10, ShardFanout: 256}
	switch name {
	case "unixfs-v1-2025":
		p.CIDVersion, p.RawLeaves = 1, true
		p.ChunkSize, p.Width = 1<<20, 1024
		p.ShardEstimate = EstimateBlock
	case "unixfs-v0-2015":
		p.ChunkSize, p.Width = 256<<10, 174
		p.ShardEstimate = EstimateLinks
	default:
		return Profile{}, fmt.Errorf("unixfs: no profile %q; there are unixfs-v1-2025 and unixfs-v0-2015", name)
	}
	return p, nil
}

// Validate reports a profile that no DAG can be built with.
func (p Profile) Validate() error {
	switch {
	case p.CIDVersion != 0 && p.CIDVersion != 1:
		return fmt.Errorf("unixfs: profile %q: CID version %d", p.Name, p.CIDVersion)
	case p.CIDVersion == 0 && p.HashCode != mh.SHA2_256:
		return fmt.Errorf("unixfs: profile %q: CID version 0 needs sha2-256", p.Name)
	case p.ChunkSize < 1 || p.Width < 2:
		return fmt.Errorf("unixfs: profile %q: chunks of %d bytes, width %d", p.Name, p.ChunkSize, p.Width)
	case p.ShardThreshold > 0 && !validFanout(uint64(p.ShardFanout)):
		return fmt.Errorf("unixfs: profile %q: fanout %d", p.Name, p.ShardFanout)
	}
	return nil
}

// validFanout accepts powers of two from 8 to 1,024.
func validFanout(n uint64) bool {
	return n >= minFanout && n <= maxFanout && bits.OnesCount64(n) == 1
}

// A Leaf is a block that holds a range of a file: Prefix, then Size bytes of the file, then Suffix.
type Leaf struct {
	CID       cid.Cid
	Size      uint64 // file bytes
	Prefix    []byte // nil for raw leaves
	Suffix    []byte
	BlockSize uint64 // len(Prefix) + Size + len(Suffix)
}

// Leaf computes the leaf of one chunk. data is neither kept nor copied; any number of calls may run at one time.
func (p Profile) Leaf(data []byte) (Leaf, error) {
	l := Leaf{Size: uint64(len(data)), BlockSize: uint64(len(data))}
	var err error
	if p.RawLeaves {
		l.CID, err = p.sum(cid.Raw, data)
		return l, err
	}
	l.Prefix, l.Suffix = codec.WrapLeaf(l.Size)
	l.BlockSize += uint64(len(l.Prefix) + len(l.Suffix))
	l.CID, err = p.sum(cid.DagProtobuf, l.Prefix, data, l.Suffix)
	return l, err
}

// sum hashes the concatenation of parts into a CID.
func (p Profile) sum(codec uint64, parts ...[]byte) (cid.Cid, error) {
	var digest []byte
	if p.HashCode == mh.SHA2_256 && len(parts) == 1 {
		d := sha256.Sum256(parts[0])
		digest = d[:]
	} else {
		h := sha256.New()
		if p.HashCode != mh.SHA2_256 {
			var err error
			if h, err = mh.GetHasher(p.HashCode); err != nil {
				return cid.Undef, fmt.Errorf("unixfs: profile %q: hash 0x%x: %w", p.Name, p.HashCode, err)
			}
		}
		for _, part := range parts {
			h.Write(part) // a hash.Hash never fails
		}
		digest = h.Sum(nil)
	}
	multihash, err := mh.Encode(digest, p.HashCode)
	if err != nil {
		return cid.Undef, fmt.Errorf("unixfs: profile %q: %w", p.Name, err)
	}
	if p.CIDVersion == 0 && codec == cid.DagProtobuf {
		return cid.NewCidV0(multihash), nil
	}
	return cid.NewCidV1(codec, multihash), nil
}
