//go:build unix

package peer

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// usage reads the resource use that wait4 left: ru_maxrss is in KiB, on Darwin in bytes.
func usage(state *os.ProcessState) Usage {
	if state == nil {
		return Usage{}
	}
	u := Usage{CPU: state.UserTime() + state.SystemTime()}
	rusage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return u
	}
	u.PeakRSS = int64(rusage.Maxrss) //nolint:unconvert // 32 bits wide on some systems
	if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
		u.PeakRSS <<= 10
	}
	u.CPU = time.Duration(rusage.Utime.Nano() + rusage.Stime.Nano())
	return u
}

// allocated is what a file takes on disk: st_blocks counts units of 512 bytes everywhere.
func allocated(info os.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(stat.Blocks) * 512 //nolint:unconvert // not int64 on all systems
	}
	return info.Size()
}
