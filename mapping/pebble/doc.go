// Package pebble keeps the mapping in an embedded key-value store: one folder,
// one process, no server.
//
// # Keys
//
// Every key is
//
//	table (1 byte) · n (1 byte) · body (n bytes) · suffix
//
// and the part before the suffix is the prefix that the Bloom filters know, so
// that a look-up of something that is not there (most wants of other peers are)
// reads no data block. seq is the number of the transaction that wrote a row, 8
// bytes big endian with all bits inverted: the newest row comes first. key(CID)
// is the CIDv1 without its version byte: codec varint and multihash.
//
//	table  body          suffix        value
//	b      multihash     seq           a block: see below
//	c      key(root)     seq           the link, JSON (record.go)
//	f      key(file)     seq           blob hash (32 bytes) · the CID as given
//	h      blob hash     seq · CID     empty; the CID as given, or nothing
//	l      seq                         the CID of the link, as given
//	p      seq                         empty: the transaction runs
//	d      seq                         empty: the link is deleted or replaced
//	m      "seq"                       the next free seq, 8 bytes big endian
//	m      "version"                   1 byte, 1
//
// In tables l, p and d the seq is not inverted. The value of a block row starts
// with its kind:
//
//	1  leaf          blob hash · offset varint · length varint
//	2  wrapped leaf  as 1 · prefix length varint · prefix · suffix
//	3  node          the block's bytes
//
// # Visibility
//
// A row counts when its seq is neither pending nor dead. Both sets are small
// and held in memory, so a look-up is one seek that passes over rows which do
// not count. Begin writes p before any other row of its transaction; the log
// keeps the order of writes, so after a crash no row is there without its p.
// Commit writes the link, l, and d for the link it replaces, and removes p, in
// one synced batch; then memory follows under one lock, which is the moment when
// everything changes at once. Delete is one synced batch with d. At Open every p
// is a transaction that a crash cut short, and counts as dead. Purge removes the
// rows of dead seqs, and only then, in one synced batch, their p and d.
//
// # Failure
//
// Blocks and log records carry checksums, which are verified when they are
// read: what does not hold is [ErrDamaged]. When the log cannot be written (a
// full or failing disk) the store refuses all further work with [ErrFailed]
// until it is closed and opened again; nothing that was acknowledged is lost by
// that. A manifest that cannot be written for want of space is written when
// there is some; meanwhile writes that begin fail with ErrFailed, and those that
// had begun wait. A disk that refuses the
// manifest for another reason ends the process, with a line in the log. What
// cannot be read any more is rebuilt from the layouts of the links, see
// [Rebuild].
package pebble
