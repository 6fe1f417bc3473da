package main

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// hostileNames lead out of the folder, are another path than they look, or cannot be a file's.
func hostileNames() []string {
	long := strings.Repeat("x", 256)
	return []string{
		"", ".", "..", "/", "//", "///", "./", "../", "/.", "/..", ".//", "..//",
		"a/..", "a/.", "../a", "./a", "a/../b", "a/./b", "a//b", "a//", "/a", "//a", "///a", ".././a", "./../a", "...//a", "a/b//",
		"a/../../b", "a/..//b", "a/b/..", "a/b/../..", "a/b/../../..", "a/b/../../../c", "a/../../../../../../b", "./a/../../b",
		"../../../../etc/passwd", "/etc/passwd", "//etc/passwd", "/../etc/passwd", "/a/../b", "../outside", "../outside/x",
		"a/../../outside/x", "../out/x", "a/b/../../../outside/x", "/./a", "./.", "./..", "../.", "../..", "../../..",
		"a\xff/../../b", "über/../../b", "..\\/../b", "a\\../../../b", "C:/../../b", "c:/a/../../../b",
		long, "a/" + long, long + "/a", "a/" + long + "/b", strings.Repeat("../", 100) + "a",
	}
}

// oddNames are those of other systems' paths, and no more than names where a backslash, a colon and a byte are nothing special.
func oddNames() []string {
	return []string{
		"\\", "..\\a", "a\\..\\b", "\\a", "a\\b", "\\\\server\\share", "\\\\?\\C:\\a", "a/b\\c", "dir\\", ".\\", "..\\..\\outside\\x",
		"C:", "c:a", "C:\\a", "C:/a", "A:..", "E:\\..\\a", "\xff", "a\xc0\xaf..", "\xed\xa0\x80", "a/\xf0\x82\x82\xac", "\xc0\xae\xc0\xae/a",
		"a\nb", "\x1b[31m", "\u202egpj.exe", "...", "..a", "a..", ".hidden", "-rf", "con", " ",
	}
}

// rawTar is a stream of an empty entry, with a name that no writer of tar streams would take.
func rawTar(typ byte, name, target string) []byte {
	block := func(typ byte, name, target string, size int) []byte {
		b := make([]byte, 512)
		copy(b[:100], name)
		copy(b[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00        %c", 0o644, 0, 0, size, 0, typ))
		copy(b[157:257], target)
		copy(b[257:], "ustar\x0000")
		sum := 0
		for _, c := range b {
			sum += int(c)
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
		return b
	}
	record := " path=" + name + "\n"
	size := len(record)
	for len(strconv.Itoa(size))+len(record) != size {
		size = len(strconv.Itoa(size)) + len(record)
	}
	record = strconv.Itoa(size) + record
	stream := append(block('x', "names", "", len(record)), record...)
	stream = append(stream, make([]byte, -len(stream)&511)...)
	return append(append(stream, block(typ, name, target, 0)...), make([]byte, 1024)...)
}

// inFolder makes a folder with another one beside the place for output, which is returned.
func inFolder(t *testing.T) (dir, out string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "outside"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "out")
}

// left lists what is under a folder, below which "outside" must be empty.
func left(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			all = append(all, strings.TrimPrefix(path, dir+string(filepath.Separator)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestExtractNamesWhatItRefuses sends every hostile name as a file, a folder and a link, after something good: the error names it, and
// nothing is written, neither inside nor out.
func TestExtractNamesWhatItRefuses(t *testing.T) {
	names := hostileNames()
	if len(names) < 60 {
		t.Fatalf("only %d names", len(names))
	}
	for _, name := range names {
		for kind, typ := range map[string]byte{"file": tar.TypeReg, "folder": tar.TypeDir, "link": tar.TypeSymlink} {
			said := name
			if kind == "folder" && strings.HasSuffix(name, "/") {
				said = strings.TrimSuffix(name, "/") // which is how a folder is written
				if checkEntry(said) == nil {
					t.Fatalf("%q is no hostile folder", name)
				}
			}
			dir, out := inFolder(t)
			good := tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "good", Size: 1})
			stream := append(good[:len(good)-1024], rawTar(typ, name, "target")...) // without its end
			err := testApp().write(reading{tar: stream}, out)
			if err == nil {
				t.Errorf("%s %.40q: accepted", kind, name)
			} else if shown := strings.TrimSuffix(fmt.Sprintf("%.80q", said), `"`); !strings.Contains(err.Error(), shown) {
				t.Errorf("%s %.40q is not named in %.200q", kind, name, err.Error())
			}
			if all := left(t, dir); !slices.Equal(all, []string{"outside"}) {
				t.Errorf("%s %.40q: left %q", kind, name, all)
			}
		}
	}
}

// TestExtractKeepsOddNames: a name that is strange but leads nowhere is written as it is, inside, or refused and named.
func TestExtractKeepsOddNames(t *testing.T) {
	for _, name := range oddNames() {
		dir, out := inFolder(t)
		err := testApp().write(reading{tar: tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 1})}, out)
		switch {
		case err == nil:
			if data, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name))); err != nil || string(data) != "x" {
				t.Errorf("%q: %q, %v", name, data, err)
			}
		case runtime.GOOS == "linux" || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)):
			t.Errorf("%q: %v", name, err)
		}
		for _, path := range left(t, dir) {
			if path != "outside" && path != "out" && !strings.HasPrefix(path, "out"+string(filepath.Separator)) {
				t.Errorf("%q: %q is outside", name, path)
			}
		}
	}
}

// TestExtractNUL: no tar stream can carry a NUL in a name; one that tries is broken.
func TestExtractNUL(t *testing.T) {
	for _, name := range []string{"\x00", "a\x00", "a\x00b", "\x00/a", "a/\x00/b", "a/b\x00.txt", "a\x00/../../b"} {
		dir, out := inFolder(t)
		if err := testApp().write(reading{tar: rawTar(tar.TypeReg, name, "")}, out); err == nil {
			t.Errorf("%q: accepted", name)
		}
		if all := left(t, dir); !slices.Equal(all, []string{"outside"}) {
			t.Errorf("%q: left %q", name, all)
		}
	}
}

// TestExtractLinkParents: nothing goes through a link, whatever the order and the kind of what would.
func TestExtractLinkParents(t *testing.T) {
	for _, target := range []string{"../outside", "..", "/", ".", "a", "d"} {
		link := tar.Header{Typeflag: tar.TypeSymlink, Name: "d", Linkname: target}
		for _, through := range []tar.Header{
			{Typeflag: tar.TypeReg, Name: "d/x", Size: 1}, {Typeflag: tar.TypeDir, Name: "d/x/"}, {Typeflag: tar.TypeDir, Name: "d/"},
			{Typeflag: tar.TypeSymlink, Name: "d/x", Linkname: "y"}, {Typeflag: tar.TypeReg, Name: "d", Size: 1}, {Typeflag: tar.TypeSymlink, Name: "d", Linkname: "y"},
		} {
			for _, headers := range [][]tar.Header{{link, through}, {through, link}} {
				dir, out := inFolder(t)
				err := testApp().write(reading{tar: tarOf(t, headers...)}, out)
				if all := left(t, dir); err == nil || !slices.Equal(all, []string{"outside"}) {
					t.Errorf("link to %q and %q of type %c: %v, left %q", target, through.Name, through.Typeflag, err, all)
				}
			}
		}
	}
}
