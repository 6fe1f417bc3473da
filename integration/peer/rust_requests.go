package peer

import (
	"context"
)

// RustAvailable is what a Rust node says there is of a blob.
type RustAvailable struct {
	Size     uint64   `json:"size"`
	Ranges   []uint64 `json:"ranges"` // chunk boundaries
	Complete bool     `json:"complete"`
}

// Sink starts a node with an empty memory store that takes pushes from anybody.
func (r RustPeer) Sink(ctx context.Context, flags ...string) (*RustNode, error) {
	return r.up(ctx, append([]string{"sink"}, flags...))
}

// Push imports a file or folder and pushes it to a target, as [RustPeer.Dial] takes it, until the target says that it has its root.
func (r RustPeer) Push(ctx context.Context, target, path string, flags ...string) (RustItem, error) {
	var i RustItem
	return i, r.run(ctx, &i, append([]string{"push", target, path}, flags...)...)
}

// RustObservation is what an observation heard: every item as it came, and their sum.
type RustObservation struct {
	Items []RustAvailable `json:"items"`
	Sum   RustAvailable   `json:"sum"`
}

// Observe follows a blob of a target until it is complete.
func (r RustPeer) Observe(ctx context.Context, target, hash string, flags ...string) (RustObservation, error) {
	var o RustObservation
	return o, r.run(ctx, &o, append([]string{"observe", target, hash}, flags...)...)
}

// GetMany fetches blobs by one request and returns their sizes by hash.
func (r RustPeer) GetMany(ctx context.Context, target string, hashes ...string) (map[string]uint64, error) {
	var out struct {
		Sizes map[string]uint64 `json:"sizes"`
	}
	err := r.run(ctx, &out, append([]string{"get-many", target}, hashes...)...)
	return out.Sizes, err
}
