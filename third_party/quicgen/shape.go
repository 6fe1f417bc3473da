package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// engineMethods are the methods of tls.QUICConn that setupFile calls, with their number of arguments.
var engineMethods = map[string]int{
	"Start": 1, "Close": 0, "NextEvent": 0, "HandleData": 2, "SetTransportParameters": 1,
	"SendSessionTicket": 1, "StoreSession": 1, "ConnectionState": 0,
}

// constructors maps the functions of crypto/tls that make an engine to ours.
var constructors = map[string]string{"QUICClient": "newQUICClient", "QUICServer": "newQUICServer"}

// seamNames are declared by the added file.
var seamNames = []string{"quicConn", "quicEngine", "newQUICClient", "newQUICServer"}

// A release is the parsed source of the copied module. Keys are slash-separated paths below its root.
type release struct {
	fset  *token.FileSet
	files map[string]*ast.File
}

func parseRelease(dir string) (*release, error) {
	r := &release{fset: token.NewFileSet(), files: map[string]*ast.File{}}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(r.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		r.files[filepath.ToSlash(rel)] = f
		return nil
	})
	return r, err
}

// checkEngine compares the release with what the change of the engine relies on and returns the edits to setupFile.
func (r *release) checkEngine() ([]edit, error) {
	setup, ok := r.files[setupFile]
	if !ok {
		return nil, r.missing(setupFile)
	}
	if _, ok := r.files[seamFile]; ok {
		return nil, fmt.Errorf("%s: expected no such file, its name is taken by the added one", seamFile)
	}
	edits, err := r.checkSetup(setup)
	if err != nil {
		return nil, err
	}
	configs := 0
	for _, name := range r.names() {
		n, err := r.checkFile(name)
		if err != nil {
			return nil, err
		}
		configs += n
	}
	if configs == 0 {
		return nil, fmt.Errorf("internal/handshake: expected tls.QUICConfig literals with TLSConfig: tlsConf, found none")
	}
	return edits, nil
}

// checkFile looks at what no file but setupFile may do, and at how configurations reach the engine. It returns the
// number of tls.QUICConfig literals.
func (r *release) checkFile(name string) (configs int, err error) {
	f := r.files[name]
	inHandshake := path.Dir(name) == path.Dir(setupFile)
	if inHandshake {
		if err := r.checkDecls(f); err != nil {
			return 0, err
		}
	}
	tlsName := importName(f)
	ast.PreorderStack(f, nil, func(n ast.Node, stack []ast.Node) bool {
		if err != nil {
			return false
		}
		switch n := n.(type) {
		case *ast.SelectorExpr:
			switch {
			case name != setupFile && isSelector(n, tlsName, "QUICConn", "QUICClient", "QUICServer"):
				err = r.differs(n, "%s.%s is expected in %s only", tlsName, n.Sel.Name, setupFile)
			case name != setupFile && inHandshake && n.Sel.Name == "conn":
				err = r.differs(n, "the field conn is expected to be used in %s only", setupFile)
			}
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				if s, ok := l.(*ast.SelectorExpr); ok && s.Sel.Name == "Rand" {
					err = r.differs(n, "the Rand of a tls.Config carries the engine and is expected to be left alone")
				}
			}
		case *ast.CompositeLit:
			if isSelector(n.Type, tlsName, "QUICConfig") {
				configs++
				err = r.checkConfig(n)
			}
		}
		return true
	})
	return configs, err
}

// checkDecls refuses names that collide with the added file, and setup functions that return something else than the
// configuration they were given or its clone (a new one would lose Rand).
func (r *release) checkDecls(f *ast.File) error {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && slices.Contains(seamNames, d.Name.Name) {
				return r.differs(d, "the name %s is taken by the added file", d.Name.Name)
			}
			if strings.HasPrefix(d.Name.Name, "setupConfigFor") {
				if err := r.checkSetupConfig(d); err != nil {
					return err
				}
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				for _, name := range specNames(s) {
					if slices.Contains(seamNames, name) {
						return r.differs(s, "the name %s is taken by the added file", name)
					}
				}
			}
		}
	}
	return nil
}

func (r *release) checkSetupConfig(d *ast.FuncDecl) (err error) {
	ast.Inspect(d.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if len(n.Results) != 1 || !isIdent(n.Results[0], "conf") {
				err = r.differs(n, "%s is expected to return conf", d.Name.Name)
			}
		case *ast.AssignStmt:
			if len(n.Lhs) != 1 || !isIdent(n.Lhs[0], "conf") {
				return true
			}
			call, ok := n.Rhs[0].(*ast.CallExpr)
			if !ok || !isSelector(call.Fun, "conf", "Clone") {
				err = r.differs(n, "%s is expected to set conf to nothing but conf.Clone()", d.Name.Name)
			}
		}
		return err == nil
	})
	return err
}

func (r *release) checkConfig(lit *ast.CompositeLit) error {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok && isIdent(kv.Key, "TLSConfig") && isIdent(kv.Value, "tlsConf") {
			return nil
		}
	}
	return r.differs(lit, "expected TLSConfig: tlsConf in the tls.QUICConfig")
}

func (r *release) missing(file string) error { return fmt.Errorf("%s: expected this file", file) }

// differs is the error for a place that does not have the expected shape.
func (r *release) differs(n ast.Node, format string, args ...any) error {
	p := r.fset.Position(n.Pos())
	name := p.Filename
	for rel, f := range r.files {
		if r.fset.File(f.FileStart).Name() == p.Filename {
			name = rel
		}
	}
	return fmt.Errorf("%s:%d: %s", name, p.Line, fmt.Sprintf(format, args...))
}

// names returns the files in a fixed order, so that the same difference is always the first.
func (r *release) names() []string {
	var names []string
	for name := range r.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// importName returns the name under which f imports crypto/tls, or "".
func importName(f *ast.File) string {
	for _, i := range f.Imports {
		if i.Path.Value == `"crypto/tls"` {
			if i.Name != nil {
				return i.Name.Name
			}
			return "tls"
		}
	}
	return ""
}

func specNames(s ast.Spec) []string {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return []string{s.Name.Name}
	case *ast.ValueSpec:
		var names []string
		for _, n := range s.Names {
			names = append(names, n.Name)
		}
		return names
	}
	return nil
}

func isIdent(e ast.Node, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// isSelector reports whether e is x.NAME for one of the names.
func isSelector(e ast.Node, x string, names ...string) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && x != "" && isIdent(s.X, x) && slices.Contains(names, s.Sel.Name)
}
