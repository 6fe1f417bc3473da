// Package pkarr reads and writes signed pkarr packets: a small DNS message that the owner of an Ed25519 key signs, so
// that anybody may store and forward it. It is pure.
//
// # Packet
//
// At most 1,104 bytes (pkarr.org; iroh-dns 1.4):
//
//	 0  32     public key, the endpoint id
//	32  64     Ed25519 signature
//	96   8     timestamp: microseconds since 1970, big-endian
//	104 <=1000 DNS message (RFC 1035)
//
// The signature is of the ASCII text "3:seqi<timestamp>e1:v<length>:", both numbers decimal, followed by the DNS
// message: a mutable item of BEP 44 without salt. A relay takes and gives the packet without its first 32 bytes, the
// *payload*.
//
// The DNS message has id 0, the flag QR, and only answers: TXT records of class IN, owned by _iroh.<id in z-base-32>.,
// with one attribute of the record in one character string each (see package record). Names after the first are
// pointers to it.
//
// Of two packets of one key the newer is the one with the higher timestamp, and with the same timestamp the one whose
// DNS message is greater, byte by byte.
//
// # Trust
//
// A [Packet] that Parse or ParsePayload returned has been verified: its key has signed it, and its DNS message is well
// formed. Whether it is the newest one only the key's owner knows: who stores packets can hold back a newer one.
// Timestamps come from the owner's clock and may lie in the future. Records of other names and types are skipped.
package pkarr
