package pebble

import (
	"encoding/binary"
	"fmt"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/mapping"
)

// The tables. See the package comment.
const (
	tableBlock   = 'b'
	tableLink    = 'c'
	tableDead    = 'd'
	tableFile    = 'f'
	tableHash    = 'h'
	tableOwner   = 'l'
	tableMeta    = 'm'
	tablePending = 'p'
)

const seqSize = 8

// comparer orders keys by their bytes and tells prefix from suffix.
func comparer() *lsm.Comparer {
	c := *lsm.DefaultComparer
	c.Name = "bridge.mapping.v1"
	c.Split = split
	c.ImmediateSuccessor = immediateSuccessor
	return &c
}

// split returns the length of a key's prefix. A key that is cut short is all
// prefix. The order of whole keys is the order of their bytes: two prefixes of
// which one begins with the other differ in length only when one is cut short.
func split(k []byte) int {
	if len(k) < 2 {
		return len(k)
	}
	return min(len(k), 2+int(k[1]))
}

// immediateSuccessor appends the smallest prefix above the prefix a.
func immediateSuccessor(dst, a []byte) []byte {
	if len(a) < 2 || len(a) < 2+int(a[1]) {
		return append(append(dst, a...), 0)
	}
	end := len(a)
	for end > 0 && a[end-1] == 0xff {
		end--
	}
	if end == 0 { // no table is called 0xff
		return append(append(dst, a...), 0)
	}
	dst = append(dst, a[:end]...)
	dst[len(dst)-1]++
	return dst
}

// tableEnd returns the key above all keys of a table.
func tableEnd(table byte) []byte { return []byte{table + 1} }

// appendPrefix appends table, length and body. The body is at most 255 bytes;
// the limits of package mapping see to that.
func appendPrefix(dst []byte, table byte, body []byte) []byte {
	dst = append(dst, table, byte(len(body)))
	return append(dst, body...)
}

// rowKey is the key of a row in a table whose rows have owners.
func rowKey(table byte, body []byte, seq uint64) []byte {
	k := make([]byte, 0, 2+len(body)+seqSize)
	k = appendPrefix(k, table, body)
	return binary.BigEndian.AppendUint64(k, ^seq)
}

// seqKey is the key of a row about a transaction.
func seqKey(table byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{table, seqSize}, seq)
}

// metaKey is the key of a row about the store.
func metaKey(name string) []byte { return appendPrefix(nil, tableMeta, []byte(name)) }

// rowSeq returns the owner of a row and what follows it in the key.
func rowSeq(k []byte) (seq uint64, rest []byte, err error) {
	s := k[split(k):]
	if len(s) < seqSize {
		return 0, nil, fmt.Errorf("%w: key %x has no owner", errDamaged, k)
	}
	return ^binary.BigEndian.Uint64(s), s[seqSize:], nil
}

// body returns a key's body.
func body(k []byte) []byte { return k[min(2, len(k)):split(k)] }

// cidBody is the body under which links and files are found.
func cidBody(c cid.Cid) []byte {
	return mapping.Canonical(c).Bytes()[1:] // without the version, 1
}
