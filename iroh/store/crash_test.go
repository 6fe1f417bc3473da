package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store/internal/meta"
)

// The crash test runs this test binary again as a child that works on a store
// with random operations and reports what it does, kills it, and looks at what
// is left. The folder is the same for all rounds.
const (
	crashDirEnv    = "STORE_CRASH_DIR"
	crashSeedEnv   = "STORE_CRASH_SEED"
	crashRoundsEnv = "STORE_CRASH_ROUNDS"

	crashWorkers = 4
	crashBlobs   = 32 // each belongs to the worker of its number modulo crashWorkers
)

func crashSize(blob int) int {
	return []int{100, 16384, 16385, 70_000, 300_000, 1<<20 + 1, 257<<14 + 1, 9}[blob/crashWorkers%8]
}

func crashFile(dir string, blob int) string {
	return filepath.Join(dir, "user", strconv.Itoa(blob))
}

// crashChild works until it is killed. It writes a line "begin N" before it
// touches blob N, and "sync N:STATE ..." after a Sync, with the states that its
// blobs then have; STATE is missing, complete, or the number of leading groups.
func crashChild() {
	dir := os.Getenv(crashDirEnv)
	seed, _ := strconv.ParseUint(os.Getenv(crashSeedEnv), 10, 64)
	s, err := Open(filepath.Join(dir, "store"), Config{OpenFiles: 4})
	if err != nil {
		fmt.Println("failed opening:", err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	var out sync.Mutex
	say := func(line string) {
		out.Lock()
		defer out.Unlock()
		_, _ = os.Stdout.WriteString(line + "\n")
	}
	for w := range crashWorkers {
		wg.Go(func() {
			c := crashWorker{s: s, dir: dir, rnd: rand.New(rand.NewPCG(seed, uint64(w))), say: say, state: make(map[int]string)}
			for {
				if err := c.step(w + crashWorkers*c.rnd.IntN(crashBlobs/crashWorkers)); err != nil {
					say("failed " + strings.ReplaceAll(err.Error(), "\n", " "))
					return
				}
			}
		})
	}
	wg.Wait()
	os.Exit(1)
}

type crashWorker struct {
	s     *Store
	dir   string
	rnd   *rand.Rand
	say   func(string)
	state map[int]string // of the blobs touched by this process
}

func (c *crashWorker) step(blob int) error {
	ctx := context.Background()
	if c.rnd.IntN(5) == 0 {
		if err := c.s.Sync(ctx); err != nil {
			return err
		}
		line := "sync"
		for blob, state := range c.state {
			line += fmt.Sprintf(" %d:%s", blob, state)
		}
		c.say(line)
		return nil
	}
	c.say(fmt.Sprintf("begin %d", blob))
	delete(c.state, blob)
	data := pattern(blob, crashSize(blob))
	switch c.rnd.IntN(8) {
	case 0:
		if _, err := c.s.Put(ctx, data); err != nil {
			return err
		}
		c.state[blob] = "complete"
	case 1:
		if err := c.s.PutAll(ctx, []Whole{{bao.Sum(data), data}}); err != nil {
			return err
		}
		c.state[blob] = "complete"
	case 2:
		sp, err := c.s.NewSpool()
		if err != nil {
			return err
		}
		defer sp.Abort()
		if _, err := sp.Write(data); err != nil {
			return err
		}
		if c.rnd.IntN(3) == 0 {
			return nil
		}
		_, _, err = sp.Commit(ctx)
		c.state[blob] = "complete"
		return err
	case 3:
		c.state[blob] = "complete"
		return c.inPlace(ctx, blob, data)
	case 4, 5:
		c.state[blob] = "missing"
		return c.s.Delete(bao.Sum(data))
	default:
		return c.download(ctx, blob, data)
	}
	return nil
}

func (c *crashWorker) inPlace(ctx context.Context, blob int, data []byte) error {
	path := crashFile(c.dir, blob)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	w, err := c.s.NewInPlaceWriter(path, info)
	if err != nil {
		return err
	}
	size := uint64(len(data))
	for off := uint64(0); off < size; off += bao.PieceSize {
		if err := w.Add(bao.HashPiece(data[off:min(off+bao.PieceSize, size)], off, size), nil); err != nil {
			return err
		}
	}
	_, err = w.Commit(ctx)
	return err
}

func (c *crashWorker) download(ctx context.Context, blob int, data []byte) error {
	d, err := c.s.Download(bao.Sum(data), uint64(len(data)))
	if errors.Is(err, ErrComplete) {
		c.state[blob] = "complete"
		return nil
	}
	if err != nil {
		return err
	}
	groups := (len(data) + bao.GroupSize - 1) / bao.GroupSize
	upTo := 1 + c.rnd.IntN(groups)
	if err := feedErr(d, data, bao.Span(0, min(chunks(len(data)), uint64(upTo)*16))); err != nil {
		return err
	}
	if c.rnd.IntN(2) == 0 {
		if err := d.Flush(); err != nil {
			return err
		}
	}
	switch c.rnd.IntN(4) {
	case 0:
		c.state[blob] = "missing"
		return d.Discard()
	case 1, 2:
		if err := feedByMany(d, data); err != nil {
			return err
		}
		c.state[blob] = "complete"
		return d.Complete(ctx)
	}
	if len(data) > meta.MaxInline {
		c.state[blob] = strconv.Itoa(upTo)
	}
	return d.Close()
}

// feedByMany feeds a blob by three streams at a time whose parts overlap.
func feedByMany(d *Download, data []byte) error {
	var g errgroup.Group
	end := chunks(len(data))
	step := (end/3 + 16) / 16 * 16
	for i := range uint64(3) {
		part := bao.Span(min(i*step, end), min((i+2)*step, end))
		if !part.IsEmpty() {
			g.Go(func() error { return feedErr(d, data, part) })
		}
	}
	return g.Wait()
}

func crashRounds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv(crashRoundsEnv)); err == nil {
		return n
	}
	if testing.Short() {
		return 10
	}
	return 100
}

