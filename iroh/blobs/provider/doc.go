// Package provider is the serving side of iroh's blobs protocol: it answers Get, GetMany and Observe from a store and takes Push
// into it. The wire layout is in package blobs; what a stream carries after the request is this.
//
//	Get, GetMany   size and bao encoding of each wanted blob, one after the other, then FIN
//	Observe        items (length varint, size varint, count varint, boundaries): the first says what is there, the later ones what
//	               came since; the stream stays open until the requester stops it
//	Push           nothing: our side ends at once, and the requester's goes on after the request with the same bytes that an
//	               answer to Get would have
//
// # Whom it trusts
//
// Nobody. A request is bounded in size and time. What is sent was verified against its hash, and what is pushed is verified group
// by group before it is stored; a pushed size is a claim that costs nothing. Push is taken from the endpoint ids that the
// configuration names and into the quota it sets, and from nobody else. Endpoint ids cost nothing to make, so limits for each
// peer keep honest ones apart, and it is the limits for all that stop the others ([Limits]).
//
// # How it refuses
//
// By a reset of its side and a stop of the other with [wire.CodePermission] (1: not allowed), [wire.CodeLimit] (2: too much, too
// fast, too slow, over the quota) or [wire.CodeInternal] (3: all else, a missing blob too). A push that fails after it began is
// stopped with the code, as our side has ended by then. A connection above the limits is closed with code 2. A request that makes
// no sense gets FIN and no bytes, as from iroh-blobs.
//
// # Memory
//
// All answers of all connections together take their buffers from one budget ([Limits.Memory]) and wait for them; requests beyond
// 4 KiB each are counted, for each connection and for all. What a waiting request costs is its goroutine.
package provider
