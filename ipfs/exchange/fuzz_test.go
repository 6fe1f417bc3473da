package exchange

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// FuzzCheck takes a CID and a block as a peer sends them: a CID that passes has a hash that can be computed, and the block
// that it fits is the only one that does.
func FuzzCheck(f *testing.F) {
	data := []byte("hello")
	for _, code := range []uint64{mh.SHA2_256, mh.SHA2_512, mh.BLAKE3, mh.BLAKE2B_MIN + 31, mh.IDENTITY, mh.SHA1, mh.MURMUR3X64_64, mh.SHA3_256, mh.DBL_SHA2_256} {
		for _, codec := range []uint64{cid.Raw, cid.DagProtobuf, cid.DagCBOR} {
			c, err := cid.Prefix{Version: 1, Codec: codec, MhType: code, MhLength: -1}.Sum(data)
			if err != nil {
				continue // a hash that is not in this build
			}
			f.Add(c.Bytes(), data)
			f.Add(c.Bytes(), []byte("hellO"))
		}
	}
	v0, err := cid.Prefix{Version: 0, Codec: cid.DagProtobuf, MhType: mh.SHA2_256, MhLength: -1}.Sum(data)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v0.Bytes(), data)
	f.Add([]byte{1, 0x55, 0x12, 3, 1, 2, 3}, data)       // a hash that was cut
	f.Add([]byte{1, 0x55, 0x1e, 0x80, 0x80, 4}, data)    // of a length that is not there
	f.Add(append(v0.Bytes(), 0), data)                   // bytes after it
	f.Add([]byte{0x81, 0x80, 0, 0x55, 0x12, 0x20}, data) // a number in more bytes than it needs
	f.Fuzz(func(t *testing.T, b, data []byte) {
		c, err := cid.Cast(b)
		if err != nil {
			return
		}
		if err := CheckCID(c); err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("%s: %v", c, err)
			}
			return
		}
		if inside, ok := identity(c); ok && len(inside) > 128 {
			t.Errorf("%s holds %d bytes", c, len(inside))
		}
		isEmpty(c)
		if checkBlock(c, data) != nil {
			return
		}
		if other := append(bytes.Clone(data), 0); checkBlock(c, other) == nil {
			t.Errorf("%s fits %x and %x", c, data, other)
		}
	})
}
