// Package discovery finds iroh endpoints by their id, and makes ours be found.
//
// An endpoint's id says who it is, not where. Where is what a [Source] answers; what we say of ourselves goes to a
// [Sink]. Sources and sinks of this package and the ones below it:
//
//	Static        source        addresses that somebody told us, such as those of a ticket
//	PkarrRelay    source, sink  a store of signed packets over HTTP (package pkarr)
//	DNS           source        TXT records of _iroh.<id in z-base-32>.<origin>
//	mdns.Node     source, sink  the local network, by multicast (package mdns)
//
// A [Resolver] asks all sources at once, merges what they say and remembers it for a while. A [Publisher] tells all
// sinks whenever our own address changes, and again from time to time. The package is a library on its own: it knows
// keys, addresses and records, and nothing of endpoints and connections.
//
// # On the wire
//
// Pkarr over HTTP (iroh 1.4, address_lookup::pkarr): PUT <base>/<z32 id> with a payload of at most 1,072 bytes, answered
// with 204; GET of the same URL gives the payload, or 404. An older packet than the stored one is taken with 204 and
// ignored, so that timestamps must rise. iroh publishes on every change and every 5 minutes, by default the relays
// alone; after the n-th failure in a row it tries again n seconds later.
//
// DNS (iroh 1.4, address_lookup::dns): a TXT query, sent again after 200, 300, 600, 1,000, 2,000 and 3,000 ms until an
// answer is there; each TXT record is one attribute (package record).
//
// Nobody is contacted but those that a configuration names. [N0PkarrRelay] and [N0Origin] are the public services that
// iroh itself uses by default; the daemon uses them unless it runs with --local.
//
// # Trust
//
// A packet from a pkarr relay is signed by the endpoint. Answers of DNS and mDNS, and tickets, are claims of whoever
// sent them: they can send a dialer to the wrong place, not to the wrong endpoint, since the handshake proves the id.
// All that is read is bounded, see limits.go and package record.
package discovery
