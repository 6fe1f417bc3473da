package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// module writes a module with the test files given and returns its folder.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	mod  = "module example.com/m\n\ngo 1.26\n"
	good = `package good
import "testing"
func FuzzGood(f *testing.F) { f.Add([]byte("x")); f.Fuzz(func(t *testing.T, b []byte) {}) }
func FuzzGoodToo(f *testing.F) { f.Add(1); f.Fuzz(func(t *testing.T, n int) {}) }
`
	bad = `package bad
import ("bytes"; "testing")
func FuzzBad(f *testing.F) {
	f.Add([]byte("a"))
	f.Fuzz(func(t *testing.T, b []byte) { if len(b) > 1 && !bytes.Equal(b, b[:1]) { t.Error("two bytes") } })
}
`
)

// A target that fails is named, its input is kept, and the others run.
func TestFailuresAreLoud(t *testing.T) {
	dir := module(t, map[string]string{"go.mod": mod, "good/g_test.go": good, "bad/b_test.go": bad, "none/n.go": "package none\n"})
	var out bytes.Buffer
	err := run(t.Context(), config{dir: dir, time: 6 * time.Second, jobs: 2}, &out, []string{"./..."}, false)
	if err == nil || err.Error() != "1 of 3 targets failed" {
		t.Errorf("the error is %v; it printed\n%s", err, &out)
	}
	for _, want := range []string{"ok    example.com/m/good FuzzGood: ", "ok    example.com/m/good FuzzGoodToo: ", "FAIL  example.com/m/bad FuzzBad: ",
		"--- example.com/m/bad FuzzBad FAILED", "two bytes"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not print %q:\n%s", want, &out)
		}
	}
	kept, err := os.ReadDir(filepath.Join(dir, "bad", "testdata", "fuzz", "FuzzBad"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept are %v, %v", kept, err)
	}
}

func TestFind(t *testing.T) {
	dir := module(t, map[string]string{"go.mod": mod, "good/g_test.go": good, "bad/b_test.go": bad})
	var out bytes.Buffer
	if err := run(t.Context(), config{dir: dir}, &out, []string{"./..."}, true); err != nil {
		t.Error(err)
	}
	want := "example.com/m/bad FuzzBad\nexample.com/m/good FuzzGood\nexample.com/m/good FuzzGoodToo\n"
	if out.String() != want {
		t.Errorf("%q", &out)
	}
	if err := run(t.Context(), config{dir: dir}, &out, []string{"./none/..."}, true); err == nil {
		t.Error("no targets are no error")
	}
	// A function that go test does not take for a target: its name goes on with a small letter.
	dir = module(t, map[string]string{"go.mod": mod, "x/x_test.go": "package x\nimport \"testing\"\nfunc Fuzzy(f *testing.F) {}\n"})
	if err := run(t.Context(), config{dir: dir}, &out, []string{"./..."}, true); err == nil || !strings.Contains(err.Error(), "Fuzzy") {
		t.Errorf("a target that go test does not list: %v", err)
	}
}

func TestJudge(t *testing.T) {
	const fine = "fuzz: elapsed: 0s, gathering baseline coverage: 0/8 completed\nfuzz: elapsed: 3s, execs: 12 (4/sec), new interesting: 0 (total: 1)\n" +
		"fuzz: elapsed: 6s, execs: 340 (109/sec), new interesting: 0 (total: 1)\nPASS\n"
	failure := errors.New("exit status 1")
	for _, c := range []struct {
		output string
		err    error
		inputs int
		good   bool
	}{
		{fine, nil, 340, true},
		{fine, failure, 340, false},
		{"testing: warning: no fuzz tests to fuzz\nPASS\n", nil, 0, false},
		{"fuzz: elapsed: 20s, gathering baseline coverage: 3/80 completed\nPASS\n", nil, 0, false},
		{"", nil, 0, false},
	} {
		if n, err := judge(c.output, c.err); n != c.inputs || (err == nil) != c.good {
			t.Errorf("%q, %v: %d, %v", c.output, c.err, n, err)
		}
	}
	cut := strings.TrimSuffix(fine, "PASS\n") + "--- FAIL: FuzzX (20.00s)\n    context deadline exceeded\nFAIL\nexit status 1\n"
	if !cutOff(cut) {
		t.Error("a run that was cut off is a failure")
	}
	for _, output := range []string{
		fine,
		cut + "    Failing input written to testdata/fuzz/FuzzX/1\n",
		strings.Replace(cut, "    context", "    --- FAIL: FuzzX (0.00s)\n        x_test.go:9: context", 1),
		"failure while testing seed corpus entry: FuzzX/seed#0\n" + cut,
	} {
		if cutOff(output) {
			t.Errorf("a run that was not cut off: %q", output)
		}
	}
}
