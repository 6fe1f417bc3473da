package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/sumdb/dirhash"
)

const modulePath = "github.com/quic-go/quic-go"

//go:embed go.mod
var goMod []byte

//go:embed go.sum
var goSum []byte

// A pin is a module release and the hash of its content (h1, as in go.sum).
type pin struct {
	Path, Version, Sum string
}

// pinned reads the quic-go release from this module's own go.mod and go.sum.
func pinned() (pin, error) {
	version, err := requiredVersion("third_party/quicgen/go.mod", goMod)
	if err != nil {
		return pin{}, err
	}
	p := pin{Path: modulePath, Version: version}
	for line := range strings.Lines(string(goSum)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == p.Path && f[1] == p.Version {
			p.Sum = f[2]
		}
	}
	if !strings.HasPrefix(p.Sum, "h1:") {
		return pin{}, fmt.Errorf("third_party/quicgen/go.sum: no h1 hash for %s %s", p.Path, p.Version)
	}
	return p, nil
}

// requiredVersion returns the version of quic-go that the go.mod file in data requires.
func requiredVersion(name string, data []byte) (string, error) {
	f, err := modfile.Parse(name, data, nil)
	if err != nil {
		return "", err
	}
	for _, r := range f.Require {
		if r.Mod.Path == modulePath {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s: does not require %s", name, modulePath)
}

// sameVersion checks that the go.mod at path, which replaces quic-go by our copy, requires the release that is copied:
// otherwise the build would say one version and contain another.
func sameVersion(path string, p pin) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	version, err := requiredVersion(path, data)
	if err != nil {
		return err
	}
	if version != p.Version {
		return fmt.Errorf("%s requires %s %s, but third_party/quicgen/go.mod pins %s: change both together",
			path, p.Path, version, p.Version)
	}
	return nil
}

// download finds the release in the module cache, fetching it if need be, and verifies its content against p.Sum.
func download(p pin) (dir string, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("go", "mod", "download", "-json", p.Path+"@"+p.Version)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	var info struct{ Dir, Error string }
	if err := json.Unmarshal(stdout.Bytes(), &info); err != nil || info.Error != "" || runErr != nil {
		return "", fmt.Errorf("go mod download %s@%s: %v %s %s", p.Path, p.Version, runErr, info.Error, stderr.String())
	}
	sum, err := dirhash.HashDir(info.Dir, p.Path+"@"+p.Version, dirhash.Hash1)
	if err != nil {
		return "", err
	}
	if sum != p.Sum {
		return "", fmt.Errorf("%s %s in the module cache has hash %s, go.sum says %s: run `go clean -modcache` and try again",
			p.Path, p.Version, sum, p.Sum)
	}
	return info.Dir, nil
}
