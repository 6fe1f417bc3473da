package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/quic-go/quic-go"
)

// What can go wrong when asking a provider. A verification failure is bao's typed error with the offset instead, and a broken
// connection quic-go's error; the text of all of them names the blob.
var (
	// ErrNotFound: the provider does not have the blob.
	ErrNotFound = errors.New("blobs: provider does not have it")
	// ErrTruncated: the answer ended before the last expected byte.
	ErrTruncated = errors.New("blobs: answer breaks off")
	// ErrStalled: the provider sent nothing for the whole stall timeout.
	ErrStalled = errors.New("blobs: provider stopped sending")
	// ErrTooLarge: a hash sequence is longer than is taken.
	ErrTooLarge = errors.New("blobs: too large")
	// ErrSize: the provider claims another size than one before it did, and does not prove it.
	ErrSize = errors.New("blobs: size is not proven")
	// ErrPush: the provider gave up taking a push, for an error of its own or since what came does not verify.
	ErrPush = errors.New("blobs: provider gives the push up")
	// ErrRefused: the provider does not want to answer (code 1 or 2).
	ErrRefused = errors.New("blobs: provider refuses")
	// ErrLimit: it would, but for a limit or quota of its own (code 2). It comes with ErrRefused.
	ErrLimit = errors.New("a limit of the provider is reached")
	// ErrLost: the connection broke; dialing again may help.
	ErrLost = errors.New("blobs: connection lost")
	// ErrReset: the provider reset the stream with code 3: something is missing, or there were too many requests at once. It comes with
	// [ErrNotFound] or [ErrTruncated].
	ErrReset = errors.New("provider reset the stream")
)

// receiveError sorts an error of reading an answer. Nothing tells whether anything of the answer was received before;
// atHeader, that the error came in place of the first byte of a blob.
func receiveError(ctx context.Context, err error, nothing, atHeader bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, bao.ErrHashMismatch) {
		return err
	}
	var reset *quic.StreamError
	var closed *quic.ApplicationError
	switch {
	case errors.Is(err, ErrStalled):
		return ErrStalled
	case errors.Is(err, os.ErrDeadlineExceeded): // of writing the request
		return ErrStalled
	case errors.As(err, &reset) && reset.Remote:
		return resetError(uint64(reset.ErrorCode), nothing)
	case errors.As(err, &closed) && closed.Remote && (closed.ErrorCode == CodePermission || closed.ErrorCode == CodeLimit):
		return fmt.Errorf("%w: connection closed (%q)", refusal(uint64(closed.ErrorCode)), closed.ErrorMessage)
	case atHeader && errors.Is(err, io.EOF):
		return ErrNotFound
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	default:
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
}

// refusal is the error for a code that refuses.
func refusal(code uint64) error {
	if code == CodeLimit {
		return fmt.Errorf("%w: %w (code %d)", ErrRefused, ErrLimit, code)
	}
	return fmt.Errorf("%w: code %d", ErrRefused, code)
}

// resetError tells what a reset with a code means.
func resetError(code uint64, nothing bool) error {
	switch {
	case code == CodePermission || code == CodeLimit:
		return refusal(code)
	case nothing:
		return fmt.Errorf("%w: %w with code %d", ErrNotFound, ErrReset, code)
	default:
		return fmt.Errorf("%w: %w with code %d", ErrTruncated, ErrReset, code)
	}
}
