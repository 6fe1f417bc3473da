package main

import (
	"go/ast"
	"go/token"
	"strconv"
)

const (
	paramsFile = "internal/protocol/params.go"
	serverFile = "server.go"
	acceptSize = "MaxAcceptQueueSize"
	retryQueue = "retryQueue"
	// queueSize is the new length of both queues.
	queueSize = 1024
)

// checkQueues checks that the length of the queue of complete connections is a constant, 32, which is used for just that, and
// that the queue of packets that are answered by a Retry is made with room for 8. It returns the edits to paramsFile and to
// serverFile that make them longer.
func (r *release) checkQueues() (params, server []edit, err error) {
	for _, name := range []string{paramsFile, serverFile} {
		if r.files[name] == nil {
			return nil, nil, r.missing(name)
		}
	}
	f := r.files[paramsFile]
	size := constant(f, acceptSize)
	if size == nil {
		return nil, nil, r.differs(f.Name, "expected a constant %s in this file, found none", acceptSize)
	}
	if !isInt(size, 32) {
		return nil, nil, r.differs(size, "expected %s to be 32", acceptSize)
	}
	f = r.files[serverFile]
	if len(queues(f, func(length ast.Expr) bool { return isSelector(length, "protocol", acceptSize) })) == 0 {
		return nil, nil, r.differs(f.Name, "expected a channel with room for protocol.%s in this file, found none", acceptSize)
	}
	retries := queues(f, func(length ast.Expr) bool { return isInt(length, 8) })
	if len(retries) != 1 || !isIdent(retries[0].Key, retryQueue) {
		return nil, nil, r.differs(f.Name, "expected just %s to be a channel with room for 8 in this file", retryQueue)
	}
	text := strconv.Itoa(queueSize)
	return []edit{{size, text}}, []edit{{retries[0].Value.(*ast.CallExpr).Args[1], text}}, nil
}

// queues returns the fields of composite literals that are set to make(chan T, LENGTH).
func queues(f *ast.File, length func(ast.Expr) bool) (out []*ast.KeyValueExpr) {
	ast.Inspect(f, func(n ast.Node) bool {
		kv, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		call, ok := kv.Value.(*ast.CallExpr)
		if ok && isIdent(call.Fun, "make") && len(call.Args) == 2 && length(call.Args[1]) {
			if _, ok := call.Args[0].(*ast.ChanType); ok {
				out = append(out, kv)
			}
		}
		return true
	})
	return out
}

// constant returns the value of a constant that is declared alone, or nil.
func constant(f *ast.File, name string) ast.Expr {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			if len(v.Names) == 1 && v.Names[0].Name == name && len(v.Values) == 1 {
				return v.Values[0]
			}
		}
	}
	return nil
}

func isInt(e ast.Expr, n int) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.INT && lit.Value == strconv.Itoa(n)
}
