package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/bridge"
)

// reading is content made for a test.
type reading struct {
	tar  []byte
	file []byte
	fail error
}

func (r reading) Folder() bool             { return r.tar != nil }
func (r reading) Describe() bridge.Content { return bridge.Content{CID: "bafytest"} }
func (r reading) Close() error             { return nil }
func (r reading) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(append(append([]byte{}, r.tar...), r.file...))
	if err == nil {
		err = r.fail
	}
	return int64(n), err
}

func tarOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		h.Format = tar.FormatPAX
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		body := strings.Repeat("x", int(h.Size))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func testApp() *app { return &app{stdout: io.Discard, stderr: io.Discard} }

func TestExtractWritesFilesFoldersLinksModesAndTimes(t *testing.T) {
	when := time.Unix(1700000000, 123000000)
	out := filepath.Join(t.TempDir(), "out")
	err := testApp().write(reading{tar: tarOf(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "empty/", Mode: 0o700},
		tar.Header{Typeflag: tar.TypeReg, Name: "a/b\nc", Size: 3, Mode: 0o755, ModTime: when},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "a/link", Linkname: "../elsewhere"},
	)}, out)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(out, "a", "b\nc"))
	if err != nil || info.Size() != 3 || info.Mode().Perm() != 0o755 || !info.ModTime().Equal(when) {
		t.Errorf("file: %v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(out, "empty")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info, err)
	}
	if target, err := os.Readlink(filepath.Join(out, "a", "link")); err != nil || target != "../elsewhere" {
		t.Errorf("link: %q, %v", target, err)
	}
}

// TestExtractStaysInside: whatever the stream says, nothing is written beside the folder and nothing is left of it.
func TestExtractStaysInside(t *testing.T) {
	link := tar.Header{Typeflag: tar.TypeSymlink, Name: "d", Linkname: "../outside"}
	for name, headers := range map[string][]tar.Header{
		"parent":               {{Typeflag: tar.TypeReg, Name: "../outside/x", Size: 1}},
		"absolute":             {{Typeflag: tar.TypeReg, Name: "/etc/bridge-test", Size: 1}},
		"parent in the middle": {{Typeflag: tar.TypeReg, Name: "a/../../outside/x", Size: 1}},
		"folder outside":       {{Typeflag: tar.TypeDir, Name: "../outside2/"}},
		"link outside":         {{Typeflag: tar.TypeSymlink, Name: "../outside/l", Linkname: "x"}},
		"through a link":       {link, {Typeflag: tar.TypeReg, Name: "d/x", Size: 1}},
		"name twice":           {{Typeflag: tar.TypeReg, Name: "x", Size: 1}, {Typeflag: tar.TypeReg, Name: "x", Size: 1}},
		"device":               {{Typeflag: tar.TypeChar, Name: "null"}},
		"hard link":            {{Typeflag: tar.TypeLink, Name: "h", Linkname: "../outside/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "outside"), 0o755); err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(dir, "out")
			if err := testApp().write(reading{tar: tarOf(t, headers...)}, out); err == nil {
				t.Error("accepted")
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 1 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			if inside, err := os.ReadDir(filepath.Join(dir, "outside")); err != nil || len(inside) != 0 {
				t.Errorf("written outside: %v, %v", inside, err)
			}
		})
	}
}

func TestWriteLeavesNothingAfterAFailure(t *testing.T) {
	for name, r := range map[string]reading{
		"file":          {file: []byte("half"), fail: io.ErrUnexpectedEOF},
		"folder":        {tar: tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: 9})[:700], fail: io.ErrUnexpectedEOF},
		"folder at end": {tar: tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: 9}), fail: io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := testApp().write(r, filepath.Join(dir, "out")); err == nil {
				t.Error("no error")
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestWriteDoesNotOverwriteAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := testApp().write(reading{tar: tarOf(t)}, dir); err == nil {
		t.Error("a folder that was there was overwritten")
	}
	if err := testApp().write(reading{tar: tarOf(t)}, "-"); err == nil {
		t.Error("a folder was written to stdout")
	}
	if err := testApp().write(reading{file: []byte("x")}, dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "bafytest")); err != nil || string(got) != "x" {
		t.Errorf("a file goes into a folder under its CID: %q, %v", got, err)
	}
}
