package arch

import (
	"bufio"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// forbiddenImports says for each room which other rooms it must not know.
var forbiddenImports = map[string][]string{
	"iroh":        {"ipfs", "mapping", "bridge", "cmd"},
	"ipfs":        {"iroh", "mapping", "bridge", "cmd"},
	"mapping":     {"iroh", "ipfs", "bridge", "cmd"},
	"bridge":      {"cmd"},
	"third_party": {"iroh", "ipfs", "mapping", "bridge", "cmd"},
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, f := range sources(t, true) {
		for _, path := range f.imports {
			dir, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			for room, forbidden := range forbiddenImports {
				if under(f.dir, room) && anyUnder(dir, forbidden) {
					t.Errorf("%s imports %s: %s must not know it", f.path, dir, room)
				}
			}
			if under(dir, "integration") && !f.test && !anyUnder(f.dir, []string{"integration", "examples"}) {
				t.Errorf("%s imports %s: only tests and examples may", f.path, dir)
			}
		}
	}
}

// pure packages take readers, writers and byte slices; they open nothing and start nothing.
var pure = []string{"iroh/bao", "iroh/discovery/pkarr", "iroh/discovery/record", "iroh/internal/qad", "iroh/postcard", "iroh/ticket", "ipfs/unixfs", "mapping/layout"}

func TestPurePackagesDoNoInputOutput(t *testing.T) {
	forbidden := []string{"os", "net", "net/http", "os/exec", "syscall", "path/filepath"}
	for _, f := range sources(t, false) {
		if !anyUnder(f.dir, pure) {
			continue
		}
		for _, path := range f.imports {
			for _, bad := range forbidden {
				if path == bad {
					t.Errorf("%s imports %s, but %s is pure", f.path, path, f.dir)
				}
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine, but %s is pure", f.path, f.dir)
			}
			return true
		})
	}
}

// forbiddenPackages maps a package to the folders that may import it all the same.
var forbiddenPackages = map[string][]string{
	"unsafe":                             nil,
	"math/rand":                          nil, // v1: seeded globally, slow; use math/rand/v2 or crypto/rand
	"io/ioutil":                          nil,
	"net/http/pprof":                     nil, // it serves itself to everyone by being imported
	"log":                                nil, // structured logs only: log/slog
	"plugin":                             nil,
	"github.com/quic-go/webtransport-go": nil, // transports that are left out (CVE-2026-21434 and others)
	"github.com/pion/webrtc/v4":          nil,
	"github.com/stretchr/testify":        nil,
}

func TestForbiddenPackages(t *testing.T) {
	for _, f := range sources(t, true) {
		for _, path := range f.imports {
			for bad, allowed := range forbiddenPackages {
				if bad == "log" && strings.HasSuffix(f.path, "example_test.go") {
					continue // how an example ends on an error, as users would write it
				}
				if (path == bad || strings.Contains(bad, ".") && under(path, bad)) && !anyUnder(f.dir, allowed) {
					t.Errorf("%s imports %s", f.path, path)
				}
			}
		}
	}
}

func TestNoInsecureSettings(t *testing.T) {
	forbidden := map[string][]string{
		"InsecureSkipVerify":  {"iroh/rpktls"},
		"NullResourceManager": nil, // libp2p's limits must hold
		"KeyLogWriter":        nil,
	}
	for _, f := range sources(t, true) {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			name, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			if allowed, bad := forbidden[name.Name]; bad && !anyUnder(f.dir, allowed) {
				t.Errorf("%s uses %s", f.path, name.Name)
			}
			return true
		})
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	comments := map[string]string{}
	names := map[string]string{}
	for _, f := range sources(t, false) {
		names[f.dir] = f.syntax.Name.Name
		if f.syntax.Doc != nil {
			comments[f.dir] += f.syntax.Doc.Text()
		}
	}
	for dir, name := range names {
		want := "Package " + name + " "
		if name == "main" {
			want = "Command " + filepath.Base(dir) + " "
		}
		if !strings.HasPrefix(comments[dir], want) {
			t.Errorf("%s: the package comment does not begin with %q", dir, want)
		}
	}
}

func TestEveryExportedNameHasAComment(t *testing.T) {
	for _, f := range sources(t, false) {
		if f.syntax.Name.Name == "main" {
			continue
		}
		for _, decl := range f.syntax.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s: %s has no comment", f.path, name)
			}
		}
	}
}

// undocumented returns the exported names of a declaration that no comment explains. A comment on a group counts for
// constants and variables, not for types and functions.
func undocumented(decl ast.Decl) []string {
	var names []string
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !standardMethod[d.Name.Name] {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// standardMethod are methods whose meaning an interface of the standard library gives.
var standardMethod = map[string]bool{
	"Error": true, "Unwrap": true, "Is": true, "String": true, "Close": true, "Read": true, "Write": true,
	"ReadAt": true, "WriteAt": true, "Len": true, "Less": true, "Swap": true, "MarshalText": true,
	"UnmarshalText": true, "MarshalJSON": true, "UnmarshalJSON": true, "GoString": true, "Format": true, "LogValue": true,
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	kind := d.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.Ident:
			return k.IsExported()
		default:
			return true
		}
	}
}

// Our own measure of small. A package is measured without its comments and blank lines, since the comments are its
// specification; functions and files are measured as they are. Contract suites are tests.
const (
	maxFunction = 70
	maxFile     = 400
	maxPackage  = 1500
)

var contractSuites = []string{"mapping/mappingtest"}

func TestEverythingIsSmall(t *testing.T) {
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]int{}
	for _, f := range sources(t, false) {
		if anyUnder(f.dir, contractSuites) {
			continue
		}
		packages[f.dir] += f.code
		if f.lines > maxFile {
			t.Errorf("%s has %d lines, more than %d", f.path, f.lines, maxFile)
		}
		for _, decl := range f.syntax.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := tree.fset.Position(d.End()).Line - tree.fset.Position(d.Pos()).Line + 1
			if lines > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", f.path, d.Name.Name, lines, maxFunction)
			}
		}
	}
	for dir, lines := range packages {
		if lines > maxPackage {
			t.Errorf("%s has %d lines of code, more than %d", dir, lines, maxPackage)
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, f := range sources(t, true) {
		for _, decl := range f.syntax.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
				t.Errorf("%s has an init function", f.path)
			}
		}
	}
}

// machinePaths are folders that exist on somebody's machine only.
var machinePaths = regexp.MustCompile(`(^|[^A-Za-z0-9_.$}])/(` + strings.Join([]string{"root", "work", "home/[a-z]+", "Users/[A-Za-z]+"}, "|") + `)/`)

func TestNoPathsOfAMachine(t *testing.T) {
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = walk(tree.root, func(path string) error {
		if strings.Contains(path, "testdata/fuzz/") {
			return nil
		}
		seen++
		return eachLine(filepath.Join(tree.root, path), func(number int, line string) {
			if machinePaths.MatchString(line) {
				t.Errorf("%s:%d names a path of a machine: %.100s", path, number, line)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d files were read", seen)
	}
}

func eachLine(name string, visit func(number int, line string)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for number := 1; lines.Scan(); number++ {
		visit(number, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func TestMachinePathPattern(t *testing.T) {
	for text, want := range map[string]bool{
		"see /ro" + "ot/x": true, `"/wo` + `rk/main"`: true, "/ho" + "me/someone/x": true,
		"bridge/root/x": false, "$HOME/x": false, "/data/x": false,
	} {
		if machinePaths.MatchString(text) != want {
			t.Errorf("%q: matched %v, want %v", text, !want, want)
		}
	}
}
