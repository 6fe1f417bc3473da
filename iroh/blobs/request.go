package blobs

import (
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"
)

// The requests of the protocol.
type (
	// GetRequest asks for ranges of a blob and, when it is a hash sequence, of its children.
	GetRequest = wire.GetRequest
	// GetManyRequest asks for ranges of several blobs.
	GetManyRequest = wire.GetManyRequest
	// ObserveRequest asks which chunks of a blob the provider has.
	ObserveRequest = wire.ObserveRequest
	// PushRequest announces ranges of a blob.
	PushRequest = wire.PushRequest
	// Request is any of them.
	Request = wire.Request
	// ChunkRangesSeq says which chunks of which blobs of a sequence are wanted.
	ChunkRangesSeq = wire.ChunkRangesSeq
	// From is an entry of a ChunkRangesSeq.
	From = wire.From
)

// ErrObservation says that an item of an observation cannot be decoded.
var ErrObservation = wire.ErrObserveItem

// ErrRequest says that a request cannot be decoded.
var ErrRequest = wire.ErrRequest

// ParseRequest reads a request, type byte first. Bytes after its end are ignored. The error wraps [ErrRequest].
func ParseRequest(b []byte) (Request, error) { return wire.ParseRequest(b) }

// OneBlob asks for ranges of the blob that the request names and for nothing else.
func OneBlob(ranges bao.Ranges) ChunkRangesSeq {
	return ChunkRangesSeq{{Index: 0, Ranges: ranges}, {Index: 1}}
}

// WholeBlob asks for one blob.
func WholeBlob() ChunkRangesSeq { return OneBlob(bao.All()) }

// WholeSequence asks for a hash sequence and all its children.
func WholeSequence() ChunkRangesSeq { return ChunkRangesSeq{{Index: 0, Ranges: bao.All()}} }

// Sizes asks for a hash sequence and the last chunk of each child, which proves its size. It is how sendme begins.
func Sizes() ChunkRangesSeq {
	return ChunkRangesSeq{{Index: 0, Ranges: bao.All()}, {Index: 1, Ranges: bao.LastChunk()}}
}
