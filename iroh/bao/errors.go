package bao

import (
	"errors"
	"fmt"
)

var (
	// ErrHashMismatch is matched by every error that says that bytes do not hash
	// to what the root demands: [*MismatchError] when they came from a peer,
	// [*CorruptError] when they came from the caller's own data or outboard.
	ErrHashMismatch = errors.New("bao: hash mismatch")
	// ErrCorrupt is matched by [*CorruptError].
	ErrCorrupt = errors.New("bao: corrupt or missing local data")
	// ErrRanges says that a range set is not a strictly ascending list.
	ErrRanges = errors.New("bao: range boundaries do not ascend")
	// ErrPiece says that a piece does not fit the tree that it was added to.
	ErrPiece = errors.New("bao: piece does not fit")
	// ErrIncomplete says that a tree was asked for its root before the last piece.
	ErrIncomplete = errors.New("bao: pieces are missing")
	// ErrSize says that a blob is too large for 63-bit file offsets.
	ErrSize = errors.New("bao: size exceeds 2^63-1 bytes")
)

// MismatchError says that an item of an encoding does not hash to the value that
// its parent, or the root, demands. Nothing of the item was handed out.
type MismatchError struct {
	Kind    Kind   // what the item was
	Offset  uint64 // first byte of the blob that the item covers
	Encoded uint64 // position of the item's first byte in the encoding
}

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("bao: %s at byte %d of the blob does not match its hash (byte %d of the encoding)", e.Kind, e.Offset, e.Encoded)
}

// Is reports whether target is [ErrHashMismatch].
func (e *MismatchError) Is(target error) bool { return target == ErrHashMismatch }

// CorruptError says that the data or the outboard given to [Encode] cannot be
// read, ends too early, or does not belong to the root hash.
type CorruptError struct {
	Kind   Kind   // Leaf: the data. Parent: the outboard.
	Offset uint64 // position in the data or in the outboard
	Err    error  // the reader's error, io.ErrUnexpectedEOF or ErrHashMismatch
}

// Error implements error.
func (e *CorruptError) Error() string {
	where := "data"
	if e.Kind == Parent {
		where = "outboard"
	}
	if e.Err == ErrHashMismatch {
		return fmt.Sprintf("bao: %s at byte %d does not match its hash", where, e.Offset)
	}
	return fmt.Sprintf("bao: reading %s at byte %d: %v", where, e.Offset, e.Err)
}

// Is reports whether target is [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }
