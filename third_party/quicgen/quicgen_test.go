package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realRelease returns the pin and the pinned release in the module cache.
func realRelease(t *testing.T) (pin, string) {
	t.Helper()
	p, err := pinned()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := download(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, dir
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, text string, parts ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(parts...), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// repository makes a root folder whose go.mod requires the given version.
func repository(t *testing.T, version string) string {
	t.Helper()
	root := t.TempDir()
	write(t, fmt.Sprintf("module example.org/m\n\ngo 1.26.0\n\nrequire %s %s\n", modulePath, version), root, "go.mod")
	return root
}

// changedLines returns the lines of b that are not at their place in a, for texts that differ in single lines only.
func changedLines(a, b string) []string {
	var out []string
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	i := 0
	for _, line := range bs {
		if i < len(as) && as[i] == line {
			i++
			continue
		}
		out = append(out, line)
		if i < len(as) && len(bs)-len(as) < len(out) { // a replaced line, not an added one
			i++
		}
	}
	return out
}

func TestRealReleaseIsRewrittenInFivePlacesOnly(t *testing.T) {
	p, dir := realRelease(t)
	root := repository(t, p.Version)
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(root, "third_party", "quic-go")
	seen := map[string]bool{}
	err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(out, path)
		rel = filepath.ToSlash(rel)
		seen[rel] = true
		switch rel {
		case setupFile, seamFile, paramsFile, serverFile, deliverFile, stampName:
			return nil
		}
		if read(t, path) != read(t, dir, rel) {
			t.Errorf("%s differs from the release", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"LICENSE", "go.mod", "go.sum", "transport.go", "http3/server.go", "sys_conn_windows.go", setupFile, seamFile, paramsFile, serverFile, deliverFile} {
		if !seen[f] {
			t.Errorf("%s is missing in the copy", f)
		}
	}
	for f := range seen {
		if strings.HasSuffix(f, "_test.go") || strings.HasPrefix(f, "integrationtests/self/") {
			t.Errorf("%s should not be in the copy", f)
		}
	}
	for file, want := range map[string][]string{
		setupFile: {
			"// Changed by third_party/quicgen: the TLS engine is an interface, see quic_engine.go. DO NOT EDIT.",
			"",
			"\tconn    quicConn",
			"\tcs.conn = newQUICClient(&tls.QUICConfig{",
			"\tcs.conn = newQUICServer(getQUICConfig(tlsConf, localAddr, remoteAddr))",
		},
		paramsFile: {
			"// Changed by third_party/quicgen: MaxAcceptQueueSize is larger. DO NOT EDIT.",
			"",
			"const MaxAcceptQueueSize = 1024",
		},
		serverFile: {
			"// Changed by third_party/quicgen: retryQueue is longer. DO NOT EDIT.",
			"",
			"\t\tretryQueue:                make(chan rejectedPacket, 1024),",
		},
	} {
		got := changedLines(read(t, dir, file), read(t, out, file))
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: changed lines\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// The added file states itself that crypto/tls has the shape of the interface; here the compiler reads it.
func TestAddedFileCompiles(t *testing.T) {
	dir := t.TempDir()
	write(t, string(seam), dir, "quic_engine.go")
	cmd := exec.Command("go", "build", "-o", os.DevNull, "quic_engine.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestSecondRunChangesNothing(t *testing.T) {
	p, _ := realRelease(t)
	root := repository(t, p.Version)
	out := filepath.Join(root, "third_party", "quic-go")
	if upToDate(out, p) {
		t.Fatal("a missing copy is up to date")
	}
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(out, "transport.go"))
	if err != nil {
		t.Fatal(err)
	}
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(out, "transport.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("an up-to-date copy was written again")
	}
	entries, err := os.ReadDir(filepath.Dir(out))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("something was left beside the copy: %v", entries)
	}
}

func TestStaleCopiesAreNoticed(t *testing.T) {
	p, _ := realRelease(t)
	root := repository(t, p.Version)
	out := filepath.Join(root, "third_party", "quic-go")
	stale := map[string]func(t *testing.T){
		"edited file":   func(t *testing.T) { write(t, "package quic\n", out, "transport.go") },
		"added file":    func(t *testing.T) { write(t, "package quic\n", out, "extra.go") },
		"removed file":  func(t *testing.T) { os.Remove(filepath.Join(out, "config.go")) },
		"missing stamp": func(t *testing.T) { os.Remove(filepath.Join(out, stampName)) },
		"other version": func(t *testing.T) {
			write(t, strings.Replace(read(t, out, stampName), p.Version, "v0.1.0", 1), out, stampName)
		},
		"other generator": func(t *testing.T) {
			write(t, strings.Replace(read(t, out, stampName), "generator ", "generator 0", 1), out, stampName)
		},
	}
	for name, spoil := range stale {
		t.Run(name, func(t *testing.T) {
			if err := run(root, false); err != nil {
				t.Fatal(err)
			}
			if !upToDate(out, p) {
				t.Fatal("a fresh copy is not up to date")
			}
			spoil(t)
			if upToDate(out, p) {
				t.Fatal("the spoilt copy passes for up to date")
			}
			if err := run(root, false); err != nil {
				t.Fatal(err)
			}
			if !upToDate(out, p) {
				t.Fatal("the copy was not repaired")
			}
		})
	}
}

func TestOtherVersionInRootModuleIsRefused(t *testing.T) {
	root := repository(t, "v0.65.0")
	err := run(root, false)
	if err == nil || !strings.Contains(err.Error(), "requires github.com/quic-go/quic-go v0.65.0") {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "third_party")); !os.IsNotExist(err) {
		t.Error("a refused run left something behind")
	}
}

func TestOtherContentIsRefused(t *testing.T) {
	p, _ := realRelease(t)
	p.Sum = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	if _, err := download(p); err == nil || !strings.Contains(err.Error(), "go.sum says h1:AAAA") {
		t.Fatalf("got %v", err)
	}
}

func TestRepositoryRequiresThePinnedRelease(t *testing.T) {
	p, err := pinned()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("..", "..")
	if err := sameVersion(filepath.Join(root, "go.mod"), p); err != nil {
		t.Error(err)
	}
	if !bytes.Contains([]byte(read(t, root, "go.mod")), []byte("replace github.com/quic-go/quic-go => ./third_party/quic-go")) {
		t.Error("go.mod does not replace quic-go by the copy")
	}
}
