package peer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// RSS is the resident memory of a running process in bytes. It needs /proc.
func RSS(pid int) (int64, error) { return status(pid, "VmRSS:") }

// PeakRSS is the most resident memory that a running process had so far, in bytes. It needs /proc.
func PeakRSS(pid int) (int64, error) { return status(pid, "VmHWM:") }

// status reads a value in kB from /proc/PID/status.
func status(pid int, key string) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("peer: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("peer: process %d has no %s", pid, key)
}

// DiskUse is what the files below a folder take on disk: allocated bytes where the system tells them, else their sizes.
// Files that go away meanwhile do not count.
func DiskUse(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += allocated(info)
		}
		return err
	})
	return sum, err
}
