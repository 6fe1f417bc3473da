// Package keeping remembers which blobs are kept though they are in no link: what an operator has fetched, what others
// have pushed, and for a while what is coming in for a link. They have no CID, and iroh peers get them.
//
// The memory is tags in the blob store, whose format says whether the hash is that of a sequence, with all its children:
//
//	tag                           stands for
//	bridge/kept/HEX               what was fetched
//	bridge/pushed/ID/HEX          what the endpoint with that id has pushed
//	bridge/arriving/HEX/SECONDS   what is coming in for a link, which was begun last at that Unix time, see arriving.go
//	push/HEX                      one blob that came by a push: the provider's account of the quota, see package iroh/blobs/provider
//
// A tag comes before the bytes of a fetch, which therefore goes on where it was after a crash; and after those of a push, since a
// claim alone is to leave no trace. What a crash cut short of a push is still there as its blobs' own tags.
//
// # Damage
//
// A sequence that cannot be read, or is not what its hash says, is known by its own hash alone: it is listed as partial and can be
// dropped. As long as it is kept nobody knows what it holds, and Held says so instead of guessing. Of what is arriving nothing was
// promised: its children go.
//
// # Trust
//
// What is said to be a sequence is read as one, up to the size that a sequence may have. A pusher is believed once a child of it is
// here, and so is who fetches; what was fetched as a blob well is not spoiled by a wrong word.
package keeping

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/collection"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

const (
	keptTag     = "bridge/kept/"
	pushedTag   = "bridge/pushed/"
	arrivingTag = "bridge/arriving/"
)

// ErrDamaged says that a sequence that is kept cannot be read.
var ErrDamaged = errors.New("a sequence that is kept is damaged; `bridge rm` it and fetch it again")

// Keeper is the memory in a store. It is safe for concurrent use.
type Keeper struct {
	store *store.Store

	// mu is held while something comes to be kept, is dropped, or is deleted for not being kept. No call to the mapping is made under
	// it, which calls Orphan under locks of its own.
	mu      sync.Mutex
	changes uint64   // of items
	leaving sync.Map // bao.Hash of what was given up; no more than was in the store
}

// New returns the memory in s.
func New(s *store.Store) *Keeper { return &Keeper{store: s} }

// Item is a blob, or a sequence and all its children, that is kept.
type Item struct {
	Hash   bao.Hash
	Format ticket.Format
	Pushed bool           // by somebody else; fetched by us otherwise
	By     key.EndpointID // who pushed it; zero when a crash came before that was noted

	// Arriving is when it began to come in for a link that is not there yet, for the last time; zero for what is kept.
	Arriving time.Time

	tag string
}

// Kept tells whether it is there to stay.
func (i Item) Kept() bool { return i.Arriving.IsZero() }

// Keep remembers what is fetched, durably. What was fetched as a sequence remains one, if a child of it is here.
func (k *Keeper) Keep(hash bao.Hash, format ticket.Format) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, kept, err := k.Kept(hash)
	if err == nil && kept && old == ticket.HashSeq && format == ticket.Raw {
		var proven bool
		if proven, err = k.Proven(hash); proven || errors.Is(err, ErrDamaged) {
			format, err = old, nil // nothing is to be lost
		}
	}
	if err == nil && (!kept || old != format) {
		err = k.store.SetTag(keptTag+hash.String(), hash, format)
	}
	if err != nil {
		return err
	}
	return k.stay(Item{Hash: hash, Format: format})
}

// Kept tells whether something is kept for having been fetched, and as what.
func (k *Keeper) Kept(hash bao.Hash) (ticket.Format, bool, error) {
	tag, err := k.store.Tag(keptTag + hash.String())
	if errors.Is(err, store.ErrNotFound) {
		return ticket.Raw, false, nil
	}
	return tag.Format, err == nil, err
}

// Proven tells whether a hash is that of a sequence of which a child is here. The error is ErrDamaged if that cannot be read.
func (k *Keeper) Proven(hash bao.Hash) (bool, error) {
	all, err := k.Blobs(Item{Hash: hash, Format: ticket.HashSeq})
	if err != nil {
		return false, err
	}
	for _, h := range all[1:] {
		st, err := k.store.Status(h)
		if err != nil || st.State != store.Missing {
			return err == nil, err
		}
	}
	return false, nil
}

