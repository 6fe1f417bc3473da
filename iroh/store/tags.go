package store

import (
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// Tag is a name for a blob or hash sequence that someone wants kept.
type Tag struct {
	Name   string // 1 to 1024 bytes of UTF-8
	Hash   bao.Hash
	Format ticket.Format
}

// SetTag names a blob, which need not be there, and replaces what the name
// stood for. It is durable after the next Sync.
func (s *Store) SetTag(name string, h bao.Hash, format ticket.Format) error {
	if len(name) == 0 || len(name) > maxTagName || !utf8.ValidString(name) {
		return fmt.Errorf("store: a tag's name is 1 to %d bytes of UTF-8", maxTagName)
	}
	return s.write(len(name)+len(h), false, func(b *meta.Batch) { b.SetTag(name, h, byte(format)) })
}

// DeleteTag removes a name; one that is not there is no error.
func (s *Store) DeleteTag(name string) error {
	return s.write(len(name), true, func(b *meta.Batch) { b.RemoveTag(name) })
}

// write changes the database by one batch of about size bytes, which may also
// use the reserve of the disk if it is to give space back.
func (s *Store) write(size int, relieves bool, fill func(*meta.Batch)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.folder.Take(size, relieves); err != nil {
		return err
	}
	b := s.db.NewBatch()
	fill(b)
	return b.Commit(false)
}

// Tag looks a name up. An unknown one is [ErrNotFound].
func (s *Store) Tag(name string) (Tag, error) {
	if err := s.enter(); err != nil {
		return Tag{}, err
	}
	defer s.leave()
	h, format, found, err := s.db.Tag(name)
	if err == nil && !found {
		err = fmt.Errorf("%w: tag %q", ErrNotFound, name)
	}
	if err != nil {
		return Tag{}, err
	}
	return Tag{Name: name, Hash: h, Format: ticket.Format(format)}, nil
}

// Tags lists all tags in the order of their names' bytes. After an error there
// is nothing more. The store must not be closed from inside the loop.
func (s *Store) Tags() iter.Seq2[Tag, error] { return s.TagsUnder("") }

// TagsUnder is [Store.Tags] of those whose names begin with prefix. It reads no
// others.
func (s *Store) TagsUnder(prefix string) iter.Seq2[Tag, error] {
	return func(yield func(Tag, error) bool) {
		if err := s.enter(); err != nil {
			yield(Tag{}, err)
			return
		}
		defer s.leave()
		err := s.db.Tags(prefix, func(name string, h bao.Hash, format byte, err error) bool {
			return yield(Tag{Name: name, Hash: h, Format: ticket.Format(format)}, err) && err == nil
		})
		if err != nil {
			yield(Tag{}, err)
		}
	}
}
