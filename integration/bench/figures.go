package main

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/iroh-ipfs/bridge/integration/peer"
)

// figures are the comparisons of the report, in its order.
func (b *bench) figures() []figure {
	return slices.Concat(addFigures(b.o.size), b.rustFigures(), b.nameFigures(), b.kuboFigures(), b.pathFigures())
}

func addFigures(size int64) []figure {
	return []figure{
		{
			name: "add in place: processor time", what: cpu, limit: 1.5, bytes: size, bridge: addInPlace, reference: hashTwice,
			commands: "`bridge add --in-place FILE` : `b3sum --num-threads 1 FILE` + `openssl dgst -sha256 FILE`",
		},
		{
			name: "add in place: wall time", what: wall, limit: 1.0 / 3, bytes: size, bridge: addInPlace, reference: addToBoth,
			commands: "`bridge add --in-place FILE` : `ipfs add FILE` + `irohpeer import FILE`",
		},
	}
}

// rustFigures compare the bridge with the Rust peer on the shortest path.
func (b *bench) rustFigures() []figure {
	folder := int64(b.o.files) * smallFile
	return []figure{
		{
			name: "serve a file to Rust", what: wall, limit: 1, bytes: b.o.size,
			bridge:    func(ctx context.Context, t *turn) (sample, error) { return bridgeToRust(ctx, t, t.big, t.o.size) },
			reference: func(ctx context.Context, t *turn) (sample, error) { return rustToRust(ctx, t, t.big) },
			commands:  "`irohpeer fetch` from the bridge : from `irohpeer serve`",
		},
		{
			name: "fetch a file from Rust", what: wall, limit: 1, bytes: b.o.size,
			bridge: func(ctx context.Context, t *turn) (sample, error) {
				return rustToBridge(ctx, t, t.big, t.o.size, "fetch")
			},
			reference: func(ctx context.Context, t *turn) (sample, error) { return rustToRust(ctx, t, t.big) },
			commands:  "`bridge fetch` : `irohpeer fetch`, both from `irohpeer serve`",
		},
		{
			name: "expose a file of Rust's", what: wall, limit: 1, bytes: b.o.size,
			bridge: func(ctx context.Context, t *turn) (sample, error) {
				return rustToBridge(ctx, t, t.big, t.o.size, "expose")
			},
			reference: func(ctx context.Context, t *turn) (sample, error) { return rustToRust(ctx, t, t.big) },
			commands:  "`bridge expose` (fetch, and the SHA-256 of every block) : `irohpeer fetch`, both from `irohpeer serve`",
		},
		{
			name: "serve a folder to Rust", what: wall, limit: 1, bytes: folder,
			bridge:    func(ctx context.Context, t *turn) (sample, error) { return bridgeToRust(ctx, t, t.folder, folder) },
			reference: func(ctx context.Context, t *turn) (sample, error) { return rustToRust(ctx, t, t.folder) },
			commands:  "`irohpeer fetch` from the bridge : from `irohpeer serve`",
		},
		{
			name: "fetch a folder from Rust", what: wall, limit: 1, bytes: folder,
			bridge: func(ctx context.Context, t *turn) (sample, error) {
				return rustToBridge(ctx, t, t.folder, folder, "fetch")
			},
			reference: func(ctx context.Context, t *turn) (sample, error) { return rustToRust(ctx, t, t.folder) },
			commands:  "`bridge fetch` : `irohpeer fetch`, both from `irohpeer serve`",
		},
		{
			name: "expose a folder of Rust's", what: wall, limit: 1, bytes: folder,
			bridge: func(ctx context.Context, t *turn) (sample, error) {
				return rustToBridge(ctx, t, t.folder, folder, "expose")
			},
			reference: func(ctx context.Context, t *turn) (sample, error) { return rustToRust(ctx, t, t.folder) },
			commands:  "`bridge expose` (fetch, and the SHA-256 of every block) : `irohpeer fetch`, both from `irohpeer serve`",
		},
	}
}

