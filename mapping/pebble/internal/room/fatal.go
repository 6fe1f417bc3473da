package room

import (
	"runtime"
	"strings"
)

// Fatal is an error with which an engine gives up, in its words. It is the errors that it names.
type Fatal struct {
	Text   string
	Causes []any // what the text was made from
}

func (f Fatal) Error() string { return f.Text }

// Unwrap returns the errors among the causes.
func (f Fatal) Unwrap() (all []error) {
	for _, c := range f.Causes {
		if err, ok := c.(error); ok {
			all = append(all, err)
		}
	}
	return all
}

// CalledBy tells whether one of a package's functions, named by how they begin, is on the stack: then the engine was
// called by it, and its deferred recover awaits a panic.
func CalledBy(pkg string, names ...string) bool {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		f, more := frames.Next()
		for _, name := range names {
			if strings.HasPrefix(f.Function, pkg+"."+name) {
				return true
			}
		}
		if !more {
			return false
		}
	}
}
