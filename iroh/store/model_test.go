package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// modelBlob is all that the model knows of a blob.
type modelBlob struct {
	data     []byte
	hash     bao.Hash
	path     string // the user's file with these bytes
	state    State
	inPlace  bool
	kept     bao.Ranges // of a partial one, what was flushed
	received bao.Ranges // of one that is being downloaded
	live     *Download
}

func (b *modelBlob) chunks() bao.Ranges { return bao.Span(0, chunks(len(b.data))) }

// machine compares a store with a model of it, step by step.
type machine struct {
	tb    testing.TB
	dir   string
	s     *Store
	blobs []*modelBlob
	tags  map[string]bao.Hash
	steps int
}

func (m *machine) pick(t *rapid.T) *modelBlob {
	return m.blobs[rapid.IntRange(0, len(m.blobs)-1).Draw(t, "blob")]
}

func noError(t *rapid.T, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

// stored is what a copy of our own makes of the model.
func (b *modelBlob) stored() { b.state, b.inPlace, b.kept = Complete, false, nil }

func (m *machine) Put(t *rapid.T) {
	b := m.pick(t)
	h, err := m.s.Put(context.Background(), b.data)
	noError(t, err)
	if h != b.hash {
		t.Fatal("another hash")
	}
	b.stored()
}

func (m *machine) InPlace(t *rapid.T) {
	b := m.pick(t)
	h, err := addInPlace(m.tb, m.s, b.path)
	noError(t, err)
	if h != b.hash {
		t.Fatal("another hash")
	}
	if b.state != Complete {
		b.state, b.inPlace = Complete, true
	}
}

func (m *machine) Delete(t *rapid.T) {
	b := m.pick(t)
	err := m.s.Delete(b.hash)
	if b.live != nil {
		if !errors.Is(err, ErrBusy) {
			t.Fatal("deleted while it is downloaded", err)
		}
		return
	}
	noError(t, err)
	b.state, b.inPlace, b.kept = Missing, false, nil
}

func (m *machine) Download(t *rapid.T) {
	b := m.pick(t)
	d, err := m.s.Download(b.hash, uint64(len(b.data)))
	switch {
	case b.live != nil:
		if !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	case b.state == Complete:
		if !errors.Is(err, ErrComplete) {
			t.Fatal(err)
		}
	default:
		noError(t, err)
		b.live, b.received = d, b.kept
		if !d.Ranges().Equal(b.kept) {
			t.Fatalf("has %v instead of %v", d.Ranges(), b.kept)
		}
	}
}

func (m *machine) Feed(t *rapid.T) {
	b := m.pick(t)
	if b.live == nil {
		return
	}
	groups := (len(b.data) + bao.GroupSize - 1) / bao.GroupSize
	from := rapid.IntRange(0, groups-1).Draw(t, "from")
	to := rapid.IntRange(from+1, groups).Draw(t, "to")
	part := groupSpan(uint64(from), uint64(to)).Intersect(b.chunks())
	noError(t, feedErr(b.live, b.data, part))
	b.received = b.received.Union(part)
	if !b.live.Ranges().Equal(b.received) {
		t.Fatalf("received %v instead of %v", b.live.Ranges(), b.received)
	}
}

// flushed is what a Flush or Close makes of the model.
func (b *modelBlob) flushed(m *machine) {
	if len(b.data) > m.s.cfg.InlineMax && b.state != Complete && len(b.received) > 0 {
		b.state, b.kept = Partial, b.received
	}
}

func (m *machine) Flush(t *rapid.T) {
	b := m.pick(t)
	if b.live == nil {
		return
	}
	noError(t, b.live.Flush())
	b.flushed(m)
}

func (m *machine) Complete(t *rapid.T) {
	b := m.pick(t)
	if b.live == nil {
		return
	}
	err := b.live.Complete(context.Background())
	if !b.received.Equal(b.chunks()) {
		if !errors.Is(err, ErrIncomplete) {
			t.Fatal("completed with parts missing", err)
		}
		return
	}
	noError(t, err)
	b.stored()
	b.live = nil
}

func (m *machine) CloseDownload(t *rapid.T) {
	b := m.pick(t)
	if b.live == nil {
		return
	}
	noError(t, b.live.Close())
	b.flushed(m)
	b.live = nil
}

func (m *machine) Discard(t *rapid.T) {
	b := m.pick(t)
	if b.live == nil {
		return
	}
	noError(t, b.live.Discard())
	b.live, b.kept = nil, nil
	if b.state == Partial {
		b.state = Missing
	}
}

func (m *machine) Tag(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	if rapid.Bool().Draw(t, "delete") {
		noError(t, m.s.DeleteTag(name))
		delete(m.tags, name)
		return
	}
	h := m.pick(t).hash
	noError(t, m.s.SetTag(name, h, 0))
	m.tags[name] = h
}

func (m *machine) Sync(t *rapid.T) {
	noError(t, m.s.Sync(context.Background()))
	_, tmp := files(m.tb, m.dir)
	for _, b := range m.blobs {
		if b.live != nil {
			return
		}
	}
	if len(tmp) > 0 {
		t.Fatalf("left in tmp: %v", tmp)
	}
}

func (m *machine) Reopen(t *rapid.T) {
	noError(t, m.s.Close())
	for _, b := range m.blobs {
		if b.live != nil {
			b.flushed(m)
			b.live = nil
		}
	}
	want := 0
	for _, b := range m.blobs {
		if b.state != Missing && len(b.data) > m.s.cfg.InlineMax && !b.inPlace {
			want++
		}
		if b.state != Missing && bao.OutboardSize(uint64(len(b.data))) > 16<<10 {
			want++
		}
	}
	data, tmp := files(m.tb, m.dir)
	if len(tmp) != 0 || len(data) != want {
		t.Fatalf("%d files instead of %d: %v %v", len(data), want, data, tmp)
	}
	s, err := Open(m.dir, Config{OpenFiles: 2})
	noError(t, err)
	m.s = s
}

// Check compares everything.
func (m *machine) Check(t *rapid.T) {
	listed := make(map[bao.Hash]Status)
	for st, err := range m.s.All() {
		noError(t, err)
		listed[st.Hash] = st
	}
	for _, b := range m.blobs {
		st, err := m.s.Status(b.hash)
		noError(t, err)
		state, have := b.state, bao.Ranges(nil)
		switch {
		case state == Complete:
			have = bao.All()
		case b.live != nil:
			state = Partial // what is on disk of it, is not determined
			have = st.Ranges
			if !b.kept.Subtract(have).IsEmpty() || !have.Subtract(b.received).IsEmpty() {
				t.Fatalf("has %v, kept %v, received %v", have, b.kept, b.received)
			}
		case state == Partial:
			have = b.kept
		}
		if st.State != state || !st.Ranges.Equal(have) || (st.Path != "") != (b.inPlace && state == Complete) {
			t.Fatalf("%d bytes: %+v instead of %v %v, in place %v", len(b.data), st, state, have, b.inPlace)
		}
		if l := listed[b.hash]; l.State != state || l.Path != st.Path {
			t.Fatalf("listed %+v", l)
		}
		if state == Missing {
			if _, err := m.s.Open(b.hash); !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
			continue
		}
		if m.steps++; len(b.data) < 2<<20 || m.steps%16 == 0 {
			noError(t, m.s.Verify(context.Background(), b.hash))
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		tag, err := m.s.Tag(name)
		if want, ok := m.tags[name]; ok != (err == nil) || ok && tag.Hash != want {
			t.Fatal(name, tag, err)
		}
	}
}

func TestAgainstModel(t *testing.T) {
	user := t.TempDir()
	var data [][]byte
	for i, n := range []int{1, 16384, 16385, 70_000, 1<<20 + 1, 257<<14 + 1} {
		data = append(data, pattern(i, n))
		writeFile(t, filepath.Join(user, strconv.Itoa(i)), data[i])
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{tb: t, dir: t.TempDir(), tags: make(map[string]bao.Hash)}
		s, err := Open(m.dir, Config{OpenFiles: 2})
		noError(rt, err)
		m.s = s
		for i, d := range data {
			m.blobs = append(m.blobs, &modelBlob{data: d, hash: bao.Sum(d), path: filepath.Join(user, strconv.Itoa(i))})
		}
		defer func() {
			_ = m.s.Close()
			_ = os.RemoveAll(m.dir)
		}()
		rt.Repeat(rapid.StateMachineActions(m))
	})
}
