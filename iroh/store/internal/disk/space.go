package disk

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// space refuses writes while the disk is nearly full, so that the database,
// which cannot survive a failed write of its log, always has room. Asking the
// system costs microseconds and is done once for every mebibyte written or
// after 100 ms.
type space struct {
	dir     string
	reserve uint64

	mu   sync.Mutex
	left int64 // bytes that may be written before the system is asked again
	next time.Time
}

const (
	spaceBudget   = 1 << 20
	spaceInterval = 100 * time.Millisecond

	// urgentReserve is what urgent writes leave: they are a few hundred bytes
	// each, and go into a log that was allocated in advance.
	urgentReserve = 64 << 10
)

// take is [Folder.Take].
func (s *space) take(n int, urgent bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left -= int64(n)
	now := time.Now()
	if s.left >= 0 && now.Before(s.next) {
		return nil
	}
	usage, err := vfs.Default.GetDiskUsage(s.dir)
	if err != nil {
		return fmt.Errorf("store: asking for free disk space: %w", err)
	}
	reserve := s.reserve
	if urgent {
		reserve = min(reserve, urgentReserve)
	}
	s.left, s.next = 0, now.Add(spaceInterval)
	if usage.AvailBytes < reserve+uint64(n) {
		return fmt.Errorf("store: %d bytes are left on the disk and %d are kept in reserve: %w", usage.AvailBytes, reserve, syscall.ENOSPC)
	}
	// What others may write without asking is not of the reserve, whoever asked now.
	if full := s.reserve + uint64(n); usage.AvailBytes > full {
		s.left = int64(min(spaceBudget, usage.AvailBytes-full))
	}
	return nil
}
