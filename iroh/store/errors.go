package store

import (
	"errors"

	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/harm"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

var (
	// ErrNotFound says that the store has nothing under that hash or tag.
	ErrNotFound = errors.New("store: not found")

	// ErrIncomplete says that a part of a blob was asked for that has not been
	// downloaded, or that a download lacks parts and cannot be completed.
	ErrIncomplete = harm.ErrIncomplete

	// ErrChanged says that the file behind an in-place blob is no longer the
	// one that was added: its size, modification time, change time or inode
	// differ, or it is gone.
	ErrChanged = meta.ErrChanged

	// ErrBusy says that the blob is being downloaded right now.
	ErrBusy = errors.New("store: blob is being downloaded")

	// ErrComplete says that the blob is already complete: there is nothing to
	// download.
	ErrComplete = errors.New("store: blob is already complete")

	// ErrSize says that a claimed size cannot be the blob's: it is out of
	// bounds, or a verified last chunk proves another one.
	ErrSize = errors.New("store: wrong blob size")

	// ErrLocked says that another process (or another Store of this one) uses
	// the folder.
	ErrLocked = disk.ErrLocked

	// ErrClosed says that the store, writer or download was closed.
	ErrClosed = errors.New("store: closed")

	// ErrDamaged is what every [DamageError] is.
	ErrDamaged = harm.ErrDamaged
)

// DamageError tells where the bytes on disk stop being the blob they should
// be. It is an [ErrDamaged].
type DamageError = harm.DamageError
