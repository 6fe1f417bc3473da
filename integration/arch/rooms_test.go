package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A room is a row of the table in docs/architecture.md: a folder, and what it may import of ours besides what is inside
// it. Folders without a row belong to the nearest one above.
type room struct {
	dir      string
	mayHave  []string // "x" is the package x, "x/..." also what is below it
	anything bool
}

var quoted = regexp.MustCompile("`([^`]+)`")

// rooms reads the table.
func rooms(text string) (out []room) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || !strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			continue
		}
		var may []string
		for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
			may = append(may, m[1])
		}
		names := quoted.FindAllStringSubmatch(cells[0], -1)
		if strings.Contains(cells[2], "each other") {
			for _, m := range names {
				may = append(may, m[1]+"/...")
			}
		}
		for _, m := range names {
			out = append(out, room{m[1], may, strings.Contains(cells[2], "anything") || strings.Contains(cells[2], "its own module")})
		}
	}
	return out
}

// roomOf finds the nearest row.
func roomOf(all []room, dir string) (found room, ok bool) {
	for _, r := range all {
		if under(dir, r.dir) && len(r.dir) >= len(found.dir) {
			found, ok = r, true
		}
	}
	return found, ok
}

func (r room) allows(dir string) bool {
	return r.anything || under(dir, r.dir) || slices.ContainsFunc(r.mayHave, func(p string) bool {
		below, all := strings.CutSuffix(p, "/...")
		return dir == p || all && under(dir, below)
	})
}

func TestRoomsImportWhatTheirRowSays(t *testing.T) {
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(tree.root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := rooms(string(text))
	if len(all) < 20 {
		t.Fatalf("only %d rooms in the table", len(all))
	}
	for _, r := range all {
		if info, err := os.Stat(filepath.Join(tree.root, r.dir)); err != nil || !info.IsDir() {
			t.Errorf("the table has a room %s that is not there", r.dir)
		}
	}
	for _, f := range sources(t, false) {
		r, ok := roomOf(all, f.dir)
		if !ok {
			if !under(f.dir, "examples") {
				t.Errorf("%s is in no room of the table", f.path)
			}
			continue
		}
		for _, path := range f.imports {
			if dir, ours := strings.CutPrefix(path, module+"/"); ours && !r.allows(dir) {
				t.Errorf("%s imports %s: the row of %s in docs/architecture.md does not say so", f.path, dir, r.dir)
			}
		}
	}
}

func TestRoomsCheckSeesTheMistakes(t *testing.T) {
	all := rooms("| folder | what | may import |\n|---|---|---|\n| `a` | x | `b/...`, `c` |\n| `a/sub` | y | |\n| `t`, `u` | z | anything |\n")
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"a", "b", true}, {"a", "b/x", true}, {"a", "c", true}, {"a", "c/x", false}, {"a", "d", false}, {"a", "a/sub", true}, {"a/other", "b", true},
		{"a/sub", "b", false}, {"a/sub", "a", false}, {"a/sub/x", "a/sub", true}, {"u", "d", true},
	} {
		r, ok := roomOf(all, c.from)
		if !ok || r.allows(c.to) != c.want {
			t.Errorf("%s imports %s: allowed %v, want %v", c.from, c.to, r.allows(c.to), c.want)
		}
	}
	if _, ok := roomOf(all, "ab"); ok {
		t.Error("ab is in a room")
	}
}
