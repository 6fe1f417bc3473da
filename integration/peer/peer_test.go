package peer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlaceCarriesVersion(t *testing.T) {
	for kind, want := range map[Kind]string{Kubo: "kubo-v0.43.0-", Sendme: "sendme-0.37.1-", Relay: "iroh-relay-1.4.1-", B3sum: "b3sum-1.8.2-", Rust: "rust-"} {
		dir, bin, err := Cache{Dir: "x"}.place(kind)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(filepath.Base(dir), want) || filepath.Dir(bin) != dir {
			t.Errorf("%s is placed in %s as %s, want a folder %s*", kind, dir, bin, want)
		}
	}
	if _, _, err := (Cache{Dir: "x"}).place("other"); err == nil {
		t.Error("an unknown peer has a place")
	}
}

func TestFailedBuildLeavesNothingToUse(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh")
	}
	t.Setenv("PATH", "")
	var log bytes.Buffer
	c := Cache{Dir: t.TempDir(), Log: &log}
	for _, kind := range []Kind{Rust, Sendme, Relay, B3sum} {
		if _, err := c.Path(t.Context(), kind); !errors.Is(err, ErrNoCargo) {
			t.Errorf("%s without cargo: %v, want ErrNoCargo", kind, err)
		}
	}
	if _, err := c.Path(t.Context(), Kubo); err == nil {
		t.Error("kubo was built without go")
	}
	left, _ := filepath.Glob(filepath.Join(c.Dir, "*", "*"))
	for _, file := range left {
		if filepath.Base(file) != "lock" {
			t.Errorf("left behind: %s", file)
		}
	}
}

func TestProcessThatEndsEarlyShowsItsOutput(t *testing.T) {
	p, err := Start(t.Context(), Command{
		Path: "/bin/sh", Args: []string{"-c", "echo one; echo two >&2; exit 3"},
		Ready: func(line string) bool { return line == "never" },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.WaitReady(t.Context())
	if err == nil || !strings.Contains(err.Error(), "one") || !strings.Contains(err.Error(), "two") || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("got %v, want both outputs and the exit status", err)
	}
}

func TestProcessStopsAndIsKilled(t *testing.T) {
	start := func(script string, hold bool) *Process {
		p, err := Start(t.Context(), Command{
			Path: "/bin/sh", Args: []string{"-c", script}, HoldStdin: hold,
			Ready: func(line string) bool { return line == "up" },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if err := start("echo up; read x", true).Stop(); err != nil {
		t.Errorf("stop by closing stdin: %v", err)
	}
	if err := start("trap 'exit 0' INT; echo up; while :; do sleep 0.05; done", false).Stop(); err != nil {
		t.Errorf("stop by signal: %v", err)
	}
	p := start("trap '' INT; echo up; while :; do sleep 0.05; done", false)
	p.Kill()
	if p.Signal(os.Interrupt) == nil {
		t.Error("a killed process takes a signal")
	}
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx, Command{Path: "/bin/sh", Args: []string{"-c", "exec sleep 60"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := p.Wait(t.Context()); err == nil {
		t.Error("a process outlived its context")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var log tail
	for range 3 * maxTail / 16 {
		log.Write([]byte("0123456789abcde\n"))
	}
	log.Write([]byte("end"))
	if s := log.String(); len(s) != maxTail || !strings.HasSuffix(s, "end") {
		t.Errorf("kept %d bytes ending in %q", len(s), s[len(s)-3:])
	}
}
