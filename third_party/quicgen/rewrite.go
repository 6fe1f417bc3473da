package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"os"
	"path/filepath"
	"slices"
)

const (
	setupFile = "internal/handshake/crypto_setup.go"
	seamFile  = "internal/handshake/quic_engine.go"
)

//go:embed seam.go.txt
var seam []byte

// An edit replaces the source text of one syntax node.
type edit struct {
	node ast.Node
	text string
}

// rewrite makes the TLS engine of the release in dir replaceable: three edits in setupFile, and one added file.
// Everything is checked before anything is written.
func rewrite(dir string) error {
	r, err := parseRelease(dir)
	if err != nil {
		return err
	}
	edits, err := r.check()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, filepath.FromSlash(setupFile))
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out, err := apply(r.fset, src, edits)
	if err != nil {
		return fmt.Errorf("%s: %w", setupFile, err)
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, filepath.FromSlash(seamFile)), seam, 0o644)
}

// apply makes the edits in src and formats the result. Upstream's files are formatted, so all other lines keep their
// bytes; the notice is for whoever opens the file.
func apply(fset *token.FileSet, src []byte, edits []edit) ([]byte, error) {
	slices.SortFunc(edits, func(a, b edit) int { return int(b.node.Pos() - a.node.Pos()) })
	out := slices.Clone(src)
	for _, e := range edits {
		from, to := fset.Position(e.node.Pos()).Offset, fset.Position(e.node.End()).Offset
		out = slices.Concat(out[:from], []byte(e.text), out[to:])
	}
	const notice = "// Changed by third_party/quicgen: the TLS engine is an interface, see quic_engine.go. DO NOT EDIT.\n\n"
	return format.Source(bytes.Join([][]byte{[]byte(notice), out}, nil))
}
