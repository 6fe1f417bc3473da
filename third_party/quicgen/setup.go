package main

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// setupCheck walks setupFile and collects the three places to edit.
type setupCheck struct {
	*release
	field   *ast.StarExpr // the type of cryptoSetup.conn
	edits   []edit
	made    []string        // constructors seen
	methods map[string]bool // methods seen
	err     error
}

// checkSetup checks every use of the engine in setupFile. Expected are: one field `conn *tls.QUICConn` in cryptoSetup;
// one call each of tls.QUICClient and tls.QUICServer, assigned to that field; and besides only calls of the eight
// methods on that field, each of them at least once.
func (r *release) checkSetup(f *ast.File) ([]edit, error) {
	if importName(f) != "tls" {
		return nil, r.differs(f.Name, "expected crypto/tls to be imported as tls")
	}
	c := &setupCheck{release: r, methods: map[string]bool{}}
	if err := c.findField(f); err != nil {
		return nil, err
	}
	ast.PreorderStack(f, nil, func(n ast.Node, stack []ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && c.err == nil {
			c.selector(s, stack)
		}
		return c.err == nil
	})
	if c.err != nil {
		return nil, c.err
	}
	for _, name := range slices.Sorted(maps.Keys(constructors)) {
		if !slices.Contains(c.made, name) {
			return nil, r.differs(f.Name, "expected one call of tls.%s in this file, found none", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(engineMethods)) {
		if !c.methods[name] {
			return nil, r.differs(c.field, "expected a call of conn.%s in this file, found none", name)
		}
	}
	return c.edits, nil
}

// findField finds the field conn of the struct cryptoSetup.
func (c *setupCheck) findField(f *ast.File) error {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range g.Specs {
			t, ok := s.(*ast.TypeSpec)
			if !ok || t.Name.Name != "cryptoSetup" {
				continue
			}
			st, ok := t.Type.(*ast.StructType)
			if !ok {
				return c.differs(t, "expected cryptoSetup to be a struct")
			}
			return c.findFieldIn(st)
		}
	}
	return c.differs(f.Name, "expected a struct cryptoSetup in this file")
}

func (c *setupCheck) findFieldIn(st *ast.StructType) error {
	for _, field := range st.Fields.List {
		if len(field.Names) != 1 || field.Names[0].Name != "conn" {
			continue
		}
		star, ok := field.Type.(*ast.StarExpr)
		if !ok || !isSelector(star.X, "tls", "QUICConn") {
			return c.differs(field, "expected the field conn to have the type *tls.QUICConn")
		}
		c.field = star
		c.edits = append(c.edits, edit{star, "quicConn"})
		return nil
	}
	return c.differs(st, "expected cryptoSetup to have a field conn of the type *tls.QUICConn")
}

// selector looks at one selector expression; stack holds the nodes around it, the innermost last.
func (c *setupCheck) selector(s *ast.SelectorExpr, stack []ast.Node) {
	switch {
	case isSelector(s, "tls", "QUICConn"):
		if s != c.field.X {
			c.err = c.differs(s, "expected tls.QUICConn only as the type of the field conn")
		}
	case isSelector(s, "tls", "QUICClient", "QUICServer"):
		c.constructor(s, stack)
	case s.Sel.Name == "conn":
		c.use(s, stack)
	}
}

// constructor expects X.conn = tls.QUICClient(one argument), or the same with QUICServer.
func (c *setupCheck) constructor(s *ast.SelectorExpr, stack []ast.Node) {
	name := s.Sel.Name
	call, ok := parent(stack, 1).(*ast.CallExpr)
	if !ok || call.Fun != ast.Expr(s) || len(call.Args) != 1 {
		c.err = c.differs(s, "expected tls.%s only as a call with one argument", name)
		return
	}
	assign, ok := parent(stack, 2).(*ast.AssignStmt)
	if !ok || len(assign.Lhs) != 1 || !strings.HasSuffix(selectorText(assign.Lhs[0]), ".conn") {
		c.err = c.differs(s, "expected the result of tls.%s to be assigned to the field conn", name)
		return
	}
	if slices.Contains(c.made, name) {
		c.err = c.differs(s, "expected one call of tls.%s, found a second one", name)
		return
	}
	c.made = append(c.made, name)
	c.edits = append(c.edits, edit{s, constructors[name]})
}

// use expects X.conn.METHOD(arguments), or X.conn on the left of an assignment of a constructor's result.
func (c *setupCheck) use(s *ast.SelectorExpr, stack []ast.Node) {
	switch p := parent(stack, 1).(type) {
	case *ast.SelectorExpr:
		call, ok := parent(stack, 2).(*ast.CallExpr)
		if !ok || call.Fun != ast.Expr(p) {
			c.err = c.differs(s, "expected conn.%s only as a call", p.Sel.Name)
			return
		}
		args, ok := engineMethods[p.Sel.Name]
		if !ok {
			c.err = c.differs(s, "conn.%s is not one of the eight methods that an engine has", p.Sel.Name)
			return
		}
		if len(call.Args) != args {
			c.err = c.differs(s, "expected conn.%s to be called with %d arguments, found %d", p.Sel.Name, args, len(call.Args))
			return
		}
		c.methods[p.Sel.Name] = true
	case *ast.AssignStmt:
		call, ok := p.Rhs[0].(*ast.CallExpr)
		if len(p.Lhs) != 1 || p.Lhs[0] != ast.Expr(s) || !ok || !isSelector(call.Fun, "tls", "QUICClient", "QUICServer") {
			c.err = c.differs(s, "expected the field conn to be set to the result of tls.QUICClient or tls.QUICServer only")
		}
	default:
		c.err = c.differs(s, "expected the field conn to be used only to call methods on it")
	}
}

// parent returns the n-th node around, 1 being the innermost.
func parent(stack []ast.Node, n int) ast.Node {
	if len(stack) < n {
		return nil
	}
	return stack[len(stack)-n]
}

// selectorText is "x.y" for such a selector and "" for everything else.
func selectorText(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}
