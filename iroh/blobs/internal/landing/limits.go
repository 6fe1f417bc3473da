package landing

// Limits of what waits for the disk. Whoever sends faster than it takes waits.
const (
	// flushEvery is how many bytes are written between two records of what is there. After a crash at most this much of a blob is
	// asked for again.
	flushEvery = 16 << 20

	// trayBytes and trayBlobs are how many small blobs are stored together, and shelfPlaces how many times that waits for the disk:
	// 2 MiB at most, and a tray for each stream.
	trayBytes   = 64 << 10
	trayBlobs   = 512
	shelfPlaces = 16
)