// Unkeep forgets what was to be fetched and is not. What is here of it is what it was before: given up, if nothing else keeps it.
func (k *Keeper) Unkeep(hash bao.Hash) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	format, kept, err := k.Kept(hash)
	if err != nil || !kept {
		return err
	}
	all, err := k.Blobs(Item{Hash: hash, Format: format})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	if err := k.store.DeleteTag(keptTag + hash.String()); err != nil {
		return err
	}
	k.changes++
	held, err := k.Held()
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	k.leave(all, held)
	return nil
}

// Pushed remembers what somebody has pushed. A sequence is taken for one blob until a child of it is here, and one blob for part of the
// sequence that it was said to begin before.
func (k *Keeper) Pushed(by key.EndpointID, hash bao.Hash, format ticket.Format) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if format == ticket.HashSeq {
		if proven, err := k.Proven(hash); err != nil && !errors.Is(err, ErrDamaged) {
			return err
		} else if !proven {
			format = ticket.Raw
		}
	}
	name := pushedTag + by.String() + "/" + hash.String()
	old, err := k.store.Tag(name)
	switch {
	case err == nil && (old.Format == format || format == ticket.Raw):
		return k.stay(Item{Hash: hash, Format: old.Format})
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	}
	if err := k.store.SetTag(name, hash, format); err != nil {
		return err
	}
	return k.stay(Item{Hash: hash, Format: format})
}

// Items lists everything kept: first what was fetched, then what was pushed, each by hash.
func (k *Keeper) Items() ([]Item, error) {
	m, err := k.read()
	if err != nil || len(m.strays) == 0 {
		return m.kept, err
	}
	held, err := k.hold(m.kept)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	for _, s := range m.strays {
		if !held.Has(s.Hash) {
			m.kept = append(m.kept, s)
		}
	}
	return m.kept, nil
}

// Find lists the items with a hash: those that are kept, then what is arriving.
func (k *Keeper) Find(hash bao.Hash) ([]Item, error) {
	items, err := k.list(keptTag, hash.String())
	if err != nil {
		return nil, err
	}
	pushed, err := k.list(pushedTag, "")
	if err != nil {
		return nil, err
	}
	items = append(items, slices.DeleteFunc(pushed, func(i Item) bool { return i.Hash != hash })...)
	if len(items) == 0 {
		if items, err = k.stray(hash); err != nil {
			return nil, err
		}
	}
	arriving, err := k.list(arrivingTag, hash.String()+"/")
	return append(items, arriving...), err
}

// stray finds a blob that was pushed, unless it belongs to something that is kept.
func (k *Keeper) stray(hash bao.Hash) ([]Item, error) {
	strays, err := k.list(provider.PushTag, hash.String())
	if err != nil || len(strays) == 0 {
		return nil, err
	}
	m, err := k.read()
	if err != nil {
		return nil, err
	}
	held, err := k.hold(m.kept)
	if err != nil && !errors.Is(err, ErrDamaged) || held.Has(hash) {
		return nil, err
	}
	return strays, nil
}

// memory is all that the tags say. Strays are blobs that were pushed, most of which belong to something that is kept.
type memory struct{ kept, arriving, strays []Item }

func (k *Keeper) read() (m memory, err error) {
	fetched, err := k.list(keptTag, "")
	if err != nil {
		return m, err
	}
	pushed, err := k.list(pushedTag, "")
	if err != nil {
		return m, err
	}
	m.kept = append(fetched, pushed...)
	if m.arriving, err = k.list(arrivingTag, ""); err != nil {
		return m, err
	}
	m.strays, err = k.list(provider.PushTag, "")
	return m, err
}

