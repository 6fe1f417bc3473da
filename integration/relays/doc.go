// Package relays has no code of its own: its tests let endpoints of ours and a Rust node meet at a real iroh-relay, fetch
// blobs there in either role, move to direct paths, and live through a relay's restart. Everything stays on loopback.
package relays