// nameFigures compare the bridge with the Rust peer where a collection has very many names. The files have 1 KiB: with 256 bytes and less
// iroh-blobs loses the connection to itself ("too many gaps in stream buffer").
func (b *bench) nameFigures() []figure {
	return []figure{
		{
			name: "serve many names to Rust", what: wall, limit: 1,
			bridge:    func(ctx context.Context, t *turn) (sample, error) { return bridgeToRust(ctx, t, t.names, 0) },
			reference: func(ctx context.Context, t *turn) (sample, error) { return rustToRust(ctx, t, t.names) },
			commands:  "`irohpeer fetch` from the bridge : from `irohpeer serve`",
		},
		{
			name: "fetch many names from Rust", what: wall, limit: 1,
			bridge: func(ctx context.Context, t *turn) (sample, error) {
				return rustToBridge(ctx, t, t.names, 0, "fetch")
			},
			reference: func(ctx context.Context, t *turn) (sample, error) { return rustToRust(ctx, t, t.names) },
			commands:  "`bridge fetch` : `irohpeer fetch`, both from `irohpeer serve`",
		},
	}
}

// kuboFigures compare the bridge with Kubo.
func (b *bench) kuboFigures() []figure {
	folder := int64(b.o.files) * smallFile
	return []figure{
		{
			name: "serve a file to Kubo", what: wall, limit: 1, bytes: b.o.size,
			bridge: func(ctx context.Context, t *turn) (sample, error) {
				return bridgeToKubo(ctx, t, t.big, t.o.size, "get")
			},
			reference: func(ctx context.Context, t *turn) (sample, error) { return kuboToKubo(ctx, t, t.big, "get") },
			commands:  "`ipfs get` from the bridge : from another Kubo",
		},
		{
			name: "fetch a file from Kubo", what: wall, limit: 1, bytes: b.o.size,
			bridge:    func(ctx context.Context, t *turn) (sample, error) { return kuboToBridge(ctx, t, t.big, t.o.size) },
			reference: func(ctx context.Context, t *turn) (sample, error) { return kuboToKubo(ctx, t, t.big, "pin") },
			commands:  "`bridge import` : `ipfs pin add`, both from a Kubo",
		},
		{
			name: "serve a folder to Kubo", what: wall, limit: 1, bytes: folder,
			bridge: func(ctx context.Context, t *turn) (sample, error) {
				return bridgeToKubo(ctx, t, t.folder, folder, "pin")
			},
			reference: func(ctx context.Context, t *turn) (sample, error) { return kuboToKubo(ctx, t, t.folder, "pin") },
			commands:  "`ipfs pin add` from the bridge : from another Kubo",
		},
		{
			name: "fetch a folder from Kubo", what: wall, limit: 1, bytes: folder,
			bridge:    func(ctx context.Context, t *turn) (sample, error) { return kuboToBridge(ctx, t, t.folder, folder) },
			reference: func(ctx context.Context, t *turn) (sample, error) { return kuboToKubo(ctx, t, t.folder, "pin") },
			commands:  "`bridge import` : `ipfs pin add`, both from a Kubo",
		},
	}
}

// addInPlace is one process without a daemon.
func addInPlace(ctx context.Context, t *turn) (sample, error) {
	data := filepath.Join(t.dir, "bridge")
	var s sample
	var err error
	s.wall, err = timed(ctx, func() error {
		r := t.bridge.Run(ctx, data, "add", "--in-place", t.big)
		s.cpu, s.rss = r.Usage.CPU, r.Usage.PeakRSS
		if r.Status != 0 {
			return &peer.StatusError{Args: []string{"add"}, Result: r}
		}
		return nil
	})
	if err == nil {
		s.disk, err = peer.DiskUse(data)
	}
	return s, err
}

// hashTwice is the least that adding can cost: each hash once over the file, by the fastest common tools.
func hashTwice(ctx context.Context, t *turn) (sample, error) {
	var s sample
	var err error
	s.wall, err = timed(ctx, func() error {
		for _, c := range []peer.Command{
			{Path: t.b3sum, Args: []string{"--num-threads", "1", t.big}},
			{Path: "openssl", Args: []string{"dgst", "-sha256", t.big}},
		} {
			_, u, err := peer.Output(ctx, c)
			if err != nil {
				return err
			}
			s.cpu += u.CPU
		}
		return nil
	})
	return s, err
}

