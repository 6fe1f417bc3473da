package native

import (
	"math"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// each tells a Progress of a transfer of blobs: of all that is to be moved, which is counted once however often a blob is begun, and how
// far each blob is.
type each struct {
	to    Progress
	blobs BlobProgress          // to, if it wants to hear of that; else nil
	on    map[bao.Hash]onItsWay // what began and has not come to its end
}

type onItsWay struct{ have, size uint64 }

func newEach(to Progress) *each {
	e := &each{to: to, on: map[bao.Hash]onItsWay{}}
	e.blobs, _ = to.(BlobProgress)
	return e
}

// Blob implements blobs.Progress.
func (e *each) Blob(hash bao.Hash, size, have uint64) {
	have = min(have, size)
	before := e.on[hash]
	more := size - have - min(size-have, before.size-before.have) // than was said when it began before
	e.to.Item(hash.String(), int64(min(more, math.MaxInt64)))
	e.moved(hash, onItsWay{have, size})
}

// Bytes implements blobs.Progress.
func (e *each) Bytes(hash bao.Hash, n uint64) {
	now := e.on[hash]
	now.have += min(n, now.size-now.have)
	e.moved(hash, now)
	e.to.Bytes(n)
}

func (e *each) moved(hash bao.Hash, now onItsWay) {
	if e.on[hash] = now; now.have == now.size {
		delete(e.on, hash)
	}
	if e.blobs != nil {
		e.blobs.Blob(hash.String(), now.have, now.size)
	}
}
