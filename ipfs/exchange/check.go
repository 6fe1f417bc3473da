package exchange

import (
	"bytes"
	"fmt"

	"github.com/ipfs/boxo/verifcid"
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// CheckCID returns an error that wraps ErrRefused and names the CID unless its
// multihash is a safe one, or an identity of at most 128 bytes.
func CheckCID(c cid.Cid) error {
	if !c.Defined() {
		return fmt.Errorf("exchange: undefined CID: %w", ErrRefused)
	}
	// SHA-1 is on boxo's list for the sake of git. Collisions of it exist.
	allowed := verifcid.NewOverridingAllowlist(verifcid.DefaultAllowlist, map[uint64]bool{mh.SHA1: false})
	if err := verifcid.ValidateCid(allowed, c); err != nil {
		return fmt.Errorf("exchange: CID %s: %w: %w", c, ErrRefused, err)
	}
	return nil
}

// identity returns the bytes that a CID holds itself.
func identity(c cid.Cid) ([]byte, bool) {
	d, err := mh.Decode(c.Hash())
	if err != nil || d.Code != mh.IDENTITY {
		return nil, false
	}
	return d.Digest, true
}

// isEmpty tells whether a CID is that of the block without bytes. boxo's servers
// do not serve it: they take a length of 0 for a block that is not there.
func isEmpty(c cid.Cid) bool {
	empty, err := c.Prefix().Sum(nil)
	return err == nil && bytes.Equal(empty.Hash(), c.Hash())
}

// checkBlock hashes a block and compares it with its CID.
func checkBlock(c cid.Cid, data []byte) error {
	if err := checkSize(c, len(data)); err != nil {
		return err
	}
	got, err := c.Prefix().Sum(data)
	if err != nil {
		return fmt.Errorf("exchange: block %s: %w", c, err)
	}
	if !bytes.Equal(got.Hash(), c.Hash()) {
		return fmt.Errorf("exchange: block %s: the bytes are not those of the CID", c)
	}
	return nil
}

func checkSize(c cid.Cid, size int) error {
	if size < 0 || size > maxBlock {
		return fmt.Errorf("exchange: block %s of %d bytes, at most %d: %w", c, size, maxBlock, ErrRefused)
	}
	return nil
}
