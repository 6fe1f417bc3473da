package codec

import "google.golang.org/protobuf/encoding/protowire"

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// messageSize is the length of the PBLink message. The name is written even when it is empty, as every implementation
// does.
func (l Link) messageSize() int {
	return 1 + protowire.SizeBytes(l.CID.ByteLen()) + 1 + protowire.SizeBytes(len(l.Name)) + 1 + protowire.SizeVarint(l.Tsize)
}

// EncodedSize is what the link adds to the block of its node.
func (l Link) EncodedSize() int { return 1 + protowire.SizeBytes(l.messageSize()) }

// EncodedSize is the length of the block that [Encode] makes.
func EncodedSize(links []Link, message []byte) int {
	n := 1 + protowire.SizeBytes(len(message))
	for _, l := range links {
		n += l.EncodedSize()
	}
	return n
}

// Encode makes a block: the links in their order, then the UnixFS message.
func Encode(links []Link, message []byte) []byte {
	b := make([]byte, 0, EncodedSize(links, message))
	for _, l := range links {
		b = protowire.AppendTag(b, nodeLinks, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(l.messageSize()))
		b = protowire.AppendTag(b, linkHash, protowire.BytesType)
		b = protowire.AppendString(b, l.CID.KeyString())
		b = protowire.AppendTag(b, linkName, protowire.BytesType)
		b = protowire.AppendString(b, l.Name)
		b = appendVarint(b, linkTsize, l.Tsize)
	}
	return appendBytes(b, nodeData, message)
}

// WrapLeaf returns what stands around the payload of a leaf of type File with n bytes. An empty leaf has no Data field.
func WrapLeaf(n uint64) (prefix, suffix []byte) {
	suffix = appendVarint(nil, dataFilesize, n)
	message := appendVarint(nil, dataType, uint64(File))
	if n > 0 {
		message = protowire.AppendTag(message, dataBytes, protowire.BytesType)
		message = protowire.AppendVarint(message, n)
	}
	prefix = protowire.AppendTag(nil, nodeData, protowire.BytesType)
	prefix = protowire.AppendVarint(prefix, uint64(len(message)+len(suffix))+n)
	return append(prefix, message...), suffix
}

// FileMessage is the message of a file's node with links.
func FileMessage(size uint64, links []Link) []byte {
	b := make([]byte, 0, 16+6*len(links))
	b = appendVarint(b, dataType, uint64(File))
	b = appendVarint(b, dataFilesize, size)
	for _, l := range links {
		b = appendVarint(b, dataBlocksizes, l.Size)
	}
	return b
}

// DirectoryMessage is the message of a plain directory.
func DirectoryMessage() []byte { return appendVarint(nil, dataType, uint64(Directory)) }

// SymlinkMessage is the message of a symlink.
func SymlinkMessage(target string) []byte {
	b := appendVarint(nil, dataType, uint64(Symlink))
	return appendBytes(b, dataBytes, []byte(target))
}

// ShardMessage is the message of a HAMT shard. bitfield has slot 0 in the lowest bit of its last byte; its leading zero
// bytes are not written.
func ShardMessage(bitfield []byte, fanout int) []byte {
	for len(bitfield) > 0 && bitfield[0] == 0 {
		bitfield = bitfield[1:]
	}
	b := appendVarint(nil, dataType, uint64(Shard))
	b = appendBytes(b, dataBytes, bitfield)
	b = appendVarint(b, dataHashType, Murmur3)
	return appendVarint(b, dataFanout, uint64(fanout))
}
