package unixfs

import (
	"math/bits"
	"strconv"

	"github.com/spaolacci/murmur3"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// A slotPath says where in a HAMT a shard is: the first consumed bits of the hashes of all names below it.
type slotPath struct {
	fanout   int
	consumed int
	bits     uint64
}

// checkShard compares a shard with its place and returns the paths of its links' slots, in order.
//
// That each name stands where its hash puts it also proves that no name is in the directory twice, without a set of
// a million names.
func checkShard(n *codec.Node, at slotPath) error {
	if n.HashType != codec.Murmur3 {
		return codec.Malformed("a shard with hash function 0x%x", n.HashType)
	}
	if !validFanout(n.Fanout) || at.fanout != 0 && n.Fanout != uint64(at.fanout) {
		return codec.Malformed("a shard with fanout %d", n.Fanout)
	}
	fanout := int(n.Fanout)
	width := bits.TrailingZeros(uint(fanout))
	if at.consumed+width > 64 {
		return codec.Malformed("a shard below the last bit of the hash")
	}
	if len(n.Payload) > fanout/8 {
		return codec.Malformed("a bitfield of %d bytes for fanout %d", len(n.Payload), fanout)
	}
	next := 0 // link
	for i := range len(n.Payload) {
		for b := n.Payload[len(n.Payload)-1-i]; b != 0; b &= b - 1 {
			slot := i*8 + bits.TrailingZeros8(b)
			if next == len(n.Links) {
				return codec.Malformed("a bitfield with more slots than its %d links", len(n.Links))
			}
			if err := checkSlot(n.Links[next].Name, slot, fanout, width, at); err != nil {
				return err
			}
			next++
		}
	}
	if next != len(n.Links) {
		return codec.Malformed("a bitfield of %d slots for %d links", next, len(n.Links))
	}
	return nil
}

// checkSlot checks the name of a shard's link: the slot, and after it nothing or the name of an entry that belongs there.
func checkSlot(label string, slot, fanout, width int, at slotPath) error {
	digits := slotDigits(fanout)
	if len(label) < digits {
		return codec.Malformed("a shard's link named %q", label)
	}
	if label[:digits] != slotName(slot, fanout) {
		return codec.Malformed("a shard's link named %q in slot %d", label, slot)
	}
	name := label[digits:]
	if name == "" {
		return nil
	}
	if err := validName(name); err != nil {
		return err
	}
	if consumed := at.consumed + width; nameHash(name)>>(64-consumed) != at.bits<<width|uint64(slot) {
		return codec.Malformed("name %q in slot %d, where its hash does not put it", name, slot)
	}
	return nil
}

// below is the place of the shard in a slot of the shard at p.
func (p slotPath) below(fanout, slot int) slotPath {
	width := bits.TrailingZeros(uint(fanout))
	return slotPath{fanout: fanout, consumed: p.consumed + width, bits: p.bits<<width | uint64(slot)}
}

// splitLabel splits the name of a shard's link, which checkSlot has seen.
func splitLabel(label string, fanout int) (slot int, name string) {
	digits := slotDigits(fanout)
	n, _ := strconv.ParseUint(label[:digits], 16, 32)
	return int(n), label[digits:]
}

// slotName is the slot in upper-case hexadecimal with as many digits as the last slot has.
func slotName(slot, fanout int) string {
	var b [3]byte
	digits := slotDigits(fanout)
	for i := digits - 1; i >= 0; i-- {
		b[i] = "0123456789ABCDEF"[slot&15]
		slot >>= 4
	}
	return string(b[:digits])
}

func slotDigits(fanout int) int { return (bits.Len(uint(fanout-1)) + 3) / 4 }

// slotOf takes width bits of a hash after the first consumed.
func slotOf(hash uint64, consumed, width int) int { return int(hash << consumed >> (64 - width)) }

// nameHash is the first half of murmur3-x64-128, of which a shard takes its bits from the top.
func nameHash(name string) uint64 { return murmur3.Sum64([]byte(name)) }
