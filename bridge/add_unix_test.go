//go:build unix

package bridge

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWhatHasNoBytes is refused by name and kind.
func TestWhatHasNoBytes(t *testing.T) {
	b := open(t, t.TempDir())
	dir := t.TempDir()
	pipe := filepath.Join(dir, "p")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	sockets := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(sockets, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]struct {
		err  error
		text string
	}{
		dir:                         {ErrContent, `"p" is a named pipe`},
		pipe:                        {ErrInvalid, "is a named pipe"},
		sockets:                     {ErrContent, `"s" is a socket`},
		filepath.Join(sockets, "s"): {ErrInvalid, "is a socket"},
		"/dev/null":                 {ErrInvalid, "is a device"},
	} {
		if _, err := b.Add(t.Context(), AddRequest{Path: path}, Silent{}); !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: got %v, want %v and a word like %q", path, err, want.err, want.text)
		}
	}
}
