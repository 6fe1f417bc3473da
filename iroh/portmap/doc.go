// Package portmap asks the default gateway to let one UDP port of ours through: from an external port of the gateway to
// this machine. It speaks NAT-PMP (RFC 6886) and UPnP IGD versions 1 and 2, in this order, and keeps the mapping until
// Close. Both are for IPv4; behind an IPv6 router nothing is translated.
//
// # On the wire
//
// NAT-PMP: datagrams to UDP port 5351 of the gateway, all numbers big-endian, sent again after 250 ms, 500 ms, … until
// it is given up.
//
//	address   0 0                                          → 0 128 result:2 epoch:4 address:4
//	map       0 1 0:2 internal:2 external:2 lifetime:4     → 0 129 result:2 epoch:4 internal:2 external:2 lifetime:4
//
// Lifetimes are seconds. The external port of a request is a wish. A lifetime and an external port of 0 delete the mapping.
// The epoch is the seconds since the gateway began to keep mappings: one that runs backwards tells of a restart.
//
// UPnP: an SSDP search, which is an HTTP request in a datagram to UDP port 1900 of the gateway and of 239.255.255.250, on
// the gateway's network only. The gateway answers with the URL of its description:
//
//	M-SEARCH * HTTP/1.1                                     HTTP/1.1 200 OK
//	HOST: 239.255.255.250:1900                              ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1
//	MAN: "ssdp:discover"                                    LOCATION: http://192.168.1.1:5000/rootDesc.xml
//	MX: 1
//	ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1
//
// The description is XML, a tree of devices with services. The first one of WANIPConnection:2, WANIPConnection:1 and
// WANPPPConnection:1 that has an external address is used, by SOAP over HTTP at the control URL that the description gives:
//
//	GetExternalIPAddress                                    → address
//	GetSpecificPortMappingEntry  "", external, UDP          → whose it is; error 714: nobody's
//	AddPortMapping               "", external, UDP, internal, our address, 1, description, seconds
//	DeletePortMapping            "", external, UDP
//
// A port that belongs to somebody else, or error 718, is answered by another port; error 725 by a mapping without an end,
// which only Close removes.
//
// A mapping is renewed at half of its lifetime. When that is over it is told to nobody any more, and one of less than 10 s is of
// no use. When another protocol has to do, what the first one mapped is removed. Once a minute the gateway is asked whether it
// still has the mapping, and for its external address, so that a restarted gateway has it again within about that time. Every
// few seconds the routing table is looked at: another gateway, or another address of ours, begins anew. The announcements of
// restarts that NAT-PMP and SSDP know are not listened to: they would need a socket on a port that other programs have, open to
// everybody on the network.
//
// # Trust
//
// Only the default gateway is asked, and only its own answers are read. It carries all our traffic anyway; what it must not
// become is a way to other machines. So URLs that it gives are taken only if they name its address, in digits, and nothing
// else is dialed; redirects and proxies are not followed; what it sends is bounded in size and time; and its texts are not
// repeated in errors or logs beyond a few printable characters. It can claim any external address: peers who dial a
// wrong one find nobody who has our key.
//
// An external address that is not public belongs to a second NAT, of the provider or of another router. The mapping is kept, since
// the inner NAT then lets through whatever the outer one does, and Status tells about it, but External
// has no address: nobody in the internet could dial it.
package portmap
