package unixfs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs/internal/codec"
)

// A kubo is a real Kubo 0.43 with a repository of its own; no daemon runs and no connection is made.
type kubo struct {
	t    testing.TB
	path string
	repo string
}

// newKubo makes a repository with the given profile of IPIP-499. BRIDGE_TEST_KUBO is the path of the binary.
func newKubo(t testing.TB, profile string) *kubo {
	t.Helper()
	path := os.Getenv("BRIDGE_TEST_KUBO")
	if path == "" {
		const why = "BRIDGE_TEST_KUBO does not name an ipfs binary (Kubo 0.43): comparison with the real one left out"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	k := &kubo{t: t, path: path, repo: t.TempDir()}
	k.run("init", "--profile=test")
	k.run("config", "profile", "apply", profile)
	k.run("config", "--json", "AutoConf.Enabled", "false")
	return k
}

func (k *kubo) run(args ...string) []byte {
	k.t.Helper()
	cmd := exec.Command(k.path, append([]string{"--offline"}, args...)...)
	cmd.Env = append(os.Environ(), "IPFS_PATH="+k.repo, "IPFS_TELEMETRY=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		k.t.Fatalf("ipfs %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// add runs ipfs add on a file or folder and returns the root.
func (k *kubo) add(path string, args ...string) cid.Cid {
	k.t.Helper()
	out := k.run(append(append([]string{"add", "-Q", "-r", "-H", "--progress=false"}, args...), path)...)
	c, err := cid.Decode(strings.TrimSpace(string(out)))
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

// export returns all blocks below a root.
func (k *kubo) export(c cid.Cid) blockMap {
	k.t.Helper()
	return readCAR(k.t, k.run("dag", "export", "--progress=false", c.String()))
}

// write puts a tree on disk.
func write(t testing.TB, path string, tr tree) {
	t.Helper()
	var err error
	switch {
	case tr.entries != nil:
		err = os.Mkdir(path, 0o755)
		for name, child := range tr.entries {
			write(t, filepath.Join(path, name), child)
		}
	case tr.target != "":
		err = os.Symlink(tr.target, path)
	default:
		err = os.WriteFile(path, tr.data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// goldenFile holds what a real Kubo 0.43 answered for each case, by profile:
//
//	BRIDGE_TEST_KUBO=... BRIDGE_TEST_UPDATE=1 go test -run TestKuboRoots ./ipfs/unixfs
const goldenFile = "testdata/kubo-roots.json"

func readGolden(t testing.TB) map[string]map[string]string {
	t.Helper()
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string]map[string]string{}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	return golden
}

// TestKuboRoots asks a real Kubo for the root of every golden case, so that the committed answers stay true.
func TestKuboRoots(t *testing.T) {
	got := map[string]map[string]string{}
	for _, name := range profileNames {
		k := newKubo(t, name)
		for _, c := range rootCases(t, profile(t, name)) {
			path := filepath.Join(t.TempDir(), "input")
			write(t, path, c.tree())
			root := k.add(path, "--only-hash")
			if got[c.name] == nil {
				got[c.name] = map[string]string{}
			}
			got[c.name][name] = root.String()
			if mine := build(t, profile(t, name), blockMap{}, c.tree()); mine.CID != root {
				t.Errorf("%s, %s: %s, Kubo says %s", c.name, name, mine.CID, root)
			}
		}
	}
	if os.Getenv("BRIDGE_TEST_UPDATE") != "" {
		b, err := json.MarshalIndent(got, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goldenFile, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden := readGolden(t)
	for name, roots := range got {
		for profile, root := range roots {
			if golden[name][profile] != root {
				t.Errorf("%s, %s: Kubo says %s, %s has %s", name, profile, root, goldenFile, golden[name][profile])
			}
		}
	}
}

// TestKuboProfiles compares profiles other than the named ones with what Kubo makes of the same settings: more levels
// than 1,024 leaves of 1 MiB would take, other hashes, and directories of directories around the threshold, whose
// sizes Kubo learns only after it added them.
func TestKuboProfiles(t *testing.T) {
	k := newKubo(t, "unixfs-v1-2025")
	base := profile(t, "unixfs-v1-2025")
	base.ChunkSize, base.Width = 100, 3
	for name, c := range map[string]struct {
		args string
		edit func(*Profile)
	}{
		"v1":     {"", func(*Profile) {}},
		"v0":     {"--cid-version=0 --raw-leaves=false", func(p *Profile) { p.CIDVersion, p.RawLeaves = 0, false }},
		"v0-raw": {"--cid-version=0 --raw-leaves=true", func(p *Profile) { p.CIDVersion = 0 }},
		"blake3": {"--hash=blake3", func(p *Profile) { p.HashCode = mh.BLAKE3 }},
		"sha512": {"--hash=sha2-512 --raw-leaves=false", func(p *Profile) { p.HashCode, p.RawLeaves = mh.SHA2_512, false }},
		"fanout": {"--max-hamt-fanout=16", func(p *Profile) { p.ShardFanout = 16 }},
	} {
		t.Run(name, func(t *testing.T) {
			k := &kubo{t: t, path: k.path, repo: k.repo}
			p := base
			c.edit(&p)
			files := map[string]tree{}
			for _, chunks := range []int{0, 1, 2, 3, 4, 8, 9, 10, 26, 27, 28, 81, 82, 250} {
				files[fmt.Sprintf("%d-chunks", chunks)] = tree{data: content("p", chunks*p.ChunkSize)}
				files[fmt.Sprintf("%d-chunks-and-1", chunks)] = tree{data: content("p", chunks*p.ChunkSize+1)}
			}
			tr := dir(map[string]tree{"files": dir(files), "hamt": dir(foldersOver(p, 1)), "plain": dir(foldersOver(p, 0))})
			path := filepath.Join(t.TempDir(), "tree")
			write(t, path, tr)
			args := append(strings.Fields(c.args), "--only-hash", "--chunker=size-100", "--max-file-links=3")
			if want, got := k.add(path, args...), build(t, p, blockMap{}, tr).CID; got != want {
				t.Errorf("root %s, Kubo's is %s", got, want)
			}
		})
	}
}

// TestKuboWidth compares files of as many leaves as a node of either profile has links, and one more: small leaves on
// both levels, and leaves of the profile's own size, of zeros, where a file gets its second level.
func TestKuboWidth(t *testing.T) {
	for _, name := range profileNames {
		t.Run(name, func(t *testing.T) {
			k := newKubo(t, name)
			p := profile(t, name)
			small := p
			small.ChunkSize = 64
			counts := []int{p.Width - 1, p.Width, p.Width + 1, 2 * p.Width, 2*p.Width + 1}
			if p.Width < 200 {
				counts = append(counts, p.Width*p.Width, p.Width*p.Width+1)
			}
			files := map[string]tree{}
			for _, n := range counts {
				files[fmt.Sprint(n)] = tree{data: content("w", 64*n)}
			}
			path := filepath.Join(t.TempDir(), "files")
			write(t, path, dir(files))
			if want, got := k.add(path, "--only-hash", "--chunker=size-64"), build(t, small, blockMap{}, dir(files)).CID; got != want {
				t.Errorf("small leaves: root %s, Kubo's is %s", got, want)
			}
			for _, more := range []int64{0, 1} {
				size := int64(p.Width)*int64(p.ChunkSize) + more
				path := filepath.Join(t.TempDir(), "zeros")
				if err := errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, size)); err != nil {
					t.Fatal(err)
				}
				if want, got := k.add(path, "--only-hash"), zeros(t, p, size); got != want {
					t.Errorf("%d bytes: root %s, Kubo's is %s", size, got, want)
				}
			}
		})
	}
}

// zeros lays out a file of zeros.
func zeros(t *testing.T, p Profile, size int64) cid.Cid {
	t.Helper()
	chunk := make([]byte, p.ChunkSize)
	whole, err := p.Leaf(chunk)
	if err != nil {
		t.Fatal(err)
	}
	b := NewFile(p, blockMap{})
	for ; size > 0; size -= int64(p.ChunkSize) {
		l := whole
		if size < int64(p.ChunkSize) {
			if l, err = p.Leaf(chunk[:size]); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	e, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return e.CID
}

// foldersOver makes entries that are all folders, over bytes above the threshold of the estimate by blocks.
func foldersOver(p Profile, over int) map[string]tree {
	sub := dir(map[string]tree{"inner": {data: content("inner", 200)}})
	e, err := tryBuild(p, blockMap{}, sub)
	if err != nil {
		panic(err)
	}
	cost := func(name string) int { return codec.Link{CID: e.CID, Name: name, Tsize: e.TreeSize}.EncodedSize() }
	entries := map[string]tree{}
	left := p.ShardThreshold + over - len(codec.Encode(nil, codec.DirectoryMessage()))
	pad := strings.Repeat("p", 150)
	for i := 0; left >= 2*cost(pad); i++ {
		name := fmt.Sprintf("%05d%s", i, pad[:140])
		entries[name] = sub
		left -= cost(name)
	}
	for n := 10; n < 150; n++ {
		for m := 10; m < 250; m++ {
			a, b := "a"+strings.Repeat("a", n), "b"+strings.Repeat("b", m)
			if cost(a)+cost(b) == left {
				entries[a], entries[b] = sub, sub
				return entries
			}
		}
	}
	panic("no names of the right lengths")
}
