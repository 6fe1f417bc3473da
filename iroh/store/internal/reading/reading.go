// Package reading reads the files of a blob: whole or in part, ours or a user's, also while they are being downloaded. The bytes are as the
// disk has them; what is not there, changed or fell short is an error, and whether the rest is the blob only a hash can tell.
package reading

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/harm"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/receive"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/scan"
)

// Files are the open files of a blob that is not inline. They stay open, and
// with them its bytes, for as long as anyone holds them, whatever happens to
// their names. Safe for concurrent use.
type Files struct {
	hash     bao.Hash
	rec      meta.Record
	data     *os.File          // nil while it is in memory
	outboard *os.File          // nil when the outboard is in memory or empty
	live     *receive.Receiver // what was writing it when it was opened
}

// Open opens the files at two paths, which are empty for what is in memory. live is what writes them just now, nil if nothing does.
func Open(h bao.Hash, rec meta.Record, data, outboard string, live *receive.Receiver) (*Files, error) {
	f := &Files{hash: h, rec: rec, live: live}
	var err error
	if data != "" {
		f.data, err = os.Open(data)
	}
	switch {
	case err == nil:
		err = f.unchanged()
	case rec.Kind == meta.InPlace:
		err = fmt.Errorf("%w: %w", meta.ErrChanged, err)
	default:
		err = &harm.DamageError{Hash: h, Part: "data", Err: err}
	}
	if err == nil && outboard != "" {
		if f.outboard, err = os.Open(outboard); err != nil {
			err = &harm.DamageError{Hash: h, Part: "outboard", Err: err}
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close closes the files.
func (f *Files) Close() {
	for _, file := range []*os.File{f.data, f.outboard} {
		if file != nil {
			_ = file.Close() // it was only read: closing loses nothing
		}
	}
}

// Record is what the database had of the blob when it was opened.
func (f *Files) Record() *meta.Record { return &f.rec }

// unchanged says whether the file of the user, if it is one, is what was added.
func (f *Files) unchanged() error {
	if f.rec.Kind != meta.InPlace {
		return nil
	}
	info, err := f.data.Stat()
	return f.rec.Source.Check(info, err)
}

// Ranges are the chunks that are there, in whole groups.
func (f *Files) Ranges() bao.Ranges {
	switch {
	case f.rec.Complete():
		return bao.All()
	case f.live != nil:
		groups, _ := f.live.Snapshot()
		return groups
	}
	return f.rec.Groups
}

// ReadAt reads data, as [io.ReaderAt]. Errors besides io.EOF:
// [harm.ErrIncomplete] if any of the bytes is not there, and then none is read;
// [meta.ErrChanged] if the file of an in-place blob changed; a
// [harm.DamageError] if our file is too short.
func (f *Files) ReadAt(p []byte, off int64) (int, error) {
	if uint64(off) >= f.rec.Size {
		return 0, io.EOF
	}
	want := p[:min(uint64(len(p)), f.rec.Size-uint64(off))]
	if !f.rec.Complete() {
		start, end := receive.ChunkSpan(uint64(off), uint64(len(want)))
		if !receive.Covers(f.Ranges(), start, end) {
			return 0, harm.ErrIncomplete
		}
	}
	n, err := f.data.ReadAt(want, off)
	if err := f.unchanged(); err != nil {
		return 0, err // asked after reading: what was read before a change is good
	}
	switch {
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("store: %w", err)
	case n < len(want):
		return n, &harm.DamageError{Hash: f.hash, Part: "data", Offset: uint64(off) + uint64(n), Err: io.ErrUnexpectedEOF}
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// Outboard is the outboard, pre-order without a prefix. Pairs that have not been downloaded read as zeros or end early.
func (f *Files) Outboard() io.ReaderAt {
	switch {
	case f.outboard != nil:
		return f.outboard
	case f.live != nil:
		return f.live.Outboard()
	}
	return bytes.NewReader(f.rec.Payload)
}

// Verify hashes all that is there, on all cores. What does not match is a [harm.DamageError] that names the first bad place.
func (f *Files) Verify(ctx context.Context) error {
	if err := f.checkLength(); err != nil {
		return err
	}
	err := scan.Verify(ctx, f.hash, f.rec.Size, f, f.Outboard(), f.Ranges())
	var corrupt *bao.CorruptError
	switch {
	case err == nil, errors.Is(err, meta.ErrChanged), errors.Is(err, harm.ErrDamaged):
		return err
	case errors.As(err, &corrupt):
		part := "data"
		if corrupt.Kind == bao.Parent {
			part = "outboard"
		}
		return &harm.DamageError{Hash: f.hash, Part: part, Offset: corrupt.Offset, Err: corrupt.Err}
	}
	return fmt.Errorf("store: verifying blob %s: %w", f.hash, err)
}

// checkLength says whether the data of a complete blob of ours is longer or
// shorter than it should be. What the user's file has is checked by every read.
func (f *Files) checkLength() error {
	if f.rec.Kind != meta.Stored {
		return nil
	}
	info, err := f.data.Stat()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if n := uint64(info.Size()); n != f.rec.Size {
		return &harm.DamageError{Hash: f.hash, Part: "data", Offset: min(f.rec.Size, n), Err: fmt.Errorf("file has %d bytes instead of %d", n, f.rec.Size)}
	}
	return nil
}
