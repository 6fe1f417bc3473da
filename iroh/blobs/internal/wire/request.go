// Package wire encodes and decodes the requests of the blobs protocol, as iroh-blobs 0.104 has them in postcard. It is pure, and it
// trusts no request: see [ParseRequest].
//
//	Get            00 | hash 32 | ChunkRangesSeq
//	Observe        01 | hash 32 | RangeSpec
//	Push           08 | length varint | as Get without its type; data follows
//	GetMany        09 | count varint | hashes of 32 | ChunkRangesSeq
//	ChunkRangesSeq count varint | entries: varint step to the blob's index, RangeSpec
//	RangeSpec      count varint | varint widths, in chunks of 1,024 bytes, of what is in turn not wanted and wanted
package wire

import (
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// MaxRequest is the most bytes that a request may have after its type byte (iroh-blobs: MAX_MESSAGE_SIZE). Whoever reads
// requests from strangers stops there: a peer that sends more would fill memory before anything about it is known.
const MaxRequest = 1 << 20

const hashSize = len(bao.Hash{})

// RequestType is the first byte of a request; 2 to 7 are reserved.
type RequestType uint8

// The request types of iroh-blobs 0.104. Peers up to 0.35 know TypeGet only.
const (
	TypeGet     RequestType = 0
	TypeObserve RequestType = 1
	TypePush    RequestType = 8
	TypeGetMany RequestType = 9
)

// Request is one of [GetRequest], [GetManyRequest], [ObserveRequest] and [PushRequest].
type Request interface {
	// Append appends the encoding, type byte first, in canonical form.
	Append(b []byte) []byte
}

// GetRequest asks for ranges of the blob Hash and, when it is a hash sequence, of its children.
//
//	00 | hash 32 | ChunkRangesSeq
type GetRequest struct {
	Hash   bao.Hash
	Ranges ChunkRangesSeq
}

// GetManyRequest asks for ranges of several blobs: entry i of Ranges is about Hashes[i].
//
//	09 | count varint | count hashes of 32 bytes | ChunkRangesSeq
type GetManyRequest struct {
	Hashes []bao.Hash
	Ranges ChunkRangesSeq
}

// ObserveRequest asks which chunks of a blob the provider has, and to be told when that changes.
//
//	01 | hash 32 | RangeSpec
type ObserveRequest struct {
	Hash   bao.Hash
	Ranges bao.Ranges
}

// PushRequest announces that ranges of a blob follow, in the form of the answer to Get.
//
//	08 | length varint | that many bytes: Get without its type byte
type PushRequest struct {
	Get GetRequest
}

// Append implements [Request].
func (r GetRequest) Append(b []byte) []byte {
	return r.appendBody(append(b, byte(TypeGet)))
}

func (r GetRequest) appendBody(b []byte) []byte {
	return r.Ranges.Append(append(b, r.Hash[:]...))
}

// Append implements [Request].
func (r GetManyRequest) Append(b []byte) []byte {
	b = postcard.AppendUint(append(b, byte(TypeGetMany)), uint64(len(r.Hashes)))
	for i := range r.Hashes {
		b = append(b, r.Hashes[i][:]...)
	}
	return r.Ranges.Append(b)
}

// Append implements [Request].
func (r ObserveRequest) Append(b []byte) []byte {
	return appendRangeSpec(append(append(b, byte(TypeObserve)), r.Hash[:]...), r.Ranges)
}

// Append implements [Request].
func (r PushRequest) Append(b []byte) []byte {
	body := r.Get.appendBody(nil)
	b = postcard.AppendUint(append(b, byte(TypePush)), uint64(len(body)))
	return append(b, body...)
}

// ParseRequest reads a request. Bytes after its end are ignored, as iroh-blobs does; for Push they are the data.
// What is not canonical is accepted. The error wraps [ErrRequest].
func ParseRequest(b []byte) (Request, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrRequest)
	}
	r := postcard.NewReader(b[1:])
	switch t := RequestType(b[0]); t {
	case TypeGet:
		return parseGet(r)
	case TypeGetMany:
		return parseGetMany(r)
	case TypeObserve:
		var request ObserveRequest
		var err error
		r.Fixed(request.Hash[:])
		if request.Ranges, err = parseRangeSpec(r); err != nil {
			return nil, err
		}
		return request, nil
	case TypePush:
		get, err := parseGet(postcard.NewReader(r.Bytes()))
		return PushRequest{get}, err
	default:
		return nil, fmt.Errorf("%w: type %d", ErrRequest, t)
	}
}

func parseGet(r *postcard.Reader) (request GetRequest, err error) {
	r.Fixed(request.Hash[:])
	request.Ranges, err = ParseChunkRangesSeq(r)
	return request, err
}

func parseGetMany(r *postcard.Reader) (request GetManyRequest, err error) {
	request.Hashes = make([]bao.Hash, r.Count(hashSize))
	for i := range request.Hashes {
		r.Fixed(request.Hashes[i][:])
	}
	request.Ranges, err = ParseChunkRangesSeq(r)
	return request, err
}
