package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"time"

	"github.com/gofrs/flock"
)

// Kind names a peer program.
type Kind string

// The peers.
const (
	Kubo   Kind = "kubo"
	Rust   Kind = "rust"
	Sendme Kind = "sendme"
	Relay  Kind = "iroh-relay"
	B3sum  Kind = "b3sum"

	DNSServer Kind = "iroh-dns-server"
	NPM       Kind = "npm"
)

// Versions of the crates that are installed by name; the others are pinned by kubo/go.mod, rust/Cargo.lock and npm/package.json.
const (
	SendmeVersion = "0.37.1"
	RelayVersion  = "1.4.1"
	B3sumVersion  = "1.8.2"

	DNSServerVersion = "1.4.1"
)

// ErrNoCargo says that a peer has to be built and cargo is not installed.
var ErrNoCargo = errors.New("peer: cargo is not installed")

// lockRetry is how often a process looks whether another one has finished the build it waits for.
const lockRetry = 500 * time.Millisecond

// Cache finds peers and builds those that are missing. The zero value is ready to use.
type Cache struct {
	Dir string    // folder of the built peers; empty: BRIDGE_PEERS, or the user's cache folder
	Log io.Writer // what is being built, and the builders' own output; nil: os.Stderr
}

// Path returns the program file of a peer, building it first when it is not there. The first build of Kubo takes about
// four minutes on two cores, that of the Rust peer, of sendme and of the relay about five each.
func (c Cache) Path(ctx context.Context, kind Kind) (string, error) {
	dir, bin, err := c.place(kind)
	if err != nil {
		return "", err
	}
	if usable(bin) {
		return bin, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("peer: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return "", fmt.Errorf("peer: waiting for another build of %s: %w", kind, err)
	}
	defer lock.Unlock()
	if usable(bin) {
		return bin, nil
	}
	if err := c.build(ctx, kind, dir, bin); err != nil {
		return "", fmt.Errorf("peer: build %s: %w", kind, err)
	}
	return bin, nil
}

// place returns the folder of a peer and the file that it holds once built.
func (c Cache) place(kind Kind) (dir, bin string, err error) {
	base := c.Dir
	if base == "" {
		base = os.Getenv("BRIDGE_PEERS")
	}
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", "", fmt.Errorf("peer: no cache folder, set BRIDGE_PEERS: %w", err)
		}
		base = filepath.Join(user, "iroh-ipfs-bridge", "peers")
	}
	version, err := version(kind)
	if err != nil {
		return "", "", err
	}
	dir = filepath.Join(base, fmt.Sprintf("%s-%s-%s-%s", kind, version, runtime.GOOS, runtime.GOARCH))
	bin = filepath.Join(dir, program(kind))
	if runtime.GOOS == "windows" && kind != NPM {
		bin += ".exe"
	}
	return dir, bin, nil
}

func program(kind Kind) string {
	switch kind {
	case Kubo:
		return "ipfs"
	case Rust:
		return "irohpeer"
	case NPM:
		return "peer.mjs"
	}
	return string(kind)
}

func version(kind Kind) (string, error) {
	switch kind {
	case Kubo:
		return kuboVersion()
	case Rust:
		return rustVersion()
	case NPM:
		return npmVersion()
	case Sendme:
		return SendmeVersion, nil
	case Relay:
		return RelayVersion, nil
	case B3sum:
		return B3sumVersion, nil
	case DNSServer:
		return DNSServerVersion, nil
	}
	return "", fmt.Errorf("peer: unknown peer %q", kind)
}

func usable(bin string) bool {
	info, err := os.Stat(bin)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

var kuboRequire = regexp.MustCompile(`(?m)^require github\.com/ipfs/kubo (v\S+)$`)

// kuboVersion reads the version that kubo/go.mod pins.
func kuboVersion() (string, error) {
	dir, err := source("kubo")
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("peer: %w", err)
	}
	match := kuboRequire.FindSubmatch(data)
	if match == nil {
		return "", errors.New("peer: kubo/go.mod does not require github.com/ipfs/kubo on a line of its own")
	}
	return string(match[1]), nil
}

// rustVersion is a hash of everything the crate is built from.
func rustVersion() (string, error) {
	dir, err := source("rust")
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "src", "*.rs"))
	if err != nil {
		return "", err
	}
	files = append(files, filepath.Join(dir, "Cargo.toml"), filepath.Join(dir, "Cargo.lock"))
	sort.Strings(files)
	h := sha256.New()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("peer: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(file), len(data), data)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// source returns a folder beside this package's own files.
func source(name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "integration", "peer", name), nil
}

// Root returns the root folder of the repository: the nearest one at or above the working folder whose go.mod is the
// bridge's.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("peer: %w", err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && rootModule.Match(data) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("peer: the working folder is not inside the bridge's repository")
		}
		dir = parent
	}
}

var rootModule = regexp.MustCompile(`(?m)^module github\.com/iroh-ipfs/bridge$`)

func (c Cache) build(ctx context.Context, kind Kind, dir, bin string) error {
	from, err := source(string(kind))
	if err != nil {
		return err
	}
	if kind == NPM {
		return c.buildNPM(ctx, from, dir, bin)
	}
	if kind == Kubo {
		built := filepath.Join(dir, ".new-ipfs")
		if err := c.run(ctx, from, bin, "go", "build", "-o", built, "github.com/ipfs/kubo/cmd/ipfs"); err != nil {
			return err
		}
		return os.Rename(built, bin)
	}
	if _, err := exec.LookPath("cargo"); err != nil {
		return ErrNoCargo
	}
	target := filepath.Join(filepath.Dir(dir), "target")
	if kind == Rust {
		err := c.run(ctx, from, bin, "cargo", "build", "--release", "--locked", "--target-dir", target)
		if err != nil {
			return err
		}
		return copyProgram(filepath.Join(target, "release", filepath.Base(bin)), bin)
	}
	version, err := version(kind)
	if err != nil {
		return err
	}
	args := []string{"install", string(kind) + "@" + version, "--locked", "--force", "--root", dir, "--target-dir", target}
	if kind == Relay {
		args = append(args, "--features", "server")
	}
	if err := c.run(ctx, dir, bin, "cargo", args...); err != nil {
		return err
	}
	return copyProgram(filepath.Join(dir, "bin", filepath.Base(bin)), bin)
}

func (c Cache) run(ctx context.Context, dir, bin, name string, args ...string) error {
	log := c.Log
	if log == nil {
		log = os.Stderr
	}
	fmt.Fprintf(log, "building %s (once; this takes minutes)\n", bin)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// The main module's own settings must not reach the peers' builds.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = log, log
	return cmd.Run()
}

// copyProgram puts a copy of a program in place in one step, so that no half-written file is ever taken for a peer.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	if _, err = io.Copy(out, in); err == nil {
		err = out.Chmod(0o755)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
