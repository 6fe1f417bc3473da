// Package peer builds, starts and stops the real peers that the bridge is tested against: Kubo, a Rust node on iroh
// and iroh-blobs, an older iroh from npm, sendme, iroh-relay and iroh-dns-server; and the bridge itself, as a program like any other.
//
// Peers are never mocked. Each is built once from pinned sources and kept in a cache folder, [Cache]:
//
//	kubo             github.com/ipfs/kubo as pinned by kubo/go.mod and its go.sum
//	rust             the crate in rust/, pinned by its Cargo.lock
//	sendme           cargo install of a fixed version with its own lock file
//	iroh-relay       the same, with the feature server
//	iroh-dns-server  the same: a pkarr relay and name server
//	npm              the npm package @number0/iroh as pinned by npm/package.json, run by Node.js
//	b3sum            cargo install; only the benchmarks need it
//
// The cache is the folder named by BRIDGE_PEERS, or iroh-ipfs-bridge/peers in the user's cache folder. A peer's folder
// carries its version (for the Rust crate a hash of its sources), so a change of version builds anew, and a file lock
// makes processes that want the same peer wait for one build.
//
// All peers listen on 127.0.0.1 (sendme on ::1 as well) unless they are given another [Place], have no bootstrap peers, no relay and no discovery but what
// they are told, and live in folders that the caller gives them. A peer ends when it is stopped, when the context it was started with ends,
// and, on Linux, when the process that started it dies.
//
// Of the rest of the module the package needs integration/netns alone, so the tests of any package may use it. What it reports is
// trusted as far as a test trusts its own tools; nothing here is part of the bridge.
package peer
