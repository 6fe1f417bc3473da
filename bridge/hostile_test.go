package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/ipfs/exchange"
	"github.com/iroh-ipfs/bridge/ipfs/host"
	"github.com/iroh-ipfs/bridge/iroh/store"
)

// stranger holds blocks that no honest builder makes, and serves them over Bitswap.
type stranger map[string][]byte

func (s stranger) Block(_ context.Context, c cid.Cid) ([]byte, error) {
	data, ok := s[string(c.Hash())]
	if !ok {
		return nil, exchange.ErrNotFound
	}
	return data, nil
}

func (s stranger) BlockSize(ctx context.Context, c cid.Cid) (int, error) {
	data, err := s.Block(ctx, c)
	return len(data), err
}

// serve returns an address where the blocks can be had.
func (s stranger) serve(t *testing.T) string {
	t.Helper()
	h, err := host.New(t.Context(), host.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Local: true})
	if err != nil {
		t.Fatal(err)
	}
	x, err := exchange.New(t.Context(), exchange.Config{Host: h, Blocks: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(x.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	return h.Addrs()[0]
}

func (s stranger) put(codec uint64, data []byte) cid.Cid {
	h, err := mh.Sum(data, mh.SHA2_256, -1)
	if err != nil {
		panic(err) // SHA-256 is always there
	}
	s[string(h)] = data
	return cid.NewCidV1(codec, h)
}

func (s stranger) raw(text string) cid.Cid { return s.put(cid.Raw, []byte(text)) }

func pbVarint(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func pbBytes(n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), v)
}

func pbLink(name string, c cid.Cid) []byte {
	return pbBytes(2, append(append(pbBytes(1, c.Bytes()), pbBytes(2, []byte(name))...), pbVarint(3, 1)...))
}

// node makes a dag-pb block of links and a UnixFS message.
func (s stranger) node(links []byte, message ...[]byte) cid.Cid {
	var m []byte
	for _, field := range message {
		m = append(m, field...)
	}
	return s.put(cid.DagProtobuf, append(links, pbBytes(1, m)...))
}

// folder links a child n times.
func (s stranger) folder(n int, child cid.Cid) cid.Cid {
	var links []byte
	for i := range n {
		links = append(links, pbLink(fmt.Sprintf("%04d", i), child)...)
	}
	return s.node(links, pbVarint(1, 1))
}

// file links a part of some size n times.
func (s stranger) file(n int, part cid.Cid, size uint64) cid.Cid {
	var links []byte
	message := append(pbVarint(1, 2), pbVarint(3, size*uint64(n))...)
	for range n {
		links = append(links, pbLink("", part)...)
		message = append(message, pbVarint(4, size)...)
	}
	return s.node(links, message)
}

// tree is a file of n links on each of some levels.
func (s stranger) tree(levels, n int, leaf cid.Cid, size uint64) cid.Cid {
	for range levels {
		leaf, size = s.file(n, leaf, size), size*uint64(n)
	}
	return leaf
}

func (s stranger) shard(fanout uint64) cid.Cid {
	return s.node(nil, pbVarint(1, 5), pbVarint(5, 0x22), pbVarint(6, fanout))
}

// hostile are figure 20's DAGs, and more. An error has to name the block at fault, or, where that is any of many, the
// root.
var hostile = map[string]struct {
	make   func(s stranger) (root, at cid.Cid)
	change func(*config.Config)
	want   error
	disk   int64 // bytes that the data folder may have at the worst, if not a few
}{
	"chain of 10,000 files": {make: func(s stranger) (cid.Cid, cid.Cid) {
		c, at := s.raw("end"), cid.Undef
		for i := range 10_000 {
			if c = s.file(1, c, 3); i == 10_000-129 {
				at = c
			}
		}
		return c, at
	}},
	"chain of 10,000 folders": {make: func(s stranger) (cid.Cid, cid.Cid) {
		c, at := s.raw("end"), cid.Undef
		for i := range 10_000 {
			if c = s.folder(1, c); i == 10_000-129 {
				at = c
			}
		}
		return c, at
	}},
	"1000^7 folders": {disk: 200 << 20, make: func(s stranger) (cid.Cid, cid.Cid) {
		c := s.node(nil, pbVarint(1, 1))
		for range 7 {
			c = s.folder(1000, c)
		}
		return c, c
	}},
	"10^9 leaves of a byte": {disk: 200 << 20, make: func(s stranger) (cid.Cid, cid.Cid) {
		c := s.tree(3, 1000, s.raw("x"), 1)
		return c, c
	}},
	"128^3 leaves of a mebibyte": {disk: 5 << 30, change: func(c *config.Config) {
		if testing.Short() {
			c.Import.MaxRepeatedBytes = 256 << 20 // 4 GiB are written otherwise, and deleted
		}
	}, make: func(s stranger) (cid.Cid, cid.Cid) {
		c := s.tree(3, 128, s.put(cid.Raw, make([]byte, 1<<20)), 1<<20)
		return c, c
	}},
	"more bytes than allowed":  {make: func(s stranger) (cid.Cid, cid.Cid) { return same(s.file(1, s.raw("x"), 1<<44+1)) }},
	"fanout 0":                 {make: func(s stranger) (cid.Cid, cid.Cid) { return same(s.shard(0)) }},
	"fanout 3":                 {make: func(s stranger) (cid.Cid, cid.Cid) { return same(s.shard(3)) }},
	"fanout 2^20":              {make: func(s stranger) (cid.Cid, cid.Cid) { return same(s.shard(1 << 20)) }},
	"fanout 2^20 below a path": {make: func(s stranger) (cid.Cid, cid.Cid) { c := s.shard(1 << 20); return s.folder(1, c), c }},
	"filesize too large": {make: func(s stranger) (cid.Cid, cid.Cid) {
		return same(s.node(pbLink("", s.raw("four")), pbVarint(1, 2), pbVarint(3, 5), pbVarint(4, 4)))
	}},
	"filesize too small": {make: func(s stranger) (cid.Cid, cid.Cid) {
		return same(s.node(pbLink("", s.raw("four")), pbVarint(1, 2), pbVarint(3, 3), pbVarint(4, 4)))
	}},
	"block size of a leaf": {make: func(s stranger) (cid.Cid, cid.Cid) { c := s.raw("four"); return s.file(3, c, 5), c }},
	"missing leaf": {want: ErrNotFound, make: func(s stranger) (cid.Cid, cid.Cid) {
		c := s.raw("gone")
		delete(s, string(c.Hash()))
		return s.file(2, c, 4), c
	}},
	"missing leaf behind others": {want: ErrNotFound, make: func(s stranger) (cid.Cid, cid.Cid) {
		c := s.raw(strings.Repeat("g", 1<<20))
		delete(s, string(c.Hash()))
		links := append(pbLink("", s.put(cid.Raw, random(1, 1<<20))), pbLink("", c)...)
		return s.node(links, pbVarint(1, 2), pbVarint(3, 2<<20), pbVarint(4, 1<<20), pbVarint(4, 1<<20)), c
	}},
	"dag-cbor in a folder": {make: func(s stranger) (cid.Cid, cid.Cid) { c := s.put(cid.DagCBOR, []byte{0xa0}); return s.folder(1, c), c }},
	"SHA-1 in a folder": {make: func(s stranger) (cid.Cid, cid.Cid) {
		h, err := mh.Sum([]byte("x"), mh.SHA1, -1)
		if err != nil {
			panic(err) // SHA-1 is always there
		}
		c := cid.NewCidV1(cid.Raw, h)
		return s.folder(1, c), c
	}},
	"name that climbs":        {make: named("../x")},
	"name with a slash":       {make: named("a/b")},
	"absolute name":           {make: named("/etc/passwd")},
	"no name":                 {make: named("")},
	"dot dot":                 {make: named("..")},
	"name with a NUL":         {make: named("a\x00b")},
	"name of a mebibyte":      {make: named(strings.Repeat("n", 1<<20))},
	"symlink with links":      {make: func(s stranger) (cid.Cid, cid.Cid) { return same(s.node(pbLink("a", s.raw("x")), pbVarint(1, 4))) }},
	"symlink by itself":       {make: func(s stranger) (cid.Cid, cid.Cid) { return same(s.node(nil, pbVarint(1, 4), pbBytes(2, []byte("x")))) }},
	"a folder that is a file": {make: func(s stranger) (cid.Cid, cid.Cid) { c := s.folder(1, s.raw("x")); return s.file(1, c, 1), c }},
	"two entries of one name": {make: func(s stranger) (cid.Cid, cid.Cid) {
		l := pbLink("a", s.raw("x"))
		return same(s.node(append(l, l...), pbVarint(1, 1)))
	}},
}

func same(c cid.Cid) (root, at cid.Cid) { return c, c }

func named(name string) func(s stranger) (root, at cid.Cid) {
	return func(s stranger) (cid.Cid, cid.Cid) { return same(s.node(pbLink(name, s.raw("x")), pbVarint(1, 1))) }
}

// TestHostileDAGs imports from a peer that serves them over Bitswap: each is refused within a minute, by an error that
// names the block, nothing is linked, and nothing stays on disk.
func TestHostileDAGs(t *testing.T) {
	for name, c := range hostile {
		t.Run(name, func(t *testing.T) {
			s := stranger{}
			root, at := c.make(s)
			dir := t.TempDir()
			b := open(t, dir, func(cfg *config.Config) {
				if c.change != nil {
					c.change(cfg)
				}
			})
			b.stall = time.Minute
			if c.want == ErrNotFound { // which is for whom nobody answers
				b.stall = 2 * time.Second
			}
			if err := b.Online(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := used(t, dir)
			w := watch(t, dir)
			began := time.Now()
			_, err := b.Import(timeout(t), ImportRequest{Path: root.String(), From: []string{s.serve(t)}}, Silent{})
			took := time.Since(began).Round(time.Millisecond)
			heap, disk := w.end()
			if took > time.Minute && c.disk < 1<<30 { // which the disk may take longer to write
				t.Errorf("it took %s", took)
			}
			t.Logf("%v after %s; the heap was %d MiB at most, the data folder %d MiB", err, took, heap>>20, disk>>20)
			want := c.want
			if want == nil {
				want = ErrContent
			}
			if !errors.Is(err, want) || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), at.String()) {
				t.Errorf("got %v, want %q and a word about %s", err, want, at)
			}
			if heap > 200<<20 {
				t.Errorf("the heap had %d MiB", heap>>20)
			}
			if allowed := max(c.disk, 8<<20); disk-before > allowed {
				t.Errorf("%d bytes were written, %d may be", disk-before, allowed)
			}
			leftNothing(t, b, before)
		})
	}
}

