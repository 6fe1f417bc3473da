package layout

import (
	"io"
	"math"
)

// Limits bound what a reader accepts. The zero value has the defaults.
type Limits struct {
	// Records is the number of records. 0 is MaxRecords.
	Records uint64
}

// Reader reads a layout, strictly, with bounded memory. It is not safe for
// concurrent use.
type Reader struct {
	// back hands out records, ahead is as far as the next file record.
	back, ahead *decoder
	// file is the file record that ahead has reached.
	file Record
	err  error
}

// NewReader returns a reader of the layout in the first size bytes of r. It
// reads them twice, each time from start to end.
func NewReader(r io.ReaderAt, size int64, limits Limits) *Reader {
	if limits.Records == 0 {
		limits.Records = MaxRecords
	}
	return &Reader{back: newDecoder(r, size, limits), ahead: newDecoder(r, size, limits)}
}

// Next returns the next record: the leaves and nodes of a file, the file, and so
// on, at last the End record. After it comes io.EOF. An error is an [*Error],
// and is repeated by later calls.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	rec, err := r.next()
	if err != nil {
		r.err = err
		return Record{}, err
	}
	if rec.Kind == End {
		r.err = io.EOF
	}
	return rec, nil
}

func (r *Reader) next() (Record, error) {
	if r.file.Kind == 0 {
		if err := r.look(); err != nil {
			return Record{}, err
		}
	}
	rec, err := r.back.record()
	if err != nil {
		return Record{}, err
	}
	switch rec.Kind {
	case Leaf:
		rec.Block.Blob = r.file.Hash
	case File:
		r.file = Record{}
	}
	return rec, nil
}

// look reads ahead to the record that the next leaves belong to, and checks
// that it can be theirs.
func (r *Reader) look() error {
	end, leaves := uint64(0), false
	for {
		rec, err := r.ahead.record()
		if err != nil {
			return err
		}
		switch rec.Kind {
		case Leaf:
			end, leaves = max(end, rec.Block.Offset+rec.Block.Length), true
		case File:
			if end > rec.Size {
				return r.ahead.bad("a leaf ends at byte %d of a file of %d", end, rec.Size)
			}
			r.file = rec
			return nil
		case End:
			if leaves {
				return r.ahead.bad("leaves without a file")
			}
			r.file = Record{Kind: End, Size: math.MaxUint64}
			return nil
		}
	}
}
