package name

import (
	"errors"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzValidAll takes names, one a line: those that pass are clean paths below a folder, all different, none below another's
// file, and Compare puts them in an order in which everything below a folder stands together.
func FuzzValidAll(f *testing.F) {
	for _, names := range []string{
		"a", "a\nb", "a/b\na/c\nb", "z\na-b\na/z\nb/c/d\na/y\na b", "a\na/b", "a\na", "..", "a/../b", "/a", "a//b", "C:\\a", "c:a",
		"a\x00", "\xff", "\xed\xa0\x80", strings.Repeat("x", 256), "\u00e9", "aux.txt", "...", " ", "a.", "a/\u202e",
	} {
		f.Add(names)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names := strings.Split(text, "\n")
		err := ValidAll(names)
		if err != nil {
			if !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", names, err)
			}
			return
		}
		seen := map[string]bool{}
		for _, name := range names {
			if !filepath.IsLocal(name) || path.Clean(name) != name || seen[name] {
				t.Errorf("%q passes", name)
			}
			seen[name] = true
		}
		for _, name := range names {
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				if seen[dir] {
					t.Errorf("%q is a file, and a folder of %q", dir, name)
				}
			}
		}
		sorted := slices.Clone(names)
		slices.SortFunc(sorted, Compare)
		tops := map[string]bool{}
		last := ""
		for i, name := range sorted {
			if i > 0 && (Compare(sorted[i-1], name) >= 0 || Compare(name, sorted[i-1]) <= 0) {
				t.Errorf("%q and %q are in no order", sorted[i-1], name)
			}
			top, _, _ := strings.Cut(name, "/")
			if top != last && tops[top] {
				t.Errorf("the folder %q is torn apart in %q", top, sorted)
			}
			tops[top], last = true, top
		}
	})
}
