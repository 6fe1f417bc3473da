package pebble

import "time"

const (
	// cacheSize is the default for blocks and filters kept in memory.
	cacheSize = 12 << 20
	// memTableSize is one write buffer; up to memTables of them wait for a
	// flush before writers do.
	memTableSize = 1 << 20
	memTables    = 3
	// tableSize is the size of a table file. A filter is loaded whole: small
	// tables have filters that fit the cache.
	tableSize = 8 << 20
	// maxOpenFiles bounds the table files held open.
	maxOpenFiles = 256
	// filterBits is the size of a Bloom filter for each key: 10 bits let about
	// 1 % of misses through.
	filterBits = 10
	// batchSize is when buffered rows of a transaction are written, in bytes. It
	// bounds the memory of one transaction; a row may exceed it by MaxBlock.
	batchSize = 256 << 10
	// scanRows is how many rows are read under one iterator: one that lives long
	// keeps deleted files on the disk.
	scanRows = 1 << 16
	// linkChunk and linkChunkSize bound the links that Links holds at a time, by
	// number and by bytes: a link with long notes has up to 4 MB.
	linkChunk     = 256
	linkChunkSize = 1 << 20
	// stripes is the number of locks over blob hashes, and over links.
	stripes = 64
	// maxStates is the number of running and unpurged transactions. Each costs
	// about 50 bytes of memory until Purge: it stops a caller that never purges.
	maxStates = 1 << 20
	// retryDelay is how long the engine waits before it tries a failed job again.
	retryDelay = 100 * time.Millisecond
	// closeWait is how long Close waits for calls that a failed disk holds up.
	closeWait = 5 * time.Second
)
