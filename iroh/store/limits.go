package store

// What a record may hold is bounded in internal/meta, what a download may hold
// in memory in internal/receive, and what waits to be removed in internal/trash.
const (
	// maxPending and maxPendingBytes bound the blobs that are committed but
	// not yet settled: their records live in memory until [Store.Sync]. A
	// commit beyond them settles what is pending first.
	maxPending      = 4096
	maxPendingBytes = 4 << 20

	// maxTagName bounds the bytes of a tag's name.
	maxTagName = 1024

	// syncWorkers is how many files are synced to disk at the same time.
	syncWorkers = 16

	defaultOpenFiles   = 128
	defaultDiskReserve = 16 << 20
)
