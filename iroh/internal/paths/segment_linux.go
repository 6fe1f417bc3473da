package paths

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// sendSegment finds the size of packets in the control messages of a send: level SOL_UDP, type UDP_SEGMENT, a u16 in the byte
// order of the machine. Zero means that there is none, and that one packet is sent. quic-go makes the messages.
func sendSegment(control []byte) int {
	for len(control) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0
		}
		if h.Level == unix.SOL_UDP && h.Type == unix.UDP_SEGMENT && len(data) >= 2 {
			return int(binary.NativeEndian.Uint16(data))
		}
		control = rest
	}
	return 0
}
