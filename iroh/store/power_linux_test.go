package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// powered is a model of what a disk holds durably: of the database by Pebble's
// own crashable file system, of the files by what was synced. Names that were
// changed and not synced may or may not last.
type powered struct {
	mem *vfs.MemFS

	mu      sync.Mutex
	rnd     *rand.Rand
	content map[uint64][]byte    // of an inode when it was synced last
	names   map[string]uint64    // durable ones
	moves   map[string][]nameNow // of each folder, not synced, in order
	acked   map[int]string       // state of blobs after a Sync
	cuts    []cut
}

type nameNow struct {
	name  string
	inode uint64 // 0: removed
}

// cut is what is left after the power failed at some moment.
type cut struct {
	fs    *vfs.MemFS
	files map[string][]byte
	acked map[int]string
}

func inodeOf(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func newPowered(rnd *rand.Rand) *powered {
	return &powered{
		mem:     vfs.NewCrashableMem(),
		rnd:     rnd,
		content: make(map[uint64][]byte),
		names:   make(map[string]uint64),
		moves:   make(map[string][]nameNow),
		acked:   make(map[int]string),
	}
}

func (p *powered) trace(op string, file *os.File, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch op {
	case "remove":
		p.moves[filepath.Dir(name)] = append(p.moves[filepath.Dir(name)], nameNow{name, 0})
	case "rename":
		p.moves[filepath.Dir(name)] = append(p.moves[filepath.Dir(name)], nameNow{name, inodeOf(must(os.Lstat(name)))})
	case "sync":
		info := must(file.Stat())
		if info.IsDir() {
			for _, m := range p.moves[file.Name()] {
				p.names[m.name] = m.inode
			}
			delete(p.moves, file.Name())
		} else {
			p.content[inodeOf(info)] = must(io.ReadAll(io.NewSectionReader(file, 0, info.Size())))
		}
	}
	if p.rnd.IntN(4) == 0 {
		p.cut()
	}
}

// cut takes a snapshot. The caller holds mu.
func (p *powered) cut() {
	c := cut{files: make(map[string][]byte), acked: maps.Clone(p.acked)}
	c.fs = p.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[p.rnd.IntN(3)], RNG: p.rnd})
	names := maps.Clone(p.names)
	for _, moves := range p.moves {
		for _, m := range moves[:p.rnd.IntN(len(moves)+1)] {
			names[m.name] = m.inode
		}
	}
	for name, inode := range names {
		if inode != 0 {
			c.files[name] = p.content[inode]
		}
	}
	p.cuts = append(p.cuts, c)
}

// Whatever the power cut leaves, of what was not synced any part, the store
// opens, what it has is right, and what was acknowledged is there.
func TestPowerCutAtAnyPoint(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cuts := 0
	for round := range rounds {
		dir := t.TempDir()
		p := newPowered(rand.New(rand.NewPCG(seed, uint64(round))))
		if err := os.Mkdir(filepath.Join(dir, "user"), 0o700); err != nil {
			t.Fatal(err)
		}
		for blob := range crashBlobs {
			writeFile(t, crashFile(dir, blob), pattern(blob, crashSize(blob)))
		}
		s, err := Open(filepath.Join(dir, "store"), Config{fs: p.mem, trace: p.trace})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range crashWorkers {
			wg.Go(func() { p.work(t, s, dir, w, seed) })
		}
		wg.Wait()
		closeStore(t, s)
		cuts += len(p.cuts)
		for _, c := range p.cuts {
			c.restore(t, filepath.Join(dir, "store"))
			checkPowerCut(t, filepath.Join(dir, "store"), c)
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d power cuts", cuts)
	if cuts < 20*rounds {
		t.Fatal("too few cuts to mean anything")
	}
}

// work does some steps of the crash test's worker.
func (p *powered) work(t *testing.T, s *Store, dir string, w int, seed uint64) {
	say := func(line string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.rnd.IntN(4) == 0 {
			p.cut()
		}
		words := strings.Fields(line)
		if words[0] == "begin" {
			var blob int
			_, _ = fmt.Sscan(words[1], &blob)
			delete(p.acked, blob)
			return
		}
		for _, word := range words[1:] {
			var blob int
			number, state, _ := strings.Cut(word, ":")
			_, _ = fmt.Sscan(number, &blob)
			p.acked[blob] = state
		}
	}
	c := crashWorker{s: s, dir: dir, rnd: rand.New(rand.NewPCG(seed, uint64(w))), say: say, state: make(map[int]string)}
	for range 25 {
		if err := c.step(w + crashWorkers*c.rnd.IntN(crashBlobs/crashWorkers)); err != nil {
			t.Error(err)
			return
		}
	}
}

// restore makes the folder what the cut left.
func (c *cut) restore(t *testing.T, dir string) {
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	for name, data := range c.files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, data)
	}
}

func checkPowerCut(t *testing.T, dir string, c cut) {
	t.Helper()
	s, err := Open(dir, Config{fs: c.fs})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	left, _ := files(t, dir)
	unused := make(map[string]bool)
	for _, name := range left {
		unused[filepath.Join(dir, name)] = true
	}
	for st, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(context.Background(), st.Hash); err != nil {
			t.Errorf("%v blob: %v", st.State, err)
		}
		delete(unused, s.folder.Data(st.Hash))
		delete(unused, s.folder.Outboard(st.Hash))
	}
	if len(unused) > 0 {
		t.Errorf("files that belong to nothing: %v", unused)
	}
	for blob, state := range c.acked {
		st, err := s.Status(bao.Sum(pattern(blob, crashSize(blob))))
		if err != nil {
			t.Fatal(err)
		}
		checkAcked(t, blob, state, st)
	}
}

// A bitfield of one size must not outlive the file that it describes.
func TestPowerCutWhileASizeClaimIsReplaced(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir := filepath.Join(t.TempDir(), "store")
	n := 1 << 20
	data := pattern(1, n)
	h := bao.Sum(data)
	for round := range 10 {
		p := newPowered(rand.New(rand.NewPCG(seed, uint64(round))))
		s, err := Open(dir, Config{fs: p.mem, trace: p.trace})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			size int
			off  int
		}{{2 * n, 0}, {n, n - bao.GroupSize}} {
			d := download(t, s, h, step.size)
			if err := d.WriteLeaf(uint64(step.off), data[step.off:step.off+bao.GroupSize]); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		closeStore(t, s)
		for _, c := range p.cuts {
			c.restore(t, dir)
			s, err := Open(dir, Config{fs: c.fs})
			if err != nil {
				t.Fatal(err)
			}
			if b, err := s.Open(h); err == nil {
				for _, off := range []int{0, n - bao.GroupSize} {
					got := make([]byte, bao.GroupSize)
					if !b.Ranges().Contains(uint64(off / bao.ChunkSize)) {
						continue
					}
					if _, err := b.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, data[off:off+bao.GroupSize]) {
						t.Errorf("of %d bytes, at %d: other bytes, %v", b.Size(), off, err)
					}
				}
				b.Close()
			} else if !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
			closeStore(t, s)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}
