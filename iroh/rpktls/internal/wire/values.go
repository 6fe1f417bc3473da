package wire

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
)

// The values that several extensions are made of. The readers want all of data and fail on what is left over.

// numbers16 is the 16-bit numbers in data, whose length is even.
func numbers16(data []byte) []uint16 {
	list := make([]uint16, 0, len(data)/2)
	for ; len(data) >= 2; data = data[2:] {
		list = append(list, binary.BigEndian.Uint16(data))
	}
	return list
}

// readVersions reads versions<2..254>, 16-bit numbers.
func readVersions(data []byte) ([]uint16, bool) {
	list, ok := readBytes8(data)
	return numbers16(list), ok && len(list)%2 == 0
}

// readList16 reads list<2..2^16-2>, 16-bit numbers.
func readList16(data []byte) ([]uint16, bool) {
	s := cryptobyte.String(data)
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&list) && s.Empty() && !list.Empty() && len(list)%2 == 0
	return numbers16(list), ok
}

// readBytes8 reads list<1..255>, bytes.
func readBytes8(data []byte) ([]byte, bool) {
	s := cryptobyte.String(data)
	var list cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&list) && s.Empty() && !list.Empty()
	return list, ok
}

// readNames reads an ALPN list<2..2^16-1> (RFC 7301, section 3.1) of name<1..255>, at most MaxProtocols.
func readNames(data []byte) ([]string, bool) {
	s := cryptobyte.String(data)
	var list, name cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() || list.Empty() {
		return nil, false
	}
	var all []string
	for !list.Empty() {
		if !list.ReadUint8LengthPrefixed(&name) || name.Empty() || len(all) == MaxProtocols {
			return nil, false
		}
		all = append(all, string(name))
	}
	return all, true
}

// readKeyShare takes group(2) key_exchange<1..2^16-1> off the front of s.
func readKeyShare(s *cryptobyte.String) (share KeyShare, ok bool) {
	ok = s.ReadUint16(&share.Group) && s.ReadUint16LengthPrefixed((*cryptobyte.String)(&share.Data)) &&
		len(share.Data) > 0
	return share, ok
}

func number16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// vector16 is data behind its 2-byte length.
func vector16(data []byte) []byte { return append(number16(uint16(len(data))), data...) }

func list16(numbers ...uint16) []byte {
	var list []byte
	for _, n := range numbers {
		list = binary.BigEndian.AppendUint16(list, n)
	}
	return vector16(list)
}

func names(all ...string) []byte {
	var list []byte
	for _, name := range all {
		list = append(list, byte(len(name)))
		list = append(list, name...)
	}
	return vector16(list)
}

func keyShare(group uint16, public []byte) []byte {
	return append(number16(group), vector16(public)...)
}
