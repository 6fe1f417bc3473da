package downloader

import (
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// ErrNoProvider says that there is nobody to ask.
var ErrNoProvider = errors.New("downloader: no provider")

var (
	// errSlow says that a provider has lost its task to another one, and errOver that what it was asked for is not wanted any more.
	errSlow = errors.New("downloader: provider is too slow")
	errOver = errors.New("downloader: not wanted any more")
	// errUnanswered says why a dial beside a connection was given up.
	errUnanswered = errors.New("no answer yet")
)

// ownError is a failure that is ours and no provider's: the store's.
type ownError struct{ error }

func (e ownError) Unwrap() error { return e.error }

// own marks an error of the store about a blob.
func own(hash bao.Hash, err error) error {
	if err == nil {
		return nil
	}
	return ownError{fmt.Errorf("blobs: %s: %w", hash.ShortString(), err)}
}

// ours marks an error of the store about some blob.
func ours(err error) error {
	if err == nil {
		return nil
	}
	return ownError{fmt.Errorf("blobs: %w", err)}
}