// TestWhatWasAddedMayRepeatItself as it likes: the limit is for what strangers have.
func TestWhatWasAddedMayRepeatItself(t *testing.T) {
	change := func(c *config.Config) { c.Import.MaxRepeatedBytes = 2 << 20 }
	a, b := open(t, t.TempDir(), change), open(t, t.TempDir(), change)
	if err := errors.Join(a.Online(t.Context()), b.Online(t.Context())); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 100<<20)
	file := filepath.Join(t.TempDir(), "zeros")
	if err := os.WriteFile(file, zeros, 0o600); err != nil {
		t.Fatal(err)
	}
	c := add(t, a, AddRequest{Path: file})
	if got := tree(t, a, c.CID)[""]; got != string(zeros) {
		t.Errorf("%d bytes came out", len(got))
	}
	id, err := a.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Import(timeout(t), ImportRequest{Path: c.CID, From: id.Libp2pAddrs[:1]}, Silent{}); !errors.Is(err, ErrContent) {
		t.Errorf("imported: %v", err)
	}
}

// leftNothing checks that no link, no blob and no spool is left of what was refused.
func leftNothing(t *testing.T, b *Bridge, before int64) {
	t.Helper()
	if err := b.List(t.Context(), func(c Content) bool { t.Errorf("linked: %+v", c); return true }); err != nil {
		t.Error(err)
	}
	waitFor(t, func() bool {
		n := 0
		for st, err := range b.store.All() {
			if err != nil {
				t.Fatal(err)
			}
			if st.State != store.Missing {
				n++
			}
		}
		return n <= 1 && used(t, b.Dir()) <= before+1<<20 // the empty blob is always there, and the databases have logs
	})
}

// used adds up the files below a folder.
func used(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return skipGone(err)
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return skipGone(err)
	})
	if err != nil {
		t.Error(err)
	}
	return sum
}

// skipGone lets files go while they are looked at.
func skipGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// watcher keeps the worst of what it sees.
type watcher struct {
	stop, done chan struct{}
	heap       uint64
	disk       int64
}

func watch(t *testing.T, dir string) *watcher {
	w := &watcher{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			w.heap, w.disk = max(w.heap, m.HeapAlloc), max(w.disk, used(t, dir))
			select {
			case <-tick.C:
			case <-w.stop:
				return
			}
		}
	}()
	return w
}

func (w *watcher) end() (heap uint64, disk int64) {
	close(w.stop)
	<-w.done
	return w.heap, w.disk
}
