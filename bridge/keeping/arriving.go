package keeping

import (
	"errors"
	"fmt"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// ArrivalTime is how long what has come of content is held for the link that it was to become, after that was begun for the last
// time. It bounds the disk that attempts which nobody repeats take.
const ArrivalTime = 7 * 24 * time.Hour

// Arrive remembers that content begins to come in for a link, so that what comes of it is held if that is cut. It is in the database
// of the store before anything of the content is, and therefore there after a crash that leaves some of that.
func (k *Keeper) Arrive(hash bao.Hash, format ticket.Format, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := fmt.Sprintf("%s%s/%d", arrivingTag, hash, now.Unix())
	if err := k.store.SetTag(name, hash, format); err != nil {
		return err
	}
	if err := k.arrived(hash, name); err != nil {
		return err
	}
	return k.stay(Item{Hash: hash, Format: format})
}

// Arrived forgets that content was arriving: the link has it.
func (k *Keeper) Arrived(hash bao.Hash) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changes++
	return k.arrived(hash, "")
}

// arrived removes the tags of a hash but one.
func (k *Keeper) arrived(hash bao.Hash, but string) error {
	items, err := k.list(arrivingTag, hash.String()+"/")
	for _, i := range items {
		if i.tag != but {
			err = errors.Join(err, k.store.DeleteTag(i.tag))
		}
	}
	return err
}

// Arriving lists what began to come in for a link and did not become one, by hash.
func (k *Keeper) Arriving() ([]Item, error) { return k.list(arrivingTag, "") }

// Overdue tells that something was arriving for longer than it is held, or by a clock that was far ahead of now's.
func (i Item) Overdue(now time.Time) bool {
	return !i.Kept() && now.Sub(i.Arriving).Abs() > ArrivalTime
}
