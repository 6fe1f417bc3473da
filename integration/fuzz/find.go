package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A target is one fuzz function of a package.
type target struct {
	pkg, dir, name string
}

func (t target) String() string { return t.pkg + " " + t.name }

// A listed package is what go list says of it.
type listed struct {
	ImportPath, Dir           string
	TestGoFiles, XTestGoFiles []string
}

// find returns the targets of packages, in order.
func find(ctx context.Context, dir string, patterns []string) ([]target, error) {
	out, err := goTool(ctx, dir, append([]string{"list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	var targets []target
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return targets, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		written, err := p.written()
		if err != nil {
			return nil, err
		}
		if len(written) == 0 {
			continue // its test binary need not be built
		}
		out, err := goTool(ctx, dir, "test", "-list", "^Fuzz", p.ImportPath)
		if err != nil {
			return nil, err
		}
		names := listedNames(string(out))
		if !slices.Equal(written, names) {
			return nil, fmt.Errorf("%s: go test lists the targets %q, its files have %q", p.ImportPath, names, written)
		}
		for _, name := range names {
			targets = append(targets, target{p.ImportPath, p.Dir, name})
		}
	}
}

// written returns the names of the functions of a package's test files, for this system, that are fuzz targets.
func (p listed) written() ([]string, error) {
	var names []string
	for _, file := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range f.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && strings.HasPrefix(d.Name.Name, "Fuzz") {
				names = append(names, d.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// listedNames returns the names in what go test -list prints.
func listedNames(out string) []string {
	var names []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Fuzz") {
			names = append(names, line)
		}
	}
	slices.Sort(names)
	return names
}

// goTool runs the go command and returns its standard output.
func goTool(ctx context.Context, dir string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return out, nil
}
