package paths

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// segmentMessage is what quic-go adds to a send of packets of one size.
func segmentMessage(size uint16) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	if unix.CmsgLen(0)-8 == 8 {
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(2)))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(2)))
	}
	head := unix.CmsgLen(0)
	binary.NativeEndian.PutUint32(b[head-8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(b[head-4:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(b[head:], size)
	return b
}

func TestSegmentsBecomeABatch(t *testing.T) {
	c, _ := open(t)
	l := newLoop(t, "https://a")
	r := c.Dial(l, id(1))
	if _, _, err := c.WriteMsgUDP([]byte("abcdefgh"), segmentMessage(3), r.Addr()); err != nil {
		t.Fatal(err)
	}
	if d := l.last(); d.Segment != 3 || string(d.Data) != "abcdefgh" {
		t.Errorf("segment %d, %q", d.Segment, d.Data)
	}
	for name, control := range map[string][]byte{"none": nil, "cut": segmentMessage(3)[:10], "noise": make([]byte, 40)} {
		if n := sendSegment(control); n != 0 {
			t.Errorf("%s: %d", name, n)
		}
	}
}