// list reads the tags of a kind whose names go on with prefix.
func (k *Keeper) list(kind, prefix string) (items []Item, err error) {
	for tag, err := range k.store.TagsUnder(kind + prefix) {
		if err != nil {
			return nil, err
		}
		i := Item{Hash: tag.Hash, Format: tag.Format, tag: tag.Name, Pushed: kind == pushedTag || kind == provider.PushTag}
		first, second, _ := strings.Cut(strings.TrimPrefix(tag.Name, kind), "/")
		switch kind {
		case pushedTag:
			i.By, err = key.ParseEndpointID(first)
		case arrivingTag:
			var seconds int64
			seconds, err = strconv.ParseInt(second, 10, 64)
			i.Arriving = time.Unix(seconds, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("tag %q: %w", tag.Name, err)
		}
		items = append(items, i)
	}
	return items, nil
}

// Blobs lists the hashes of an item: its own, then those of the children as far as they are known. Its own is listed with ErrDamaged too.
func (k *Keeper) Blobs(i Item) ([]bao.Hash, error) {
	all := []bao.Hash{i.Hash}
	if i.Format != ticket.HashSeq {
		return all, nil
	}
	seq, err := collection.ReadBlob(k.store, i.Hash)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrIncomplete), errors.Is(err, collection.ErrTooLarge):
		return all, nil
	case errors.Is(err, store.ErrClosed):
		return nil, err
	case err != nil:
		return all, fmt.Errorf("%w: %s: %w", ErrDamaged, i.Hash, err)
	}
	children, err := blobs.ParseHashSeq(seq)
	if err != nil {
		return all, nil // a stranger called it a sequence
	}
	return append(all, children...), nil
}

// Drop forgets items that were found, or are made up of a hash and a format, and whose bytes count against the quota of pushes on their
// account. What is to go with them is told to going before; it may be kept for other reasons, and is taken for given up if it is not.
func (k *Keeper) Drop(items []Item, going func([]bao.Hash) error) (err error) {
	blobs, tags := make([][]bao.Hash, len(items)), make(map[string]bool)
	for n, i := range items {
		blobs[n], err = k.Blobs(i)
		if err == nil || errors.Is(err, ErrDamaged) {
			err = going(blobs[n])
		}
		if err != nil {
			return err
		}
		tags[i.tag] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	m, err := k.read()
	if err != nil {
		return err
	}
	dropped := func(i Item) bool { return tags[i.tag] }
	kept, err := k.hold(slices.DeleteFunc(m.kept, dropped))
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	arriving, err := k.hold(slices.DeleteFunc(m.arriving, dropped))
	if err != nil {
		return err
	}
	k.changes++
	for n, i := range items {
		if err := k.forget(i, blobs[n], kept); err != nil {
			return err
		}
		k.leave(blobs[n], kept, arriving)
	}
	return nil
}

// forget removes the tags of an item: those of its blobs that nothing else holds, and its own last.
func (k *Keeper) forget(i Item, all []bao.Hash, held Held) error {
	if i.Pushed {
		for _, h := range all {
			if held.Has(h) {
				continue
			}
			if err := k.store.DeleteTag(provider.PushTag + h.String()); err != nil {
				return err
			}
		}
	}
	if i.tag == "" {
		return nil
	}
	return k.store.DeleteTag(i.tag)
}

// Held is a set of hashes that errs on the side of having one. It holds 8 bytes of each.
type Held []uint64

// Held returns the blobs of everything kept and arriving, or ErrDamaged if they are not known.
func (k *Keeper) Held() (Held, error) {
	m, err := k.read()
	if err != nil {
		return nil, err
	}
	return k.hold(slices.Concat(m.kept, m.arriving, m.strays))
}

// hold returns the blobs of items; with ErrDamaged those that are known of what is kept.
func (k *Keeper) hold(items []Item) (held Held, damaged error) {
	for _, i := range items {
		all, err := k.Blobs(i)
		switch {
		case errors.Is(err, ErrDamaged) && !i.Kept():
		case errors.Is(err, ErrDamaged):
			damaged = err
		case err != nil:
			return nil, err
		}
		for _, h := range all {
			held = append(held, short(h))
		}
	}
	slices.Sort(held)
	return slices.Compact(held), damaged
}

// Has tells whether a blob is among them.
func (h Held) Has(hash bao.Hash) bool {
	_, found := slices.BinarySearchFunc(h, short(hash), cmp.Compare[uint64])
	return found
}

func short(h bao.Hash) uint64 { return binary.LittleEndian.Uint64(h[:8]) }
