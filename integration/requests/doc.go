// Package requests has no code of its own: its tests hold every request of the blobs protocol against a real peer, package iroh/blobs
// on one side and iroh-blobs in Rust on the other, each as provider and as requester.
package requests
