// Package arch has no code of its own: its tests hold what is true of the source tree as a whole.
//
//   - imports go down only: cmd/bridge → bridge → iroh, ipfs, mapping; the two networks know nothing of each other;
//     pure packages do no I/O and start no goroutine
//   - every package has a comment, every exported name of a library package too
//   - functions, files and packages stay small; nothing is registered in init
//   - forbidden packages and settings stay out
//   - no dependency is older than the release that mended a known advisory
//   - the container files publish no administration port beyond this machine
//   - no path of any one machine is in a file
//
// The tests read sources with go/parser and trust nothing but them. The generated copy of quic-go is left out: it is
// not ours and not committed.
package arch
