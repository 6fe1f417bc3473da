// Package store keeps iroh blobs in a folder of the local disk: complete,
// partial, or in place as files of the user, with their outboards, and tags.
//
// # Layout
//
//	<dir>/lock                       held while the store is open: one process
//	<dir>/data/<2 hex>/<hex>.data    bytes of a blob; a partial one has holes
//	<dir>/data/<2 hex>/<hex>.obao4   its outboard: pre-order pairs of 64 bytes above
//	                                 groups of 16 KiB, no prefix
//	<dir>/tmp/                       what has no hash or no record yet
//	<dir>/meta/                      a Pebble: a record for each blob, tags
//
// A blob of up to 16 KiB is a value in the database and has no outboard. An
// outboard of up to 16 KiB is part of its blob's record, so a blob of up to 4 MiB
// is one file. A blob in place has a path, what stat said about the file, and
// its outboard. Ranges count chunks of 1024 bytes and are whole groups of 16.
//
// # States
//
//	missing  -> complete   Writer, Spool, Put, PutAll
//	missing  -> partial    Download, Flush or Close
//	partial  -> complete   Complete; or Writer, with the same bytes
//	in place -> complete   Writer, Spool, Put: a copy wins; Download, if the file changed
//	any      -> missing    Delete; Discard for a partial one
//
// Each change is atomic for readers, and who has a blob open goes on reading
// what he opened.
//
// # Trust
//
// The caller is trusted to add pieces hashed by [bao.HashPiece], and leaves and
// pairs, or whole blobs of them, verified by [bao.Decoder]; the store does not hash them again. The disk
// is not trusted by readers: bytes are handed out as they are, and whoever
// passes them on verifies them, by [bao.Encode] or by a hash of his own.
// [Store.Verify] does it for a whole blob. A file of the user is not even read
// when it does not look as it did when it was added: size, modification and
// change time in nanoseconds, and inode must be the same ([ErrChanged]). A new
// mode or another hard link counts as a change; add the file again then.
//
// # Crashes
//
// When the process dies at any point, a blob is there or it is not; a partial
// one has what its last Flush had. When the power fails the same is true, and
// everything is there that came before a [Store.Sync] that returned. Opening a
// store after either needs no repair: tmp/ is emptied and the intents, of which
// there are as many as files were being moved, are looked through.
//
// What this rests on: database batches are atomic and come back in the order in
// which they were written, so a batch is never there without the one before;
// a batch written without waiting may become durable at any later time; a
// renamed file has its old or its new name; bytes and names are durable for sure
// only after an fsync of the file and of the folder.
//
//   - A small blob is one batch, so it is there with all its bytes or not at all.
//   - The record of a file must not be durable before its bytes are. As any batch
//     may become durable at any time, by someone else's sync, the record is not
//     written to the database at all by Commit: it stays in memory, and the file
//     under tmp/. A crash then leaves a file that the next Open removes. Sync,
//     for all such blobs together, (1) syncs the files, in parallel; (2) writes an
//     intent for each and syncs the database; (3) renames them; (4) syncs the
//     folders; (5) writes the records, removes the intents and syncs the
//     database. A crash before 5 leaves files with a durable intent and no record:
//     the next Open removes them. After 5 record, name and bytes are durable. So
//     the cost for any number of files is their fsyncs, which run in parallel,
//     at most 256 folders, and two syncs of the database.
//   - A partial blob's bitfield must not claim bytes that are not durable: Flush
//     takes a snapshot of what was written, syncs the files, and then writes the
//     record. Files get their final names at the first Flush, by steps 2 to 5.
//     Bytes written after the snapshot are not claimed and will be fetched again.
//     If the files of an older partial blob are replaced, or are of no use to the
//     new record, the old record goes in step 2, so that a bitfield never
//     describes another file, and the useless files go after it.
//   - Completing a partial blob changes its record only: in memory at once, in
//     the database by the next Sync, after the files are synced.
//   - Deleting writes a batch that removes the record and leaves an intent. The
//     files go only when that batch is durable, at the next Sync; until then a
//     crash brings back the whole blob.
//   - A blob whose file cannot be synced is dropped and Sync fails: after a failed
//     fsync the kernel may have forgotten the bytes, and asking again proves
//     nothing.
//
// # Memory
//
// The database takes about 10 MiB: writes that wait to be flushed, a cache, and
// what flushing needs; all downloads together hold 16 MiB of data that waits for
// the disk; records that wait for Sync hold 4 MiB, and a Spool a quarter of one;
// the rest is small.
package store
