package record

// Limits of what is read. iroh remembers at most 30 direct addresses of a peer and publishes one relay; a longer list
// makes whoever dials send packets to many strangers, which is what an attacker would publish it for.
const (
	// MaxRelays bounds the relays of a record.
	MaxRelays = 4
	// MaxDirect bounds the UDP addresses of a record.
	MaxDirect = 32
	// MaxCustom bounds the addresses of other transports.
	MaxCustom = 8
)

// MaxUserData is the most bytes of user data: a TXT character string of 255 bytes less "user-data=".
const MaxUserData = 245

// MaxRelayURL is the most bytes of a relay URL: a TXT character string of 255 bytes less "relay=".
const MaxRelayURL = 249

// maxAttribute is the longest attribute: one character string of DNS. A longer one is dropped unread.
const maxAttribute = 255
