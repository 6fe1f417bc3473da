package blobs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// ErrName says that a name in a collection is not one that may become a path.
var ErrName = errors.New("blobs: name is not a clean relative path")

// ValidName tells whether a name from a collection may be used as a path below a folder of ours: parts of 1 to 255
// bytes joined by single slashes, valid UTF-8, 4,096 bytes in all. Refused are "." and "..", absolute names,
// backslashes and drive letters (paths on Windows) and NUL. The error wraps [ErrName] and quotes the name. sendme's
// receiver checks none of this (0.37.1); the provider chooses the names, so the receiver has to.
//
// A valid name may still lead through a symbolic link that was there before: write through [os.Root].
func ValidName(name string) error {
	switch {
	case name == "":
		return nameError(name, "empty")
	case len(name) > maxName:
		return nameError(name, fmt.Sprintf("longer than %d bytes", maxName))
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
		case len(part) > maxNamePart:
			return nameError(name, fmt.Sprintf("has a part of more than %d bytes", maxNamePart))
		}
	}
	return nil
}

// validNames checks every name, and that no two of them are the same path and none is a folder of another.
func validNames(names []string) error {
	for _, name := range names {
		if err := ValidName(name); err != nil {
			return err
		}
	}
	sorted := slices.Clone(names)
	slices.SortFunc(sorted, ComparePaths)
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

// ComparePaths orders names part by part (the slash before all else), so that what lies below a name follows it directly. It is less
// than, equal to or greater than 0, as in slices.SortFunc.
func ComparePaths(a, b string) int {
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
