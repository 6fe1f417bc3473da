// Package observe finds out under which addresses others see an endpoint, by asking relays, and what that says of the NAT between.
//
// A round asks up to five relays of the configuration, over IPv4 and IPv6 apart, each within 3 s, by QUIC address discovery
// (package qad) from the socket on which peers are served: another socket would have another address behind a NAT. There is one
// when the endpoint starts, every three minutes, half a minute after one in which nobody answered, and when the machine's
// addresses change. The round-trip time of the connection is the relay's latency; where there is no address discovery a GET of
// /ping is.
//
// One connection over IPv4 stays open after a round. A PING on it every 25 s keeps a NAT from forgetting the address that we tell
// others, and the relay reports at once when it sees us somewhere else.
//
// # Kinds of NAT
//
// What counts is the mapping (RFC 4787, section 4.1), as the last round saw it for IPv4:
//
//	none                  a relay sees an address of this machine
//	endpoint-independent  at least two relays, or two ports of one, see the same address and port
//	endpoint-dependent    they see different ones, which are of no use to anybody else, so that none is told
//	unknown               fewer than two told what they see
//
// # Trust
//
// A relay can tell us any address: others who believe us would send a few packets there. That is as much as everybody can do who
// may publish addresses, and the relays are those of the configuration.
package observe