// Figures 29: nothing acknowledged is lost, nothing half-done is visible, and
// opening needs no repair, however often the process is killed.
func TestKilledAtRandom(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "user"), 0o700); err != nil {
		t.Fatal(err)
	}
	for blob := range crashBlobs {
		writeFile(t, crashFile(dir, blob), pattern(blob, crashSize(blob)))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 99))
	acked := make(map[int]string)
	synced := 0
	var slowest time.Duration
	for round := range crashRounds(t) {
		synced += crashRound(t, dir, seed+uint64(round), rnd, acked)
		slowest = max(slowest, checkAfterCrash(t, dir, acked))
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d syncs acknowledged, slowest opening %v", synced, slowest)
	if synced == 0 {
		t.Fatal("no child got as far as a Sync")
	}
}

// crashRound runs a child, kills it, and notes in acked what it said.
func crashRound(t *testing.T, dir string, seed uint64, rnd *rand.Rand, acked map[int]string) (syncs int) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashDirEnv+"="+dir, crashSeedEnv+"="+strconv.FormatUint(seed, 10))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.Duration(rnd.ExpFloat64() * float64(80*time.Millisecond))
	var timer *time.Timer
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if timer == nil {
			timer = time.AfterFunc(min(kill, time.Second), func() { _ = cmd.Process.Kill() })
		}
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "begin":
			blob, _ := strconv.Atoi(words[1])
			delete(acked, blob)
		case "sync":
			syncs++
			for _, w := range words[1:] {
				blob, state, _ := strings.Cut(w, ":")
				n, _ := strconv.Atoi(blob)
				acked[n] = state
			}
		default:
			t.Errorf("child: %s", lines.Text())
		}
	}
	if timer != nil {
		timer.Stop()
	}
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
		t.Errorf("child ended by itself: %v\n%s", err, stderr.String())
	}
	return syncs
}

// checkAfterCrash opens the store, looks at everything, and closes it.
func checkAfterCrash(t *testing.T, dir string, acked map[int]string) time.Duration {
	began := time.Now()
	s, err := Open(filepath.Join(dir, "store"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	defer closeStore(t, s)
	data, tmp := files(t, filepath.Join(dir, "store"))
	if len(tmp) > 0 {
		t.Errorf("left in tmp: %v", tmp)
	}
	unused := make(map[string]bool)
	for _, name := range data {
		unused[filepath.Join(dir, "store", name)] = true
	}
	ctx := context.Background()
	for st, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(ctx, st.Hash); err != nil {
			t.Errorf("%v blob: %v", st.State, err)
		}
		delete(unused, s.folder.Data(st.Hash))
		delete(unused, s.folder.Outboard(st.Hash))
	}
	if len(unused) > 0 {
		t.Errorf("files that belong to nothing: %v", unused)
	}
	for blob, state := range acked {
		data := pattern(blob, crashSize(blob))
		st, err := s.Status(bao.Sum(data))
		if err != nil {
			t.Fatal(err)
		}
		checkAcked(t, blob, state, st)
		if state != "complete" || st.State != Complete {
			continue
		}
		b, err := s.Open(bao.Sum(data))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(b, 0, 1<<40))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("blob %d has other bytes: %v", blob, err)
		}
		b.Close()
	}
	return took
}

// checkAcked compares what was acknowledged of a blob with what is there.
func checkAcked(t *testing.T, blob int, state string, st Status) {
	t.Helper()
	switch state {
	case "missing":
		if st.State != Missing {
			t.Errorf("blob %d was deleted and is %v", blob, st.State)
		}
	case "complete":
		if st.State != Complete {
			t.Errorf("blob %d was complete and is %v", blob, st.State)
		}
	default:
		groups, _ := strconv.Atoi(state)
		want := bao.Span(0, min(chunks(crashSize(blob)), 16*uint64(groups)))
		if st.State == Missing || !want.Subtract(st.Ranges).IsEmpty() {
			t.Errorf("blob %d had %v and has %v", blob, want, st)
		}
	}
}
