package store

// What a record may hold is bounded in internal/meta, what a download may hold
// in memory in internal/receive.
const (
	// maxPending and maxPendingBytes bound the blobs that are committed but
	// not yet settled: their records live in memory until [Store.Sync]. A
	// commit beyond them settles what is pending first.
	maxPending      = 4096
	maxPendingBytes = 4 << 20

	// maxTrash and maxTrashBytes bound the deleted blobs whose files wait for
	// the next Sync, so that a full disk is relieved by deleting alone.
	maxTrash      = 256
	maxTrashBytes = 64 << 20

	// maxTagName bounds the bytes of a tag's name.
	maxTagName = 1024

	// syncWorkers is how many files are synced to disk at the same time.
	syncWorkers = 16

	defaultOpenFiles   = 128
	defaultDiskReserve = 16 << 20
)
