package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/doctor"
	"github.com/iroh-ipfs/bridge/bridge/native"
	"github.com/iroh-ipfs/bridge/bridge/peers"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// daemon runs one in this process, on a data folder of its own.
func daemon(t *testing.T, data string, flags ...string) ready {
	t.Helper()
	t.Setenv("BRIDGE_LOCAL", "1")
	ctx, stop := context.WithCancel(context.Background())
	var out, errs syncBuffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, append([]string{"--json", "--data", data, "daemon", "--iroh-listen", "127.0.0.1:0",
			"--libp2p-listen", "/ip4/127.0.0.1/tcp/0", "--api", "127.0.0.1:0"}, flags...), &out, &errs)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("the daemon ended with %d: %s", code, errs.String())
		}
	})
	var r ready
	for range 1200 {
		if json.Unmarshal([]byte(out.String()), &r) == nil {
			return r
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(errs.String())
	return r
}

// lines runs a command with --json and decodes each line of its output.
func lines[T any](t *testing.T, data string, args ...string) []T {
	t.Helper()
	code, out, errs := call(t, data, append([]string{"--json"}, args...)...)
	if code != 0 {
		t.Fatalf("%v: %d %s", args, code, errs)
	}
	var all []T
	for line := range strings.Lines(out) {
		var one T
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&one); err != nil {
			t.Fatalf("%v: %v in %q", args, err, line)
		}
		all = append(all, one)
	}
	return all
}

// onlyID: a ticket that a command prints without a daemon names no port that is closed when it is read.
func onlyID(t *testing.T, text string) {
	t.Helper()
	parsed, err := ticket.ParseBlob(text)
	if err != nil || parsed.Addr.ID.IsZero() || len(parsed.Addr.Direct) != 0 || len(parsed.Addr.Relays) != 0 {
		t.Errorf("%+v, %v", parsed.Addr, err)
	}
}

