// Package mdns finds iroh endpoints on the local network and announces ours there, by multicast DNS in the form of
// iroh-mdns-address-lookup 0.6.1 over swarm-discovery 0.6.5, which iroh 1.4 uses.
//
// # On the wire
//
// Datagrams to 224.0.0.251 and ff02::fb, UDP port 5353; DNS messages (RFC 1035, RFC 6762) with id 0.
//
//	query      one question: PTR of _irohv1._udp.local., class IN
//	answer     flags QR and AA; TTL 120 s; class IN without the cache-flush bit
//	  answers      PTR  _irohv1._udp.local.            → <instance>._irohv1._udp.local.
//	               SRV  <instance>._irohv1._udp.local. → 0 0 <port> <instance>-<port>.local., one for each port
//	               TXT  <instance>._irohv1._udp.local. → "relay=<url>", "user-data=<text>"; left out when empty
//	  additionals  A, AAAA of <instance>-<port>.local.
//
// The instance is the endpoint id in lower-case base32 without padding, 52 characters. iroh skips records whose class
// has the cache-flush bit, as other mDNS libraries set it, ignores answers without an address, and reads at most 1,472
// bytes. An answer of ours has at most 1,452, which fits one Ethernet frame over IPv6.
//
// Everybody asks once in 0.7 s, unless somebody else has just asked, and answers a query after a short random delay,
// unless two others have answered by then. So the traffic of many endpoints stays that of a few, and each is heard from
// time to time. One that was not heard of for ten times as long as that should take is forgotten (swarm-discovery: three
// times, which in a network of a hundred forgets endpoints that are there).
//
// A kept library (zeroconf, pion/mdns) does not serve here: both set the cache-flush bit, and neither knows the cadence.
//
// # Trust
//
// Anybody on the local network can announce anything, for any id: it can send a dialer to the wrong place, not to the
// wrong endpoint, and it can tell us a relay URL. Datagrams that were not sent to the multicast group come from who knows
// where and are dropped. The number of endpoints, and what is kept of each, is bounded.
package mdns
