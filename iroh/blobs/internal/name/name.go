// Package name judges the names in a collection, which a stranger chose and which may become paths below a folder of ours. It is pure.
package name

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// ErrName says that a name in a collection is not one that may become a path.
var ErrName = errors.New("blobs: name is not a clean relative path")

// maxPart and maxLength are what file systems in use take for one part and for a whole path. Longer names cannot be exported.
const (
	maxPart   = 255
	maxLength = 4096
)

// Valid tells whether a name may be used as a path: see ValidName of package blobs. The error wraps [ErrName].
func Valid(name string) error {
	switch {
	case name == "":
		return nameError(name, "empty")
	case len(name) > maxLength:
		return nameError(name, fmt.Sprintf("longer than %d bytes", maxLength))
	case !utf8.ValidString(name):
		return nameError(name, "not UTF-8")
	case strings.IndexByte(name, 0) >= 0:
		return nameError(name, "contains NUL")
	case strings.IndexByte(name, '\\') >= 0:
		return nameError(name, "contains a backslash")
	case name[0] == '/':
		return nameError(name, "absolute")
	case len(name) >= 2 && name[1] == ':' && isLetter(name[0]):
		return nameError(name, "begins with a drive letter")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return nameError(name, "has an empty part")
		case part == "." || part == "..":
			return nameError(name, "has a part "+part)
		case len(part) > maxPart:
			return nameError(name, fmt.Sprintf("has a part of more than %d bytes", maxPart))
		}
	}
	return nil
}

// ValidAll checks every name, and that no two of them are the same path and none is a folder of another.
func ValidAll(names []string) error {
	for _, name := range names {
		if err := Valid(name); err != nil {
			return err
		}
	}
	sorted := slices.Clone(names)
	slices.SortFunc(sorted, Compare)
	for i := 1; i < len(sorted); i++ {
		above, name := sorted[i-1], sorted[i]
		if above == name {
			return nameError(name, "is there twice")
		}
		if len(name) > len(above) && name[len(above)] == '/' && name[:len(above)] == above {
			return nameError(above, "is both a file and a folder")
		}
	}
	return nil
}

// Compare orders names part by part (the slash before all else), so that what lies below a name follows it directly. It is less
// than, equal to or greater than 0, as in slices.SortFunc.
func Compare(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' {
			return -1
		}
		if b[i] == '/' {
			return 1
		}
		return int(a[i]) - int(b[i])
	}
	return len(a) - len(b)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func nameError(name, why string) error {
	const shown = 120
	if len(name) > shown {
		name = name[:shown] + "…"
	}
	return fmt.Errorf("%w: %q %s", ErrName, name, why)
}
