package main

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/dirhash"
)

// stampName is the file in the copy that says what it was made from.
const stampName = ".quicgen"

// sources is this program: a change of it makes every copy out of date.
//
//go:embed main.go module.go copy.go stamp.go rewrite.go shape.go setup.go queue.go deliver.go go.mod go.sum seam.go.txt deliver.go.txt
var sources embed.FS

// stamp is the text that belongs into the stamp file of the copy in dir: version and hash of the release, hash of
// this program, hash of the copy itself. The last one notices edits made in the copy.
func stamp(dir string, p pin) (string, error) {
	h := sha256.New()
	entries, err := sources.ReadDir(".")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		data, err := sources.ReadFile(e.Name())
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", e.Name(), len(data), data)
	}
	copied, err := hashCopy(dir)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s %s\ngenerator %x\ncopy %s\n", p.Path, p.Version, p.Sum, h.Sum(nil), copied), nil
}

// hashCopy hashes all files in dir but the stamp.
func hashCopy(dir string) (string, error) {
	all, err := dirhash.DirFiles(dir, "")
	if err != nil {
		return "", err
	}
	files := all[:0]
	for _, f := range all {
		if f != stampName {
			files = append(files, f)
		}
	}
	return dirhash.Hash1(files, func(name string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(dir, name))
	})
}

func writeStamp(dir string, p pin) error {
	s, err := stamp(dir, p)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, stampName), []byte(s), 0o644)
}

// upToDate reports whether dir already holds what a run would write.
func upToDate(dir string, p pin) bool {
	got, err := os.ReadFile(filepath.Join(dir, stampName))
	if err != nil {
		return false
	}
	want, err := stamp(dir, p)
	return err == nil && string(got) == want
}
