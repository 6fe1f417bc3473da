// Package blobs speaks iroh's blobs protocol, ALPN "/iroh-bytes/4": it serves blobs ([Provider]), asks for ranges of
// them ([Get]), pushes them ([Push]) and watches them come ([Observe]). Package downloader brings whole blobs and hash sequences into a
// store.
//
// # On the wire
//
// The requester opens one bidirectional stream for each request, writes the request ([GetRequest]: type byte, hash, ranges in
// postcard encoding) and ends its side with FIN. The provider answers, for each wanted blob in order and with nothing between:
//
//	size of the blob, u64 little-endian
//	bao encoding of the wanted ranges (package bao): pairs of hashes, pre-order, and leaves of at most 16 KiB
//
// and FIN after the last. Ranges are in chunks of 1,024 bytes. Index 0 is the blob that the request names; index i+1 is the child i of
// the hash sequence in it, a blob of 32 bytes a hash. The child hashes are not repeated: the requester has to know them.
// Hash sequences with names are collections ([Collection]). The empty blob is eight zero bytes.
//
// A provider that cannot go on resets the stream: [CodePermission] refused, [CodeLimit] too slow or too much, [CodeInternal] all
// else, such as a blob it does not have. A request it cannot read it answers with FIN and no bytes; providers up to 0.35 also end in FIN
// where they lack a blob. A reset throws away what was sent and not yet read.
//
// # Trust
//
// A provider trusts nobody: requests are bounded in size and time, streams in number, and each group is verified
// against its hash before it is sent. A requester trusts only hashes: each pair and each group is verified as it
// arrives; the size is a claim until the last chunk is verified, so nothing is allocated by it; an end of stream is success
// only after the last expected byte. What is stored has been verified, and the names of a collection are
// checked ([ValidName]) before anybody makes paths of them.
//
// # Other requests
//
// [GetMany] asks for blobs that it names itself. [Observe] asks what a provider has of a blob and hears when that grows. [Push] brings
// blobs to a provider that allows it: the request goes out with the data behind it, in the form of an answer, and the provider
// says nothing but, when it gives up, a stop with a code; so a push ends by observing what it brought. The serving sides of all of
// them are in package provider.
package blobs

import "github.com/iroh-ipfs/bridge/iroh/blobs/internal/wire"

// ALPN is the protocol name that both sides agree on in the TLS handshake.
const ALPN = wire.ALPN

// Codes in RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE frames (iroh-blobs, protocol.rs and provider/events.rs).
const (
	CodeDropped    = wire.CodeDropped    // the sender lost interest
	CodePermission = wire.CodePermission // refused by policy
	CodeLimit      = wire.CodeLimit      // too slow, or too much
	CodeInternal   = wire.CodeInternal   // everything else, a missing blob too
)
