package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/bridge"
)

// call runs one command line in this process, on a data folder of its own.
func call(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("BRIDGE_LOCAL", "1")
	t.Setenv("BRIDGE_DATA", dir)
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	const unknown = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
	const someID = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c" // of the seed 01 01 ...
	for name, tc := range map[string]struct {
		args []string
		want int
	}{
		"version":            {[]string{"version"}, 0},
		"help":               {[]string{"--help"}, 0},
		"no command":         {nil, 0},
		"add":                {[]string{"add", file}, 0},
		"unknown command":    {[]string{"frobnicate"}, 2},
		"unknown flag":       {[]string{"add", "--frobnicate", file}, 2},
		"no argument":        {[]string{"add"}, 2},
		"too many arguments": {[]string{"ls", "x"}, 2},
		"path is not there":  {[]string{"add", file + "x"}, 2},
		"unknown profile":    {[]string{"add", "--profile", "x", file}, 2},
		"not a target":       {[]string{"map", "x"}, 2},
		"not a ticket":       {[]string{"expose", "blobx"}, 2},
		"CID is not here":    {[]string{"get", unknown}, 3},
		"hash is not here":   {[]string{"map", strings.Repeat("0", 64)}, 3},
		"rm of nothing":      {[]string{"rm", unknown}, 3},
		"API for everybody":  {[]string{"daemon", "--api", "0.0.0.0:0"}, 2},
		"relay is no URL":    {[]string{"daemon", "--relay", "relay.example"}, 2},
		"announce is no ip":  {[]string{"daemon", "--announce", "relay.example:1"}, 2},
		"peers":              {[]string{"peers"}, 0},
		"doctor":             {[]string{"doctor"}, 0},
		"fetch from nobody":  {[]string{"fetch", strings.Repeat("1", 64)}, 3},
		"expose from nobody": {[]string{"expose", strings.Repeat("1", 64)}, 3},
		"fetch a CID":        {[]string{"fetch", unknown, "--from", someID}, 2},
		"push nothing":       {[]string{"push", someID, strings.Repeat("1", 64)}, 3},
		"push to nobody":     {[]string{"push", "nobody", file}, 2},
		"push to itself":     {[]string{"push", someID}, 2},
		"observe nobody":     {[]string{"observe", strings.Repeat("1", 64)}, 2},
		"ticket of nothing":  {[]string{"ticket", strings.Repeat("1", 64)}, 3},
		"two kinds":          {[]string{"ticket", "--short", "--relay", unknown}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := call(t, filepath.Join(dir, "data"), tc.args...)
			if code != tc.want {
				t.Errorf("exit status %d, want %d: %s", code, tc.want, errs)
			}
			if code != 0 && (out != "" || !strings.HasPrefix(errs, "bridge: ")) {
				t.Errorf("stdout %q, stderr %q", out, errs)
			}
		})
	}
}

