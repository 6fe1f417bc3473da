package receive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/disk"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

// NewOutboard makes the outboard of a blob of size bytes, in a temporary file
// if it is too large for a record.
func NewOutboard(folder *disk.Folder, size uint64) (*Outboard, error) {
	n := bao.OutboardSize(size)
	if n <= meta.MaxInlineOutboard {
		return &Outboard{mem: make([]byte, n)}, nil
	}
	f, err := folder.Create(".obao4")
	if err != nil {
		return nil, err
	}
	return &Outboard{folder: folder, file: f}, nil
}

// New makes a receiver for a blob of size bytes of which nothing is there. With
// memory, which only a blob of one group may ask for, it has no files.
func New(pool *Pool, folder *disk.Folder, size uint64, memory bool) (*Receiver, disk.Temp, error) {
	var temp disk.Temp
	outboard, err := NewOutboard(folder, size)
	if err != nil {
		return nil, temp, err
	}
	r := &Receiver{size: size, pool: pool, folder: folder, outboard: outboard}
	if outboard.file != nil {
		temp.Outboard = outboard.file.Name()
	}
	if memory {
		return r, temp, nil
	}
	if r.data, err = folder.Create(".data"); err != nil {
		r.closeFiles()
		return nil, temp, errors.Join(err, temp.Remove())
	}
	temp.Data = r.data.Name()
	return r, temp, nil
}

// Reopen makes a receiver for a partial blob with its files, of which outboard
// may be "". fs.ErrNotExist says that they do not hold what the record says.
func Reopen(pool *Pool, folder *disk.Folder, rec *meta.Record, data, outboard string) (_ *Receiver, err error) {
	r := &Receiver{size: rec.Size, pool: pool, folder: folder, outboard: &Outboard{folder: folder, mem: rec.Payload}}
	defer func() {
		if err != nil {
			r.closeFiles()
		}
	}()
	if r.data, err = reopen(data, min(rec.Size, end(rec.Groups)*bao.ChunkSize)); err != nil {
		return nil, err
	}
	if outboard != "" {
		if r.outboard.file, err = reopen(outboard, end(rec.Pairs)*pairSize); err != nil {
			return nil, err
		}
	}
	r.Progress.groups, r.Progress.pairs = rec.Groups, rec.Pairs
	return r, nil
}

// reopen opens a file of a partial blob, which has at least so many bytes.
func reopen(name string, least uint64) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	info, err := f.Stat()
	if err == nil && uint64(info.Size()) < least {
		err = fmt.Errorf("%s of a partial blob is too short: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %w", err), f.Close())
	}
	return f, nil
}

// end is where the last range ends.
func end(r bao.Ranges) uint64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1]
}

// InMemory reports whether the blob has no files.
func (r *Receiver) InMemory() bool { return r.data == nil }

// Outboard returns the pairs that are on disk, for reading.
func (r *Receiver) Outboard() *Outboard { return r.outboard }

// Record returns the record of a partial blob with what is on disk, its payload
// only if asked to.
func (r *Receiver) Record(payload bool) meta.Record {
	groups, pairs := r.Snapshot()
	rec := meta.Record{Kind: meta.Partial, Size: r.size, Groups: groups, Pairs: pairs}
	if payload {
		rec.Payload = r.outboard.Inline()
	}
	return rec
}

// SyncFiles makes durable what is in the files.
func (r *Receiver) SyncFiles() error {
	for _, f := range []*os.File{r.data, r.outboard.file} {
		if f == nil {
			continue
		}
		if err := r.folder.SyncFile(f); err != nil {
			return err
		}
	}
	return nil
}

// closeFiles closes the files; what was to be kept was synced before.
func (r *Receiver) closeFiles() {
	for _, f := range []*os.File{r.data, r.outboard.file} {
		if f != nil {
			_ = f.Close()
		}
	}
}
