// Package postcard has the few encodings of the postcard format (the Rust crate
// postcard 1.x, "wire format" chapter) that iroh's protocols and tickets use. It
// is pure: byte slices in, values out.
//
// # Layout
//
//	u8            one byte
//	bool          one byte, 0 or 1
//	u16 u32 u64   unsigned LEB128: 7 bits a byte, least significant first, high bit
//	              set on all but the last; at most 3, 5 and 10 bytes
//	[u8; N]       N bytes, no length
//	bytes, str    length (u64 varint), then that many bytes
//	seq           count (u64 varint), then the items
//	Option        00, or 01 and the value
//	enum          index of the variant (u32 varint), then its fields
//	struct        the fields in order, nothing around them
//	SocketAddr    enum: 00 and 4 bytes of IPv4 address, or 01 and 16 bytes of IPv6
//	              address; then the port (u16 varint). No zone, no flow label
//
// # Trust
//
// Nothing that is read is trusted. A [Reader] never allocates more than the input
// it was given holds: a length or count that the rest of the input cannot satisfy
// is an error before anything is made of it. Overlong varints such as 80 00 are
// accepted, as the crate accepts them, within the bytes that the type may have.
// Bytes after the last value are left to the caller ([Reader.Rest]).
package postcard

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

var (
	// ErrShort says that the input ends inside a value, or claims more than it has.
	ErrShort = errors.New("postcard: input too short")
	// ErrVarint says that a varint is longer or larger than its type.
	ErrVarint = errors.New("postcard: varint out of range")
	// ErrValue says that a bool, option, variant or string has no meaning.
	ErrValue = errors.New("postcard: invalid value")
)

// AppendUint appends v as a varint; u16, u32 and u64 share this form.
func AppendUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendBytes appends the length of p and p.
func AppendBytes(b, p []byte) []byte {
	return append(AppendUint(b, uint64(len(p))), p...)
}

// AppendString appends the length of s in bytes and s.
func AppendString(b []byte, s string) []byte {
	return append(AppendUint(b, uint64(len(s))), s...)
}

// AppendBool appends one byte; before the value of an Option it says whether
// there is one.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendAddrPort appends a SocketAddr. A zone is left out, and an IPv4-mapped
// IPv6 address stays IPv6. Without a valid address it appends [::]:port.
func AppendAddrPort(b []byte, a netip.AddrPort) []byte {
	if ip := a.Addr(); ip.Is4() {
		v4 := ip.As4()
		b = append(append(b, 0), v4[:]...)
	} else {
		var v6 [16]byte
		if ip.IsValid() {
			v6 = ip.As16()
		}
		b = append(append(b, 1), v6[:]...)
	}
	return AppendUint(b, uint64(a.Port()))
}
