// Package integration has no code of its own: its tests say what the whole thing must do, between real peers.
//
// They start the bridge's own program as a stranger would, talk to it by its command line alone, and let real,
// unmodified peers judge: a Kubo, a Rust node on iroh and iroh-blobs, and sendme (package peer). Nothing is mocked. All
// sockets are on 127.0.0.1. Everything random comes from a seed that a failing test prints.
//
// Environment: BRIDGE_BIN names a built bridge to test; BRIDGE_KILL_ROUNDS and BRIDGE_SOAK lengthen the tests that can
// be long (make kill9, make soak); CI makes a missing peer a failure instead of a skipped test.
package integration
