package postcard

import (
	"io"
	"math"
	"net/netip"
	"unicode/utf8"
)

// Reader takes values from the front of a byte slice. The first error sticks:
// from then on every method returns a zero value, so that a message can be read
// in one go and [Reader.Err] be asked once. The zero value reads an empty input.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads from b, which must not change meanwhile.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err returns the first error, one of [ErrShort], [ErrVarint] and [ErrValue].
func (r *Reader) Err() error { return r.err }

// Rest returns what has not been read.
func (r *Reader) Rest() []byte { return r.b }

// Len returns how many bytes have not been read.
func (r *Reader) Len() int { return len(r.b) }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// varint reads at most limit bytes.
func (r *Reader) varint(limit int, most uint64) uint64 {
	var v uint64
	for i := 0; i < limit; i++ {
		if i == len(r.b) {
			r.fail(ErrShort)
			return 0
		}
		c := r.b[i]
		if i == 9 && c > 1 {
			break // bits beyond the 64th
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if v > most {
				break
			}
			r.b = r.b[i+1:]
			return v
		}
	}
	r.fail(ErrVarint)
	return 0
}

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if len(r.b) == 0 {
		r.fail(ErrShort)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// U16 reads a varint of at most 3 bytes.
func (r *Reader) U16() uint16 { return uint16(r.varint(3, math.MaxUint16)) }

// U32 reads a varint of at most 5 bytes; enum variants have this form.
func (r *Reader) U32() uint32 { return uint32(r.varint(5, math.MaxUint32)) }

// U64 reads a varint of at most 10 bytes.
func (r *Reader) U64() uint64 { return r.varint(10, math.MaxUint64) }

// Bool reads a byte that must be 0 or 1: a bool, or whether an Option has a value.
func (r *Reader) Bool() bool {
	v := r.U8()
	if v > 1 {
		r.fail(ErrValue)
		return false
	}
	return v == 1
}

// Fixed fills dst with the next len(dst) bytes, or with zeros after an error.
func (r *Reader) Fixed(dst []byte) {
	if len(r.b) < len(dst) {
		r.fail(ErrShort)
		clear(dst)
		return
	}
	r.b = r.b[copy(dst, r.b):]
}

// Bytes reads a length and that many bytes, which stay part of the input.
func (r *Reader) Bytes() []byte {
	n := r.U64()
	if n > uint64(len(r.b)) {
		r.fail(ErrShort)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// Text reads a length and that many bytes, which must be UTF-8.
func (r *Reader) Text() string {
	p := r.Bytes()
	if !utf8.Valid(p) {
		r.fail(ErrValue)
		return ""
	}
	return string(p)
}

// Count reads the count of a sequence whose items take at least itemSize bytes
// each (1 or more); a count that the rest of the input cannot hold is [ErrShort].
// It is therefore safe to make room for that many items.
func (r *Reader) Count(itemSize int) int {
	n := r.U64()
	if n > uint64(len(r.b)/max(1, itemSize)) {
		r.fail(ErrShort)
		return 0
	}
	return int(n)
}

// AddrPort reads a SocketAddr. An IPv4-mapped IPv6 address stays IPv6.
func (r *Reader) AddrPort() netip.AddrPort {
	var ip netip.Addr
	switch r.U32() {
	case 0:
		var v4 [4]byte
		r.Fixed(v4[:])
		ip = netip.AddrFrom4(v4)
	case 1:
		var v6 [16]byte
		r.Fixed(v6[:])
		ip = netip.AddrFrom16(v6)
	default:
		r.fail(ErrValue)
	}
	port := r.U16()
	if r.err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, port)
}

// ReadUint reads a u64 varint from a stream, byte by byte and no further. Errors:
// [ErrVarint], io.EOF if the stream ends before the first byte,
// io.ErrUnexpectedEOF if it ends later, and the stream's own.
func ReadUint(stream io.ByteReader) (uint64, error) {
	var v uint64
	for i := range 10 {
		c, err := stream.ReadByte()
		switch {
		case err == io.EOF && i > 0:
			return 0, io.ErrUnexpectedEOF
		case err != nil:
			return 0, err
		case i == 9 && c > 1:
			return 0, ErrVarint
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			break
		}
	}
	return v, nil
}
