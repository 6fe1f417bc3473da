// Package unixfs lays file bytes out as UnixFS DAGs and reads UnixFS DAGs back in file order.
//
// It is pure: no file, no socket, no goroutine. Blocks leave through a [Sink] or a [Visitor] and come in through a
// [Fetcher]; file bytes are never held beyond the block they are in.
//
// # On the wire
//
// A block is either raw bytes (codec 0x55) or a dag-pb node (codec 0x70), a protobuf message of which only this form
// is valid (dag-pb specification):
//
//	PBNode { Links 2: repeated PBLink; Data 1: bytes }      links before data when written, either order when read
//	PBLink { Hash 1: CID bytes; Name 2: string; Tsize 3: uint64 }
//
// Data holds the UnixFS message (specs.ipfs.tech/unixfs):
//
//	Data { Type 1: Raw 0, Directory 1, File 2, Metadata 3, Symlink 4, HAMTShard 5
//	       Data 2: bytes     file bytes, symlink target, or the bitfield of a shard, its leading zero bytes cut off
//	       filesize 3        file bytes below and in this node
//	       blocksizes 4      file bytes below each link, in order of the links
//	       hashType 5        of a shard: 0x22, the first 64 bits of murmur3-x64-128, big endian
//	       fanout 6          of a shard: slots, a power of two
//	       mode 7            12 permission bits, above them 20 bits without a meaning yet
//	       mtime 8           { seconds 1: int64; nanoseconds 2: fixed32 } }
//
// A file is the concatenation of its leaves from left to right; a node may have data of its own, which comes before
// that of its links. Every size counts bytes. Tsize counts the bytes of a block and of all blocks below it, each as
// often as it is linked.
//
// A directory is one node with a link for each entry, sorted by name, or a HAMT: each shard has up to fanout links,
// whose names begin with the slot in upper-case hexadecimal, %02X for a fanout of 256. A name that is only the slot
// links a shard one level down; anything after the slot is the entry's name. The slot is the next log2(fanout) bits of
// the name's hash, from the top.
//
// # Building
//
// A [Profile] fixes everything that the CID depends on. [Profile.Leaf] hashes one chunk and may be called from many
// goroutines; [FileBuilder] puts the leaves together, balanced, in memory of O(depth × width); [DirectoryBuilder]
// holds the entries of one directory; [Symlink] makes one node. The CIDs are those of Kubo 0.43 `ipfs add` with the
// profile of the same name (IPIP-499). Builders trust their caller for sizes and CIDs, and nobody for names.
//
// # Reading
//
// [Walk] visits any UnixFS DAG: balanced or trickle, chunks of any size, leaves raw or wrapped as File or Raw, bytes in
// interior nodes, blocks inlined in identity CIDs at any place, directories plain or sharded with any fanout, symlinks,
// modes and times, any multihash. It trusts the Fetcher to have verified bytes against the CID, and trusts nothing that
// the bytes say: every declared size is compared with what is delivered, every name and every slot of a shard is
// checked, depth, blocks and bytes are bounded, and each error names the CID at fault ([NodeError]).
package unixfs
