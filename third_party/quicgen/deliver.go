package main

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/printer"
)

const deliverFile = "transport_deliver.go"

//go:embed deliver.go.txt
var deliver []byte

// halves are the methods that Deliver takes the place of, and the one that it splits in two, with the SHA-256 of their text
// without comments. The compiler finds what has another name or type in another release; this finds what does something else.
var halves = []struct{ file, receiver, name, sum string }{
	{"transport.go", "Transport", "listen", "81691811f1d1efd285242d27e3e8e544b87455f60c35373cd40c1dc84b1922c2"},
	{"transport.go", "Transport", "handlePacket", "45e2f1b36e52d13d51787ded8a8f1d9c01a7147381414728e2092939e31e2069"},
	{"connection.go", "Conn", "handlePacket", "56df5de34ad0c3207cb0245eeff2015b7a9156657ddee3ba1204a9611ef08957"},
}

// checkDeliver checks that these methods are the known ones, and that the names of the added file are free.
func (r *release) checkDeliver() error {
	if _, ok := r.files[deliverFile]; ok {
		return fmt.Errorf("%s: expected no such file, its name is taken by the added one", deliverFile)
	}
	for _, h := range halves {
		f := r.files[h.file]
		if f == nil {
			return r.missing(h.file)
		}
		d := method(f, h.receiver, h.name)
		if d == nil {
			return r.differs(f.Name, "expected a method %s.%s in this file, found none", h.receiver, h.name)
		}
		code := *d
		code.Doc = nil
		sum := sha256.New()
		if err := printer.Fprint(sum, r.fset, &code); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != h.sum {
			return r.differs(d, "%s.%s is not the known one: see whether deliver.go.txt still does the same, then expect %s",
				h.receiver, h.name, got)
		}
	}
	return nil
}

// method returns the declaration of a method with a pointer receiver, or nil.
func method(f *ast.File, receiver, name string) *ast.FuncDecl {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv == nil || fn.Name.Name != name {
			continue
		}
		if star, ok := fn.Recv.List[0].Type.(*ast.StarExpr); ok && isIdent(star.X, receiver) {
			return fn
		}
	}
	return nil
}
