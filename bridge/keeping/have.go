package keeping

import (
	"errors"
	"io"

	"github.com/iroh-ipfs/bridge/bridge/collection"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Have is how much of an item is there.
type Have struct {
	Collection bool   // a sequence that begins with names
	Complete   bool   // all of it is there
	Damaged    bool   // the sequence, or its names, cannot be read
	Size       uint64 // bytes of files, as far as they are known
	Bytes      uint64 // of these, that are there
}

// Have looks how much of an item is there.
func (k *Keeper) Have(i Item) (Have, error) {
	all, err := k.Blobs(i)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return Have{}, err
	}
	sum := Have{Complete: err == nil, Damaged: err != nil}
	for n, part := 0, all; len(part) > 0; part = part[min(len(part), looks):] {
		known, err := k.store.Statuses(part[:min(len(part), looks)])
		if err != nil {
			return sum, err
		}
		for _, st := range known {
			k.add(&sum, i.Format, n, st)
			n++
		}
	}
	return sum, nil
}

// looks is how many blobs are looked for at a time: some ten mebibytes.
const looks = 64 << 10

// add counts the blob in one place of an item, the first of which is its own.
func (k *Keeper) add(sum *Have, format ticket.Format, place int, st store.Status) {
	sum.Complete = sum.Complete && st.State == store.Complete
	if place == 1 && st.State == store.Complete && st.Size <= collection.MaxBytes {
		var err error
		if sum.Collection, err = k.names(st.Hash); err != nil {
			sum.Damaged, sum.Complete = true, false
		}
	}
	if format == ticket.HashSeq && (place == 0 || place == 1 && sum.Collection) {
		return // no file's
	}
	sum.Size += st.Size
	switch st.State {
	case store.Complete:
		sum.Bytes += st.Size
	case store.Partial:
		sum.Bytes += st.Ranges.Bytes(st.Size)
	}
}

// names tells whether a blob holds a collection's names.
func (k *Keeper) names(hash bao.Hash) (bool, error) {
	blob, err := k.store.Open(hash)
	if err != nil {
		return false, err
	}
	defer blob.Close()
	var head [64]byte
	n, err := blob.ReadAt(head[:min(blob.Size(), uint64(len(head)))], 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	return blobs.IsCollection(head[:n]), nil
}
