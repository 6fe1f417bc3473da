package layout

import "github.com/iroh-ipfs/bridge/mapping"

const (
	// MaxRecords is the default for how many records a reader reads: at 33 bytes
	// each about 9 GB, a DAG of 256 TiB in blocks of 1 MiB. It stops a layout
	// that keeps a reader busy for ever.
	MaxRecords = 1 << 28
	// maxCID is the longest CID in bytes: version, codec and multihash. With it,
	// with mapping's limits and with the buffers below, a length in a layout
	// never makes a reader allocate more than a block.
	maxCID = 1 + 9 + mapping.MaxMultihash
	// maxFormat is the longest format name.
	maxFormat = 16
	// bufferSize is what is read and written at a time. A reader has two.
	bufferSize = 64 << 10
)