// addToBoth adds the file to a Kubo and to an iroh store, as one had to without the bridge.
func addToBoth(ctx context.Context, t *turn) (sample, error) {
	k, err := t.cache.NewKubo(ctx, peer.KuboConfig{Repo: filepath.Join(t.dir, "kubo"), Profiles: []string{"unixfs-v1-2025"}})
	if err != nil {
		return sample{}, err
	}
	var s sample
	s.wall, err = timed(ctx, func() error {
		if _, err := k.Run(ctx, "add", "-Q", "--progress=false", t.big); err != nil {
			return err
		}
		_, err := t.rust.Import(ctx, filepath.Join(t.dir, "rust"), t.big)
		return err
	})
	return s, err
}

// bridgeToRust lets a Rust node fetch what the bridge holds as a copy.
func bridgeToRust(ctx context.Context, t *turn, path string, content int64) (sample, error) {
	d, err := t.daemon(ctx)
	if err != nil {
		return sample{}, err
	}
	c, err := d.Do(ctx, "add", path)
	if err != nil {
		return sample{}, err
	}
	s, err := t.fetchBy(ctx, t.rust, c.Ticket)
	if err != nil {
		return s, err
	}
	return ended(d, s, content)
}

func rustToRust(ctx context.Context, t *turn, path string) (sample, error) {
	n, err := t.serveBy(ctx, t.rust, path)
	if err != nil {
		return sample{}, err
	}
	return t.fetchBy(ctx, t.rust, n.Items[0].Ticket)
}

// rustToBridge lets the bridge bring in what a Rust node holds, by a command that takes its ticket.
func rustToBridge(ctx context.Context, t *turn, path string, content int64, command string) (sample, error) {
	n, err := t.serveBy(ctx, t.rust, path)
	if err != nil {
		return sample{}, err
	}
	d, err := t.daemon(ctx)
	if err != nil {
		return sample{}, err
	}
	return bringIn(ctx, d, content, command, n.Items[0].Ticket)
}

func bridgeToKubo(ctx context.Context, t *turn, path string, content int64, how string) (sample, error) {
	d, err := t.daemon(ctx)
	if err != nil {
		return sample{}, err
	}
	c, err := d.Do(ctx, "add", path)
	if err != nil {
		return sample{}, err
	}
	s, err := t.kuboFetch(ctx, d.Addr("tcp"), c.CID, how)
	if err != nil {
		return s, err
	}
	return ended(d, s, content)
}

func kuboToKubo(ctx context.Context, t *turn, path, how string) (sample, error) {
	source, root, err := t.kuboWith(ctx, path)
	if err != nil {
		return sample{}, err
	}
	return t.kuboFetch(ctx, source.Addrs[0], root, how)
}

// kuboWith starts a Kubo that holds a path.
func (t *turn) kuboWith(ctx context.Context, path string) (*peer.KuboNode, string, error) {
	k, err := t.kubo(ctx, "source")
	if err != nil {
		return nil, "", err
	}
	root, err := k.Line(ctx, "add", "-Q", "-r", "--progress=false", path)
	return k, root, err
}

// kuboFetch fetches a root into an empty Kubo from the peer at addr.
func (t *turn) kuboFetch(ctx context.Context, addr, root, how string) (sample, error) {
	k, err := t.kubo(ctx, "client")
	if err != nil {
		return sample{}, err
	}
	if err := k.Connect(ctx, addr); err != nil {
		return sample{}, err
	}
	args := []string{"pin", "add", "--progress=false", root}
	if how == "get" {
		args = []string{"get", "--progress=false", "-o", filepath.Join(t.dir, "out"), root}
	}
	var s sample
	s.wall, err = timed(ctx, func() error {
		_, err := k.Run(ctx, args...)
		return err
	})
	return s, err
}

func kuboToBridge(ctx context.Context, t *turn, path string, content int64) (sample, error) {
	source, root, err := t.kuboWith(ctx, path)
	if err != nil {
		return sample{}, err
	}
	d, err := t.daemon(ctx)
	if err != nil {
		return sample{}, err
	}
	return bringIn(ctx, d, content, "import", root, "--from", source.Addrs[0])
}

// bringIn times a command that makes the bridge fetch content, and ends the bridge.
func bringIn(ctx context.Context, d *peer.Daemon, content int64, command ...string) (sample, error) {
	var s sample
	var err error
	s.wall, err = timed(ctx, func() error {
		_, err := d.Do(ctx, command...)
		return err
	})
	if err != nil {
		return s, err
	}
	return ended(d, s, content)
}
