package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// runningName is a file that is there while a process has the data folder open, and stays if it is killed. (A power failure may
// take it along, as it is not worth a write that waits for the disk; then links are looked through a moment after the start.)
const runningName = "running"

// begin notes that the data folder is open, and whether an earlier process did not come to close it. The folder is locked.
func (b *Bridge) begin() error {
	f, err := os.OpenFile(filepath.Join(b.dir, runningName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		b.begun, b.cut = true, true
		return nil
	}
	if err != nil {
		return fmt.Errorf("bridge: data folder: %w", err)
	}
	b.begun = true
	return f.Close()
}

// mend makes good what a process that was killed left between a link's entry in the register and the link, before anybody sees
// anything: else content would turn up later that was not there at first. What it cannot do the purge tries again.
func (b *Bridge) mend(ctx context.Context) {
	if !b.cut {
		return
	}
	if err := b.look(ctx); err != nil {
		b.log.Error("looking through the links after a crash", "err", mappingError(err))
	}
}

// end notes, once, that the data folder was closed with nothing left to mend.
func (b *Bridge) end() error {
	if !b.begun || b.cut && !b.audited.Load() {
		return nil
	}
	b.begun = false
	return os.Remove(filepath.Join(b.dir, runningName))
}
