package pebble

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/mapping"
)

// errDamaged says that a row passed its checksum and still makes no sense.
var errDamaged = errors.New("damaged row")

// The kinds of a block row.
const (
	kindLeaf    = 1
	kindWrapped = 2
	kindNode    = 3
)

// blockValueSize is the length of what putBlockValue writes.
func blockValueSize(b *mapping.Block) int {
	if b.IsNode() {
		return 1 + len(b.Node)
	}
	n := 1 + len(b.Blob) + uvarintSize(b.Offset) + uvarintSize(b.Length)
	if len(b.Prefix)+len(b.Suffix) > 0 {
		n += uvarintSize(uint64(len(b.Prefix))) + len(b.Prefix) + len(b.Suffix)
	}
	return n
}

func uvarintSize(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// appendBlockValue appends the value of a block row.
func appendBlockValue(dst []byte, b *mapping.Block) []byte {
	if b.IsNode() {
		return append(append(dst, kindNode), b.Node...)
	}
	kind := byte(kindLeaf)
	if len(b.Prefix)+len(b.Suffix) > 0 {
		kind = kindWrapped
	}
	dst = append(append(dst, kind), b.Blob[:]...)
	dst = binary.AppendUvarint(dst, b.Offset)
	dst = binary.AppendUvarint(dst, b.Length)
	if kind == kindWrapped {
		dst = binary.AppendUvarint(dst, uint64(len(b.Prefix)))
		dst = append(append(dst, b.Prefix...), b.Suffix...)
	}
	return dst
}

// parseBlockValue reads the value of a block row. The result shares no memory
// with v.
func parseBlockValue(m mh.Multihash, v []byte) (mapping.Block, error) {
	b := mapping.Block{Multihash: append(mh.Multihash(nil), m...)}
	bad := fmt.Errorf("%w: block %x", errDamaged, []byte(m))
	if len(v) == 0 {
		return b, bad
	}
	kind, v := v[0], v[1:]
	if kind == kindNode {
		b.Node = append([]byte{}, v...)
		return b, nil
	}
	if (kind != kindLeaf && kind != kindWrapped) || len(v) < len(b.Blob) {
		return b, bad
	}
	v = v[copy(b.Blob[:], v):]
	var ok bool
	if b.Offset, v, ok = uvarint(v); !ok {
		return b, bad
	}
	if b.Length, v, ok = uvarint(v); !ok {
		return b, bad
	}
	if kind == kindWrapped {
		var n uint64
		if n, v, ok = uvarint(v); !ok || n > uint64(len(v)) {
			return b, bad
		}
		b.Prefix = append([]byte{}, v[:n]...)
		b.Suffix = append([]byte{}, v[n:]...)
	} else if len(v) != 0 {
		return b, bad
	}
	return b, nil
}

func uvarint(v []byte) (uint64, []byte, bool) {
	x, n := binary.Uvarint(v)
	if n <= 0 {
		return 0, nil, false
	}
	return x, v[n:], true
}

// linkJSON is the value of a link row. V is 1. A reader refuses a V it does not
// know and passes over fields it does not know.
type linkJSON struct {
	V       int      `json:"v"`
	CID     string   `json:"cid"`
	Hash    string   `json:"hash"`
	Format  string   `json:"format"`
	Size    uint64   `json:"size"`
	Blocks  uint64   `json:"blocks"`
	Layout  string   `json:"layout,omitempty"`
	Profile string   `json:"profile,omitempty"`
	Created int64    `json:"created"` // milliseconds since 1970
	Notes   []string `json:"notes,omitempty"`
}

func encodeLink(l mapping.Link) ([]byte, error) {
	r := linkJSON{
		V: 1, CID: l.CID.String(), Hash: hex.EncodeToString(l.Hash[:]), Format: string(l.Format),
		Size: l.Size, Blocks: l.Blocks, Profile: l.Profile, Created: l.Created.UnixMilli(), Notes: l.Notes,
	}
	if l.Layout != [32]byte{} {
		r.Layout = hex.EncodeToString(l.Layout[:])
	}
	return json.Marshal(r)
}

func parseLink(v []byte) (mapping.Link, error) {
	var r linkJSON
	if err := json.Unmarshal(v, &r); err != nil {
		return mapping.Link{}, fmt.Errorf("%w: link: %w", errDamaged, err)
	}
	if r.V != 1 {
		return mapping.Link{}, fmt.Errorf("link %s was written by a newer version (record %d)", r.CID, r.V)
	}
	l := mapping.Link{
		Format: mapping.Format(r.Format), Size: r.Size, Blocks: r.Blocks, Profile: r.Profile,
		Created: time.UnixMilli(r.Created).UTC(), Notes: r.Notes,
	}
	var err error
	if l.CID, err = cid.Decode(r.CID); err != nil {
		return l, fmt.Errorf("%w: link %q: %w", errDamaged, r.CID, err)
	}
	if err = parseHash(&l.Hash, r.Hash); err == nil && r.Layout != "" {
		err = parseHash(&l.Layout, r.Layout)
	}
	if err != nil {
		return l, fmt.Errorf("%w: link %s: %w", errDamaged, r.CID, err)
	}
	return l, nil
}

func parseHash(dst *[32]byte, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil {
		return err
	}
	if len(b) != len(dst) {
		return fmt.Errorf("hash of %d bytes", len(b))
	}
	copy(dst[:], b)
	return nil
}
