package main

import (
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

// A change is what is done to one file, and the notice for whoever opens it.
type change struct {
	file   string
	edits  []edit
	notice string
}

// rewrite makes the three changes to the release in dir: edits in setupFile and an added file for the TLS engine, an edit each in
// paramsFile and serverFile for the queues, and an added file for Deliver. Everything is checked before anything is written.
func rewrite(dir string) error {
	r, err := parseRelease(dir)
	if err != nil {
		return err
	}
	engine, err := r.checkEngine()
	if err != nil {
		return err
	}
	params, server, err := r.checkQueues()
	if err != nil {
		return err
	}
	if err := r.checkDeliver(); err != nil {
		return err
	}
	for _, c := range []change{
		{setupFile, engine, "the TLS engine is an interface, see quic_engine.go"},
		{paramsFile, params, acceptSize + " is larger"},
		{serverFile, server, retryQueue + " is longer"},
	} {
		path := filepath.Join(dir, filepath.FromSlash(c.file))
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out, err := c.apply(r.fset, src)
		if err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
		if err := os.WriteFile(path, out, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, deliverFile), deliver, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, filepath.FromSlash(seamFile)), seam, 0o644)
}

// apply makes the edits in src and formats the result. Upstream's files are formatted, so all other lines keep their
// bytes.
func (c change) apply(fset *token.FileSet, src []byte) ([]byte, error) {
	slices.SortFunc(c.edits, func(a, b edit) int { return int(b.node.Pos() - a.node.Pos()) })
	out := slices.Clone(src)
	for _, e := range c.edits {
		from, to := fset.Position(e.node.Pos()).Offset, fset.Position(e.node.End()).Offset
		out = slices.Concat(out[:from], []byte(e.text), out[to:])
	}
	notice := fmt.Sprintf("// Changed by third_party/quicgen: %s. DO NOT EDIT.\n\n", c.notice)
	return format.Source(append([]byte(notice), out...))
}
