package receive

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
)

// pairSize is the length of a hash pair.
const pairSize = 64

// Outboard is a growing outboard: in a file, or in memory if it is small enough
// for the record of its blob. Either way it is written at any place and grows
// only as far as it was made.
type Outboard struct {
	folder *disk.Folder
	file   *os.File

	mu  sync.Mutex
	mem []byte
}

// File returns the file, nil if there is none.
func (o *Outboard) File() *os.File { return o.file }

// WriteAt writes pairs.
func (o *Outboard) WriteAt(p []byte, off int64) (int, error) {
	if o.file == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if off < 0 || off+int64(len(p)) > int64(len(o.mem)) {
			return 0, io.ErrShortWrite
		}
		return copy(o.mem[off:], p), nil
	}
	if err := o.folder.Take(len(p), false); err != nil {
		return 0, err
	}
	n, err := o.file.WriteAt(p, off)
	if err != nil {
		return n, fmt.Errorf("store: %w", err)
	}
	return n, nil
}

// ReadAt reads pairs; those that were not written are zeros or the end.
func (o *Outboard) ReadAt(p []byte, off int64) (int, error) {
	if o.file != nil {
		return o.file.ReadAt(p, off)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if off < 0 || off >= int64(len(o.mem)) {
		return 0, io.EOF
	}
	n := copy(p, o.mem[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Inline returns a copy of an outboard that is in memory.
func (o *Outboard) Inline() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.mem)
}
