package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/iroh-ipfs/bridge/integration/peer"
)

// sample is what one turn took. Memory and disk are those of the bridge and zero in the turns of others.
type sample struct {
	wall time.Duration
	cpu  time.Duration
	rss  int64 // peak resident memory, bytes
	disk int64 // allocated beyond the content's own bytes
}

// measured is which number of a sample a figure is about.
type measured func(sample) time.Duration

func wall(s sample) time.Duration { return s.wall }
func cpu(s sample) time.Duration  { return s.cpu }

// figure is one comparison.
type figure struct {
	name      string
	what      measured
	limit     float64 // of ratio bridge : reference
	bytes     int64   // of the content that the disk figure is about; 0: too small for it, what is there is logs of fixed size
	bridge    func(ctx context.Context, t *turn) (sample, error)
	reference func(ctx context.Context, t *turn) (sample, error)
	together  bool   // both sides of a round run at the same time, each in a network of its own that bounds it
	commands  string // for the report
}

// result is a figure's outcome.
type result struct {
	figure
	ours, theirs []sample
}

// bench holds the peers and inputs.
type bench struct {
	o      options
	dir    string
	cache  peer.Cache
	bridge peer.Bridge
	rust   peer.RustPeer
	b3sum  string
	big    string // file of o.size bytes
	part   string // file of o.far bytes, for the long path
	folder string // o.files files of 4 KiB
	names  string // o.names files of 1 KiB
}

// turn is one measurement's own folder and the processes that it started.
type turn struct {
	*bench
	dir     string
	procs   []*peer.Process
	closing []io.Closer
}

const smallFile, tinyFile = 4 << 10, 1 << 10

func prepare(ctx context.Context, o options, dir string) (*bench, error) {
	b := &bench{o: o, dir: dir, big: filepath.Join(dir, "big"), part: filepath.Join(dir, "part"), folder: filepath.Join(dir, "folder"), names: filepath.Join(dir, "names")}
	var err error
	if b.bridge, err = peer.BuildBridge(ctx, dir); err != nil {
		return nil, err
	}
	b.bridge.Env = []string{"BRIDGE_LOCAL=1"}
	if o.profile != "" {
		if err := os.Mkdir(b.profiles(), 0o755); err != nil {
			return nil, err
		}
		b.bridge.Env = append(b.bridge.Env, "BRIDGE_CPU_PROFILE="+b.profiles())
	}
	if b.rust, err = b.cache.RustPeer(ctx); err != nil {
		return nil, err
	}
	if b.b3sum, err = b.cache.Path(ctx, peer.B3sum); err != nil {
		return nil, err
	}
	for _, kind := range []peer.Kind{peer.Kubo, peer.Relay} {
		if _, err = b.cache.Path(ctx, kind); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(fill(b.big, o.size, 1), fill(b.part, o.far, 0)); err != nil {
		return nil, err
	}
	return b, errors.Join(fillFolder(b.folder, o.files, smallFile, 2), fillFolder(b.names, o.names, tinyFile, 1<<20))
}

// fillFolder writes files of random bytes in a hundred folders.
func fillFolder(dir string, files int, size int64, seed uint64) error {
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("%02d", i%100), fmt.Sprintf("file-%05d", i))
		if err := fill(name, size, uint64(i)+seed); err != nil {
			return err
		}
	}
	return nil
}

// profiles is where the bridge's processes leave their profiles.
func (b *bench) profiles() string { return filepath.Join(b.dir, "profiles") }

// fill writes random bytes.
func fill(path string, size int64, seed uint64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var key [32]byte
	key[0], key[1], key[2], key[3] = byte(seed), byte(seed>>8), byte(seed>>16), byte(seed>>24)
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, rand.NewChaCha8(key), size); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// measure lets the two sides of a figure take turns, or run side by side.
func (b *bench) measure(ctx context.Context, f figure) (result, error) {
	r := result{figure: f}
	for round := range b.o.rounds {
		g, turns := errgroup.WithContext(ctx)
		sides := []func() error{
			func() error { return b.turn(turns, f.bridge, &r.ours) },
			func() error { return b.turn(turns, f.reference, &r.theirs) },
		}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		if !f.together {
			g.SetLimit(1) // in this order
		}
		for _, side := range sides {
			g.Go(side)
		}
		if err := g.Wait(); err != nil {
			return r, err
		}
		fmt.Fprintf(os.Stderr, "%s, round %d: %.2f s and %.2f s\n", f.name, round+1,
			f.what(r.ours[round]).Seconds(), f.what(r.theirs[round]).Seconds())
	}
	return r, nil
}

// turn runs one side once, in a folder of its own, and ends what it started.
func (b *bench) turn(ctx context.Context, side func(context.Context, *turn) (sample, error), into *[]sample) error {
	dir, err := os.MkdirTemp(b.dir, "turn-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := &turn{bench: b, dir: dir}
	s, err := side(ctx, t)
	for _, p := range t.procs {
		if b.o.profile != "" {
			err = errors.Join(err, p.Stop()) // a profile is written at the end
			continue
		}
		p.Kill()
	}
	for _, c := range slices.Backward(t.closing) {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return err
	}
	*into = append(*into, s)
	return settle(ctx)
}

// settle writes back what is not yet on disk, so that no preparation and no earlier turn is paid for by what is timed
// next.
func settle(ctx context.Context) error { return exec.CommandContext(ctx, "sync").Run() }

// timed runs a function and returns how long it took, once everything before it is on disk.
func timed(ctx context.Context, f func() error) (time.Duration, error) {
	if err := settle(ctx); err != nil {
		return 0, err
	}
	start := time.Now()
	err := f()
	return time.Since(start), err
}

// daemon starts a bridge in the turn's folder. Flags of the command may follow.
func (t *turn) daemon(ctx context.Context, flags ...string) (*peer.Daemon, error) {
	d, err := t.bridge.Daemon(ctx, filepath.Join(t.dir, "bridge"), flags...)
	if err == nil {
		t.procs = append(t.procs, d.Process)
	}
	return d, err
}

// kubo starts a Kubo in the turn's folder.
func (t *turn) kubo(ctx context.Context, name string) (*peer.KuboNode, error) {
	k, err := t.cache.StartKubo(ctx, peer.KuboConfig{
		Repo: filepath.Join(t.dir, name), Profiles: []string{"unixfs-v1-2025"},
	})
	if err == nil {
		t.procs = append(t.procs, k.Process)
	}
	return k, err
}

// ended stops a daemon and adds what it used to a sample. content is how many bytes its folder holds for their own
// sake: what lies there beyond them is overhead.
func ended(d *peer.Daemon, s sample, content int64) (sample, error) {
	if err := d.Stop(); err != nil {
		return s, err
	}
	u := d.Usage()
	s.cpu, s.rss = u.CPU, u.PeakRSS
	used, err := peer.DiskUse(d.Data)
	s.disk = used - content
	return s, err
}
