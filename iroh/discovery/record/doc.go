// Package record has what an endpoint says of itself so that others find it by its id: relays, addresses, and a text of
// the application. It is pure.
//
// # Attributes
//
// A record travels as a list of texts "key=value", one in each TXT record of DNS (iroh-dns 1.4, after RFC 1464):
//
//	relay=https://relay.example./      home relay; in practice one
//	addr=192.0.2.7:4433                a UDP address, one for each attribute
//	addr=[2001:db8::1]:4433
//	addr=1f_00ff                       an address of another transport: its number and its data, both in hex
//	user-data=any text                 at most 245 bytes of UTF-8; the first one counts
//
// They are written in this order, each kind in the order that the record has. iroh's reader gives up on the whole record
// when it meets a key that it does not know, and cuts a value at a second "=": nothing else is ever written here, and a
// relay URL with "=" in it is refused. Our reader skips what it does not know or cannot use and takes values whole.
//
// # Trust
//
// A record is what an endpoint, or somebody on the local network, claims. It is read into bounded lists, and addresses
// that no packet can be sent to (port 0, unspecified, multicast, link-local IPv6) are dropped. Nothing more is believed: whoever dials
// must have the id proven by the handshake. Texts of a record never disturb a terminal: those with control characters
// are dropped.
package record
