package codec

import (
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"
)

// A field of a protobuf message: v is the value of a varint, bytes that of any other.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	v     uint64
	bytes []byte
}

// errFieldNumber is of a number that no message can have, as protobuf's decoders refuse it; protowire itself takes more of them.
var errFieldNumber = errors.New("field number out of range")

// next reads the first field of b and returns what follows it.
func next(b []byte) (f field, rest []byte, err error) {
	n := 0
	if f.num, f.typ, n = protowire.ConsumeTag(b); n < 0 {
		return field{}, nil, protowire.ParseError(n)
	}
	if f.num > protowire.MaxValidNumber {
		return field{}, nil, errFieldNumber
	}
	b = b[n:]
	switch f.typ {
	case protowire.VarintType:
		f.v, n = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	default:
		if n = protowire.ConsumeFieldValue(f.num, f.typ, b); n >= 0 {
			f.bytes = b[:n]
		}
	}
	if n < 0 {
		return field{}, nil, protowire.ParseError(n)
	}
	return f, b[n:], nil
}

// Decode reads a dag-pb block that has to be UnixFS.
//
// It is as strict as the dag-pb specification: no unknown field, no second Data, the fields of a link in order, and
// links in one run. In the UnixFS message it is as lenient as protobuf: fields in any order, the last of several
// counts, unknown ones are skipped.
func Decode(block []byte) (*Node, error) {
	n := &Node{}
	var message []byte
	messageAt := -1
	linksEnded := false
	for rest := block; len(rest) > 0; {
		f, tail, err := next(rest)
		if err != nil {
			return nil, notUnixFS("dag-pb: %w", err)
		}
		rest = tail
		switch {
		case f.typ != protowire.BytesType || f.num != nodeData && f.num != nodeLinks:
			return nil, notUnixFS("dag-pb: field %d of wire type %d", f.num, f.typ)
		case f.num == nodeData && messageAt >= 0:
			return nil, notUnixFS("dag-pb: two Data fields")
		case f.num == nodeData:
			message, messageAt = f.bytes, len(block)-len(rest)-len(f.bytes)
			linksEnded = len(n.Links) > 0
		case linksEnded:
			return nil, notUnixFS("dag-pb: links before and after Data")
		default:
			l, err := decodeLink(f.bytes)
			if err != nil {
				return nil, notUnixFS("dag-pb: link %d: %w", len(n.Links), err)
			}
			n.Links = append(n.Links, l)
		}
	}
	if messageAt < 0 {
		return nil, notUnixFS("a dag-pb node without data")
	}
	if err := n.decodeMessage(message, messageAt); err != nil {
		return nil, err
	}
	return n, nil
}

func decodeLink(b []byte) (l Link, err error) {
	var f field
	for last := protowire.Number(0); len(b) > 0; last = f.num {
		if f, b, err = next(b); err != nil {
			return Link{}, err
		}
		if f.num <= last {
			return Link{}, fmt.Errorf("field %d after field %d", f.num, last)
		}
		switch {
		case f.num == linkHash && f.typ == protowire.BytesType:
			if l.CID, err = cid.Cast(f.bytes); err != nil {
				return Link{}, err
			}
		case f.num == linkName && f.typ == protowire.BytesType:
			l.Name = string(f.bytes)
		case f.num == linkTsize && f.typ == protowire.VarintType:
			l.Tsize = f.v
		default:
			return Link{}, fmt.Errorf("field %d of wire type %d", f.num, f.typ)
		}
	}
	if !l.CID.Defined() {
		return Link{}, errors.New("no CID")
	}
	return l, nil
}

// decodeMessage reads the UnixFS message that begins at byte at of the block.
func (n *Node) decodeMessage(b []byte, at int) error {
	hasType := false
	for end := at + len(b); len(b) > 0; {
		f, rest, err := next(b)
		if err != nil {
			return notUnixFS("data: %w", err)
		}
		b = rest
		want := protowire.VarintType
		if f.num == dataBytes || f.num == dataMtime || f.num == dataBlocksizes && f.typ == protowire.BytesType {
			want = protowire.BytesType
		}
		if f.num <= dataMtime && f.typ != want {
			return notUnixFS("data: field %d of wire type %d", f.num, f.typ)
		}
		switch f.num {
		case dataType:
			n.Type, hasType = Type(f.v), true
		case dataBytes:
			n.Payload, n.PayloadAt = f.bytes, end-len(b)-len(f.bytes)
		case dataFilesize:
			n.Filesize, n.HasFilesize = f.v, true
		case dataBlocksizes:
			err = n.addSizes(f)
		case dataHashType:
			n.HashType = f.v
		case dataFanout:
			n.Fanout = f.v
		case dataMode:
			n.Meta.Mode = uint32(f.v)
		case dataMtime:
			n.Meta.ModTime, err = decodeTime(f.bytes)
		}
		if err != nil {
			return err
		}
	}
	if !hasType || n.Type > Shard {
		return notUnixFS("data: no known type")
	}
	return nil
}

// addSizes appends a block size, or several in one field, of which there are never more than links.
func (n *Node) addSizes(f field) error {
	packed := f.bytes
	for more := true; more; more = len(packed) > 0 {
		v := f.v
		if f.typ == protowire.BytesType {
			if len(packed) == 0 {
				return nil
			}
			k := 0
			if v, k = protowire.ConsumeVarint(packed); k < 0 {
				return notUnixFS("data: block sizes: %w", protowire.ParseError(k))
			}
			packed = packed[k:]
		}
		if len(n.Blocksizes) == len(n.Links) {
			return Malformed("more block sizes than its %d links", len(n.Links))
		}
		n.Blocksizes = append(n.Blocksizes, v)
	}
	return nil
}

// decodeTime reads an mtime. A fraction that is none makes the time unknown, as in boxo.
func decodeTime(b []byte) (time.Time, error) {
	var seconds int64
	var nanos uint32
	hasSeconds, hasNanos := false, false
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return time.Time{}, notUnixFS("mtime: %w", err)
		}
		b = rest
		switch {
		case f.num == mtimeSeconds && f.typ == protowire.VarintType:
			seconds, hasSeconds = int64(f.v), true
		case f.num == mtimeNanos && f.typ == protowire.Fixed32Type:
			nanos, _ = protowire.ConsumeFixed32(f.bytes)
			hasNanos = true
		}
	}
	if !hasSeconds {
		return time.Time{}, notUnixFS("mtime without seconds")
	}
	if hasNanos && (nanos < 1 || nanos > 999_999_999) {
		return time.Time{}, nil
	}
	return time.Unix(seconds, int64(nanos)).UTC(), nil
}
