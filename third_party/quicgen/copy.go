package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// leftOut names the folders of a release that no importer can need: they hold tests, examples, tools and pictures.
// testutils and integrationtests/tools stay: tests of other modules import them, and `go mod tidy` looks at those.
var leftOut = []string{"assets", "example", "fuzzing", "integrationtests/gomodvendor", "integrationtests/self", "integrationtests/versionnegotiation", "internal/mocks", "interop", "metrics"}

// copyRelease copies the release in src to the folder dst, without tests and what only tests need. The licence and
// the module files come along. Files of the module cache are read-only; the copies are not.
func copyRelease(src, dst string) error {
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			if skipDir(filepath.ToSlash(rel)) {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(dst, rel), 0o755)
		}
		if !d.Type().IsRegular() || !keepFile(d.Name()) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dst, rel), data, 0o644)
	})
}

func skipDir(rel string) bool {
	for _, l := range leftOut {
		if rel == l {
			return true
		}
	}
	base := rel[strings.LastIndexByte(rel, '/')+1:]
	return base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

func keepFile(name string) bool {
	switch name {
	case "LICENSE", "README.md", "go.mod", "go.sum":
		return true
	}
	return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
}
