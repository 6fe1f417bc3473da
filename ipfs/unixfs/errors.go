package unixfs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// Meta is what a node says of its entry beside its bytes: permission bits and a time, each zero when there is none.
type Meta = codec.Meta

var (
	// ErrNotUnixFS: the block is of another codec, or a dag-pb node without a UnixFS message.
	ErrNotUnixFS = codec.ErrNotUnixFS

	// ErrMalformed: the block is UnixFS by its form but contradicts itself or its parent.
	ErrMalformed = codec.ErrMalformed

	// ErrName: an entry's name cannot be the name of a file, or occurs twice in a directory.
	ErrName = errors.New("invalid name")

	// ErrLimit: the DAG is deeper, larger or longer than [Limits] allow.
	ErrLimit = errors.New("limit exceeded")

	// ErrNoSuchName: the directory has no entry of that name, or is no directory.
	ErrNoSuchName = errors.New("no such name")
)

// A NodeError says which block a walk stopped at, and why. Err wraps one of this package's sentinels or is the
// Fetcher's error.
type NodeError struct {
	CID cid.Cid
	Err error
}

func (e *NodeError) Error() string { return "unixfs: " + e.CID.String() + ": " + e.Err.Error() }

func (e *NodeError) Unwrap() error { return e.Err }

func limited(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrLimit}, args...)...)
}

// validName accepts what can be one step of a path. Kubo stores any bytes; this refuses only names that would leave
// the directory or end a path early (CVE-2020-26279), and keeps the bytes of all others.
func validName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%w: %q", ErrName, name)
	case len(name) > maxName:
		return fmt.Errorf("%w: %q... has %d bytes, more than %d", ErrName, name[:32], len(name), maxName)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}
