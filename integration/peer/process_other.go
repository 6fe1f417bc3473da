//go:build !unix

package peer

import "os"

// usage knows the processor time only.
func usage(state *os.ProcessState) Usage {
	if state == nil {
		return Usage{}
	}
	return Usage{CPU: state.UserTime() + state.SystemTime()}
}

// allocated is the file's size.
func allocated(info os.FileInfo) int64 { return info.Size() }
