// Package meeting tests how the bridge's program meets iroh peers of which only the id is known, through a real iroh-relay and a
// real iroh-dns-server, and what it does with them: fetch, push, observe, peers, doctor.
package meeting
