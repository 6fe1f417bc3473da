// Package harm has the errors that reading a blob can end with; package store shows them to its callers.
package harm

import (
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

var (
	// ErrIncomplete says that a part of a blob is not there.
	ErrIncomplete = errors.New("store: part of the blob is missing")

	// ErrDamaged is what every [DamageError] is.
	ErrDamaged = errors.New("store: blob is damaged")
)

// DamageError tells where the bytes on disk stop being the blob they should
// be. It is an [ErrDamaged].
type DamageError struct {
	Hash   bao.Hash
	Part   string // "data", "outboard" or "record"
	Offset uint64 // byte offset in that part of the first group or pair that does not verify
	Err    error  // what was found
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("store: blob %s is damaged: %s at byte %d: %v", e.Hash, e.Part, e.Offset, e.Err)
}

// Unwrap makes a DamageError match ErrDamaged and its cause.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Err} }
