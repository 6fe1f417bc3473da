package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
)

const module = "github.com/iroh-ipfs/bridge"

// A file is one parsed Go source file of the repository.
type file struct {
	path    string // slash-separated, relative to the root
	dir     string // of path; "." for the root
	test    bool
	lines   int // all of them
	code    int // those that are neither blank nor only a comment
	syntax  *ast.File
	imports []string
}

type tree struct {
	root  string
	fset  *token.FileSet
	files []file
}

// load parses every Go file of the repository once.
var load = sync.OnceValues(func() (*tree, error) {
	root, err := peer.Root()
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, fset: token.NewFileSet()}
	err = walk(root, func(path string) error {
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		return t.add(path)
	})
	return t, err
})

// walk visits the repository's own files: nothing hidden but .ci, nothing built or generated.
func walk(root string, visit func(path string) error) error {
	skip := map[string]bool{"bin": true, "third_party/quic-go": true, "integration/peer/rust/target": true}
	return filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") && path != "." && path != ".ci"
			if hidden || skip[path] || d.Name() == "target" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || path == ".git" { // a file, where the tree is a further one of a repository
			return nil
		}
		return visit(path)
	})
}

func (t *tree) add(path string) error {
	data, err := os.ReadFile(filepath.Join(t.root, path))
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(t.fset, path, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := file{
		path: path, dir: filepath.ToSlash(filepath.Dir(path)), syntax: syntax,
		test: strings.HasSuffix(path, "_test.go"), lines: strings.Count(string(data), "\n"),
	}
	for line := range strings.Lines(string(data)) {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "//") {
			f.code++
		}
	}
	for _, spec := range syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		f.imports = append(f.imports, name)
	}
	t.files = append(t.files, f)
	return nil
}

// sources returns the repository's Go files; tests too when wanted.
func sources(t *testing.T, tests bool) []file {
	t.Helper()
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	for _, f := range tree.files {
		if tests || !f.test {
			files = append(files, f)
		}
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files found: the test looks in the wrong place", len(files))
	}
	return files
}

// under tells whether a package folder is prefix or below it.
func under(dir, prefix string) bool { return dir == prefix || strings.HasPrefix(dir, prefix+"/") }

// anyUnder tells whether dir is one of prefixes or below one.
func anyUnder(dir string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if under(dir, prefix) {
			return true
		}
	}
	return false
}
