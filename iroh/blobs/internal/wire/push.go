package wire

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

// ReadPush reads a push request from a stream, after its type byte, and leaves r where the data begins. hold is asked, once the
// length is known, whether so many bytes may be held. The error wraps [ErrRequest] where the bytes make no sense.
func ReadPush(r *bufio.Reader, hold func(size int64) error) (PushRequest, error) {
	guarded := func(size uint64) error { return hold(int64(size)) }
	body, err := readHeld(r, MaxRequest, guarded)
	switch {
	case errors.Is(err, errLength):
		return PushRequest{}, fmt.Errorf("%w: %w", ErrRequest, err)
	case err != nil:
		return PushRequest{}, err
	}
	get, err := parseGet(postcard.NewReader(body))
	return PushRequest{get}, err
}
