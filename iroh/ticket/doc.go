// Package ticket reads and writes iroh's tickets: one line of text that says what
// to fetch and from whom. It is pure.
//
// # Text
//
// A kind in lower case ("blob", "endpoint", "node"), and straight after it the
// RFC 4648 base32 of the bytes, without padding, in lower case; a reader takes
// that part in either case.
//
// # Bytes
//
// Postcard (see package postcard). A blob ticket, since iroh 0.12:
//
//	00                variant
//	32 bytes          endpoint id
//	Option<str>       relay URL
//	seq<SocketAddr>   direct addresses: ascending, IPv4 before IPv6
//	u64 varint        0: one blob, 1: a hash sequence and its children
//	32 bytes          BLAKE3 hash
//
// An endpoint ticket, since iroh 0.94:
//
//	00                variant
//	32 bytes          endpoint id
//	seq of enum       00 str: relay URL; 01 SocketAddr; 02 u64 varint and bytes:
//	                  an address of a custom transport, with the transport's number;
//	                  ascending in this order
//
// A node ticket, iroh 0.12 to 0.93, is read too: a blob ticket without its last
// two fields. Bytes after the last field are ignored, as iroh ignores them.
//
// A blob ticket holds one relay and no custom addresses; [Blob.String] leaves the
// others out. Relay URLs are written as the WHATWG serialiser does: lower-case
// scheme and host, and always a path.
//
// # Trust
//
// A ticket comes from a stranger. Its length is bounded, so is everything that is
// made of it, and the endpoint id must be a usable public key. Addresses and relay
// URLs are only checked for their form: whoever dials decides which addresses it
// dials. Text from a ticket never appears in an error unquoted.
package ticket
