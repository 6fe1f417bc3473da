// Package codec encodes and decodes dag-pb nodes that carry a UnixFS message.
//
// The wire layout is in the comment of package unixfs. A decoder's input is a block that somebody else made: nothing is
// allocated by a number in it, and nothing about sizes, names or slots is believed here or promised to the caller, who
// compares them. An encoder's input is trusted.
package codec

import (
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
)

var (
	// ErrNotUnixFS: the block is no dag-pb node, or one without a UnixFS message.
	ErrNotUnixFS = errors.New("not UnixFS")
	// ErrMalformed: the node contradicts itself.
	ErrMalformed = errors.New("malformed UnixFS node")
)

// Malformed returns an error that is [ErrMalformed].
func Malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

func notUnixFS(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrNotUnixFS}, args...)...)
}

// A Type is the type of a UnixFS message.
type Type uint64

// The types (specs.ipfs.tech/unixfs).
const (
	Raw Type = iota
	Directory
	File
	Metadata
	Symlink
	Shard
)

func (t Type) String() string {
	names := [...]string{"raw leaf", "directory", "file", "metadata node", "symlink", "shard"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("node of type %d", uint64(t))
}

// Murmur3 is the multihash code that shards give for murmur3-x64-64.
const Murmur3 = 0x22

// Meta is what a node says of its entry beside its bytes.
type Meta struct {
	Mode    uint32    // permission bits 0o7777, above them 20 bits without a meaning yet; 0: none
	ModTime time.Time // zero: none
}

// A Link of a dag-pb node.
type Link struct {
	CID   cid.Cid
	Name  string
	Tsize uint64
	Size  uint64 // file bytes below it: the block size in the message of a file's node
}

// A Node is a decoded dag-pb node with its UnixFS message. Its slices are of the decoded block.
type Node struct {
	Links []Link

	Type        Type
	Payload     []byte // Data of the message
	PayloadAt   int    // where Payload begins in the block
	Filesize    uint64
	HasFilesize bool
	Blocksizes  []uint64 // at most as many as there are links
	HashType    uint64
	Fanout      uint64
	Meta        Meta
}

// Field numbers.
const (
	nodeData  = 1
	nodeLinks = 2

	linkHash  = 1
	linkName  = 2
	linkTsize = 3

	dataType       = 1
	dataBytes      = 2
	dataFilesize   = 3
	dataBlocksizes = 4
	dataHashType   = 5
	dataFanout     = 6
	dataMode       = 7
	dataMtime      = 8

	mtimeSeconds = 1
	mtimeNanos   = 2
)
