package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo terminal. seen returns what was written to it so far.
func terminal(t *testing.T) (tty *os.File, seen func() string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("there are no pseudo terminals here: %v", err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 120}); err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	var out syncBuffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			_, _ = out.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { tty.Close(); master.Close(); <-done })
	return tty, out.String
}

// TestProgressBar: on a terminal a bar says what is worked on and how far it is, and is gone at the end; with --quiet, and
// where stderr is no terminal, there is none.
func TestProgressBar(t *testing.T) {
	t.Setenv("BRIDGE_LOCAL", "1")
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file-%02d\x1b[31m", i)), bytes.Repeat([]byte{byte(i)}, 4<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	add := func(stderr interface{ Write([]byte) (int, error) }, name string, flags ...string) {
		t.Helper()
		var out bytes.Buffer
		if code := run(context.Background(), append([]string{"--data", filepath.Join(dir, name), "add", folder}, flags...), &out, stderr); code != 0 {
			t.Fatalf("exit status %d", code)
		}
		if !strings.HasPrefix(out.String(), "CID ") || strings.ContainsAny(out.String(), "\x1b\r") {
			t.Errorf("stdout: %q", out.String())
		}
	}
	whole := func(seen func() string) string {
		for end := time.Now().Add(time.Minute); !strings.Contains(seen(), "no daemon") && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		return seen()
	}
	tty, seen := terminal(t)
	add(tty, "terminal")
	text := whole(seen)
	if !strings.Contains(text, "file-") || !strings.Contains(text, "MiB / ") || !strings.Contains(text, "/s") {
		t.Errorf("no bar in %q", text)
	}
	if strings.Contains(text, "\x1b[31m") {
		t.Error("a file's name coloured the terminal")
	}
	// The bar's last line is taken away before the notes are written.
	bar, notes := strings.LastIndex(text, "MiB / "), strings.LastIndex(text, "note: no daemon")
	if notes < bar || !strings.Contains(text[bar:notes], "\x1b[J") && !strings.Contains(text[bar:notes], "\x1b[0J") {
		t.Errorf("the bar stays: %q", text[max(bar, 0):])
	}
	tty, seen = terminal(t)
	add(tty, "quiet", "--quiet")
	var pipe bytes.Buffer
	add(&pipe, "pipe")
	for name, text := range map[string]string{"--quiet": whole(seen), "no terminal": pipe.String()} {
		if !strings.Contains(text, "no daemon") || strings.Contains(text, "MiB") || strings.Contains(text, "\x1b") {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// TestProgressOfABlob: the bar has how far the blob is that moved last, and how far all of it is.
func TestProgressOfABlob(t *testing.T) {
	tty, seen := terminal(t)
	p := (&app{stderr: tty}).progress()
	p.Item("aaaa", 8<<20)
	p.Item("bbbb", 2<<20)
	p.Blob("aaaa", 2<<20, 8<<20)
	p.Bytes(2 << 20)
	for end := time.Now().Add(time.Minute); !strings.Contains(seen(), "2.0 MiB / 10.0 MiB") && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	p.end()
	if text := seen(); !strings.Contains(text, "aaaa 25 %") || !strings.Contains(text, "2.0 MiB / 10.0 MiB") {
		t.Errorf("%q", text)
	}
}