// TestIrohCommands: fetch without a daemon from a daemon, push to one, observe, tickets, peers and the doctor, in JSON and in words.
func TestIrohCommands(t *testing.T) {
	dir := t.TempDir()
	here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
	id := lines[bridge.Identity](t, here, "id")[0]
	t.Setenv("BRIDGE_PUSH_PEERS", id.EndpointID)
	t.Setenv("BRIDGE_PUSH_QUOTA", "1000000")
	r := daemon(t, there, "--announce", "192.0.2.1:7")
	if r.IrohAddrs[0] != "192.0.2.1:7" || r.HomeRelay != "" {
		t.Errorf("%+v", r)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	added := lines[bridge.Content](t, there, "add", file)[0]
	fetched := lines[native.Fetched](t, here, "fetch", added.Ticket)[0]
	if fetched.Hash != added.Hash || fetched.Kept.State != "complete" {
		t.Errorf("%+v", fetched)
	}
	onlyID(t, fetched.Ticket)
	if code, out, _ := call(t, here, "ls"); code != 0 || !strings.HasPrefix(out, "- ") || !strings.Contains(out, added.Hash+"  blob        7  fetched\n") {
		t.Errorf("%d %q", code, out)
	}
	if code, out, _ := call(t, here, "verify"); code != 0 || out != "ok        "+added.Hash+"\n" {
		t.Errorf("%d %q", code, out)
	}
	if code, out, errs := call(t, here, "fetch", added.Hash, "--from", r.EndpointID); code != 0 || !strings.Contains(out, "fetched  0 bytes") || !strings.Contains(errs, "`bridge ticket "+added.Hash+"`") {
		t.Errorf("again: %d %q %q", code, out, errs)
	}
	more := filepath.Join(dir, "more")
	if err := os.WriteFile(more, []byte("more content"), 0o644); err != nil {
		t.Fatal(err)
	}
	mine := lines[bridge.Content](t, here, "add", more)[0]
	onlyID(t, mine.Ticket)
	pushed := lines[native.Pushed](t, here, "push", added.Ticket, mine.CID)[0]
	if pushed.EndpointID != r.EndpointID || pushed.Bytes != 12 {
		t.Errorf("%+v", pushed)
	}
	if o := lines[native.Observed](t, here, "observe", mine.Hash, "--from", added.Ticket); len(o) != 1 || !o[0].Complete || o[0].Size != 12 {
		t.Errorf("%+v", o)
	}
	if code, out, _ := call(t, here, "observe", "--once", added.Ticket); code != 0 || out != "complete, 7 bytes\n" {
		t.Errorf("%d %q", code, out)
	}
	short := lines[native.Ticket](t, there, "ticket", "--short", added.CID)[0]
	all := lines[native.Ticket](t, there, "ticket", added.Hash)[0]
	if code, out, errs := call(t, there, "ticket", "--relay", added.CID); code != 0 || out != short.Ticket+"\n" || !strings.Contains(errs, "no home relay") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, _, errs := call(t, there, "ticket", "--addrs", added.CID); code != 0 || errs != "" {
		t.Errorf("%d %q", code, errs)
	}
	if len(short.Addrs) != 0 || len(all.Addrs) != 2 || all.Ticket != added.Ticket {
		t.Errorf("%+v %+v", short, all)
	}
	if code, out, errs := call(t, here, "ticket", mine.Hash); code != 0 || !strings.HasPrefix(out, "blob") || !strings.Contains(errs, "no daemon") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	lines[peers.Peer](t, there, "peers")
	if d := lines[doctor.Diagnosis](t, there, "doctor")[0]; !d.Daemon || d.EndpointID != r.EndpointID {
		t.Errorf("%+v", d)
	}
	if code, out, _ := call(t, here, "doctor"); code != 0 || !strings.HasPrefix(out, "ok      No daemon runs") || strings.Contains(out, "Tickets name") {
		t.Errorf("%d %q", code, out)
	}
	if code, out, _ := call(t, here, "rm", added.Hash); code != 0 || !strings.Contains(out, "CIDs    none") {
		t.Errorf("%d %q", code, out)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, filepath.Join(folder, "file")); err != nil {
		t.Fatal(err)
	}
	sequence := lines[bridge.Content](t, there, "add", folder)[0]
	if code, _, errs := call(t, here, "fetch", sequence.Hash, "--from", added.Ticket); code != 0 || !strings.Contains(errs, "note: "+sequence.Hash+" was taken for a blob") {
		t.Errorf("%d %q", code, errs)
	}
	// What fetch and ls print of a sequence is what another bridge wants, and this one takes it too.
	if code, out, errs := call(t, here, "fetch", sequence.Ticket); code != 0 || !strings.HasPrefix(out, "hash     s"+sequence.Hash+"\n") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, out, _ := call(t, here, "ls"); code != 0 || !strings.Contains(out, " s"+sequence.Hash+"  collection  7  fetched\n") {
		t.Errorf("%d %q", code, out)
	}
	if code, out, errs := call(t, here, "push", added.Ticket, "s"+sequence.Hash); code != 0 || !strings.HasPrefix(out, "hash    s"+sequence.Hash+"\n") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, _, errs := call(t, here, "rm", "s"+sequence.Hash); code != 0 {
		t.Errorf("%d %q", code, errs)
	}
	onlyID(t, lines[bridge.Content](t, here, "expose", added.Ticket)[0].Ticket)
}

// TestDoctorsProblems are counted, and have a status of their own meaning.
func TestDoctorsProblems(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out strings.Builder
		a := &app{stdout: &out, json: asJSON}
		err := a.printDiagnosis(doctor.Diagnosis{Problems: 1, Checks: []doctor.Check{{State: doctor.OK, Text: "One."}, {State: doctor.Problem, Text: "Two."}}})
		if exitStatus(t.Context(), err) != exitPartial || !strings.Contains(err.Error(), "1 of 2 findings") || !strings.Contains(out.String(), "Two.") {
			t.Errorf("%v, %s", err, out.String())
		}
	}
}

// TestListed says of what is kept without a CID how much of it is here, and of what is damaged what to do.
func TestListed(t *testing.T) {
	for state, want := range map[string]string{
		"complete": "  fetched", "partial": "  fetched, partial: 3 bytes are here", "damaged": "  fetched, damaged: `bridge rm 11` and fetch it again",
	} {
		c := bridge.Content{Hash: "11", Format: "hashseq", Size: 7, Kept: &native.Kept{Why: "fetched", State: state, Have: 3}}
		if got := listed(c); !strings.HasSuffix(got, "hashseq     7"+want) {
			t.Errorf("%s: %q", state, got)
		}
	}
}