func TestDamageAndInterruption(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call(t, data, "add", "--in-place", file); code != 0 {
		t.Fatal(errs)
	}
	if code, out, _ := call(t, data, "verify"); code != 0 || !strings.HasPrefix(out, "ok") {
		t.Errorf("%d %s", code, out)
	}
	if err := os.WriteFile(file, []byte("after!"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call(t, data, "verify"); code != 4 || !strings.HasPrefix(out, "damaged") {
		t.Errorf("%d %s", code, out)
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("is good"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call(t, data, "add", other); code != 0 {
		t.Fatal(errs)
	}
	if code, out, errs := call(t, data, "verify"); code != 5 || strings.Count(out, "damaged") != 1 || !strings.Contains(errs, "1 of 2 items") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"--data", data, "verify"}, &out, &errs); code != 130 {
		t.Errorf("interrupted: %d %s", code, errs.String())
	}
}

// TestStatusOfEveryError: what the bridge says has one status.
func TestStatusOfEveryError(t *testing.T) {
	for err, want := range map[error]int{
		errors.New("anything else"): 1,
		errUsage:                    2, bridge.ErrInvalid: 2, bridge.ErrNotFound: 3, bridge.ErrVerify: 4, bridge.ErrPartial: 5, errProblems: 5,
		bridge.ErrContent: 1, bridge.ErrBusy: 1, bridge.ErrDamaged: 1,
	} {
		err = fmt.Errorf("what was done: %w", err)
		if got := exitStatus(t.Context(), err); got != want {
			t.Errorf("%v: exit status %d, want %d", err, got, want)
		}
	}
}

// TestMappingDatabaseIsGone: every command says what to do, with the status that belongs to it, and doing it helps.
func TestMappingDatabaseIsGone(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, errs := call(t, data, "--json", "add", file)
	if code != 0 {
		t.Fatal(errs)
	}
	var c bridge.Content
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(data, "mapping", "MANIFEST-*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if err := os.Remove(names[0]); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want int
	}{
		{[]string{"ls"}, 1},
		{[]string{"add", file}, 1},
		{[]string{"get", c.CID}, 1},
		{[]string{"daemon", "--iroh-listen", "127.0.0.1:0", "--libp2p-listen", "/ip4/127.0.0.1/tcp/0", "--api", "127.0.0.1:0"}, 1},
		{[]string{"verify"}, 4},
	} {
		code, out, errs := call(t, data, tc.args...)
		if code != tc.want || out != "" || !strings.Contains(errs, "bridge verify --repair") || !strings.Contains(errs, filepath.Join(data, "mapping")) {
			t.Errorf("%v: exit status %d, want %d; stdout %q, stderr %q", tc.args, code, tc.want, out, errs)
		}
	}
	code, out, errs = call(t, data, "--json", "verify", "--repair")
	var f bridge.Finding
	if err := json.Unmarshal([]byte(out), &f); code != 0 || err != nil || f.CID != c.CID || !f.Restored {
		t.Errorf("exit status %d, stdout %q, stderr %q", code, out, errs)
	}
	aside := filepath.Join(data, "mapping.damaged.1")
	if _, err := os.Stat(aside); err != nil || !strings.Contains(errs, aside) || !strings.Contains(errs, "1 links came back") {
		t.Errorf("%v; stderr %q", err, errs)
	}
	if code, out, errs := call(t, data, "get", "-o", "-", c.CID); code != 0 || out != "content" {
		t.Errorf("exit status %d, stdout %q, stderr %q", code, out, errs)
	}
	// What is lost for good is named, with status 4, until it is removed.
	if err := os.RemoveAll(filepath.Join(data, "mapping")); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := call(t, data, "add", "--in-place", file); code != 1 {
		t.Errorf("exit status %d, stdout %q, stderr %q", code, out, errs)
	}
	if code, out, _ := call(t, data, "verify", "--repair"); code != 0 || !strings.HasPrefix(out, "restored") {
		t.Errorf("exit status %d, stdout %q", code, out)
	}
}

// TestJSONIsOneObjectALine, and nothing else is on stdout.
func TestJSONIsOneObjectALine(t *testing.T) {
	dir := t.TempDir()
	data, folder := filepath.Join(dir, "data"), filepath.Join(dir, "folder")
	for _, name := range []string{"a", "b/c"} {
		full := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(v any, args ...string) {
		t.Helper()
		code, out, errs := call(t, data, append([]string{"--json"}, args...)...)
		if code != 0 {
			t.Fatal(errs)
		}
		if strings.Count(out, "\n") != 1 {
			t.Errorf("%v printed %q", args, out)
		}
		dec := json.NewDecoder(strings.NewReader(out))
		dec.DisallowUnknownFields()
		if err := dec.Decode(v); err != nil {
			t.Errorf("%v: %v in %q", args, err, out)
		}
	}
	var c, listed bridge.Content
	parse(&c, "add", folder)
	if c.Format != "collection" || c.Size != 4 || !strings.HasPrefix(c.Ticket, "blob") {
		t.Errorf("%+v", c)
	}
	parse(&listed, "ls")
	if listed.CID != c.CID {
		t.Errorf("%+v", listed)
	}
	var m bridge.Mapped
	parse(&m, "map", c.Hash)
	if m.CID != c.CID || len(m.CIDs) != 1 {
		t.Errorf("%+v", m)
	}
	var f bridge.Finding
	parse(&f, "verify")
	if !f.OK {
		t.Errorf("%+v", f)
	}
	var id bridge.Identity
	parse(&id, "id")
	if len(id.EndpointID) != 64 {
		t.Errorf("%+v", id)
	}
	var w written
	parse(&w, "get", c.CID, "-o", filepath.Join(dir, "json"))
	if want := (written{CID: c.CID, Hash: c.Hash, Format: "collection", Path: filepath.Join(dir, "json")}); w != want {
		t.Errorf("%+v, want %+v", w, want)
	}
	if code, stdout, errs := call(t, data, "--json", "get", c.CID, "-o", "-"); code != 2 || stdout != "" || !strings.Contains(errs, "stdout") {
		t.Errorf("--json get -o -: %d %q %s", code, stdout, errs)
	}
	if code, _, errs := call(t, data, "--json", "add", folder); code != 0 || !strings.Contains(errs, "bridge daemon") || !strings.Contains(errs, "bridge ticket "+c.CID) {
		t.Errorf("without a daemon: %d %s", code, errs)
	}
	out := filepath.Join(dir, "out")
	if code, stdout, errs := call(t, data, "get", c.CID, "-o", out); code != 0 || stdout != "" {
		t.Errorf("%d %q %s", code, stdout, errs)
	}
	if got, err := os.ReadFile(filepath.Join(out, "b", "c")); err != nil || string(got) != "b/c" {
		t.Errorf("%q, %v", got, err)
	}
	if code, _, _ := call(t, data, "get", c.CID, "-o", "-"); code != 2 {
		t.Errorf("a folder to stdout: %d", code)
	}
	parse(&m, "rm", c.CID)
	if code, stdout, _ := call(t, data, "--json", "ls"); code != 0 || stdout != "" {
		t.Errorf("after rm: %d %q", code, stdout)
	}
}

// TestCommandsUseTheDaemon of the same data folder, which holds the lock.
func TestCommandsUseTheDaemon(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	t.Setenv("BRIDGE_LOCAL", "1")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs syncBuffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"--json", "--data", data, "daemon", "--iroh-listen", "127.0.0.1:0",
			"--libp2p-listen", "/ip4/127.0.0.1/tcp/0", "--api", "127.0.0.1:0"}, &out, &errs)
	}()
	var r ready
	for range 1200 {
		if json.Unmarshal([]byte(out.String()), &r) == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if r.Event != "ready" || len(r.IrohAddrs) != 1 || len(r.Libp2pAddrs) != 1 || !strings.HasPrefix(r.API, "http://127.0.0.1:") {
		t.Fatalf("%+v, %s", r, errs.String())
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call(t, data, "add", file); code != 0 || strings.Contains(errs, "no daemon") {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := call(t, data, "daemon"); code != 1 || !strings.Contains(errs, "in use") {
		t.Errorf("a second daemon: %d %s", code, errs)
	}
	begin := time.Now()
	stop()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("the daemon ended with %d: %s", code, errs.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("the daemon does not end")
	}
	t.Logf("shutdown took %s", time.Since(begin))
	if code, _, errs := call(t, data, "map", "bafkreihnwtfcvywldeodeqhxwtcfevdarjsmjxcvbkwnjkqrlrnpp5nsuq"); code != 3 && code != 0 {
		t.Errorf("afterwards: %d %s", code, errs)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31mred\x07\u009b\n"); got != "a\uFFFD[31mred\uFFFD\uFFFD\n" {
		t.Errorf("%q", got)
	}
}
