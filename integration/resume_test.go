package integration

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/integration/fault"
	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
)

// slowly puts a proxy before a ticket's provider that lets so many bytes through in a second, so that an expose is under way for seconds.
func slowly(t *testing.T, text string, rate int) (*fault.Proxy, string) {
	t.Helper()
	p, err := fault.NewProxy(direct(t, text), fault.Link{Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, reroute(t, text, p.Addr())
}

// exposing starts an expose as a process of its own, which works through the daemon if there is one.
func exposing(t *testing.T, data, text string) *peer.Process {
	t.Helper()
	process, err := peer.Start(peertest.Context(t), peer.Command{
		Path: program.Bin, Args: []string{"expose", text, "--json", "--local", "--data", data}, Stop: syscall.SIGINT,
		Env: []string{"BRIDGE_IROH_LISTEN=127.0.0.1:0", "BRIDGE_LIBP2P_LISTEN=/ip4/127.0.0.1/tcp/0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	return process
}

// until waits for a condition while a process runs.
func until(t *testing.T, process *peer.Process, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(peertest.Context(t), 2*time.Minute)
	defer cancel()
	for !ok() {
		select {
		case <-process.Done():
			t.Fatalf("it ended before %s", what)
		case <-ctx.Done():
			t.Fatalf("in vain for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// settled is how many bytes of files a bridge has for good: what an open database's log takes does not count.
func settled(t *testing.T, data string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(data, "blobs", "data"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".data") {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				bytes += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // the folder is made when it is needed, a file may be replaced
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// unseen fails the test unless what is arriving is in no list and does no harm.
func unseen(t *testing.T, data string) {
	t.Helper()
	for _, args := range [][]string{{"ls"}, {"verify"}} {
		if r := program.Run(peertest.Context(t), data, args...); r.Status != 0 || args[0] == "ls" && len(r.Stdout) > 0 {
			t.Errorf("%s: status %d\n%s%s", args[0], r.Status, r.Stdout, r.Stderr)
		}
	}
}

// isWhole compares what was exposed with what it is from, removes it, and waits until nothing of it is on the disk.
func isWhole(t *testing.T, data, cid, path string) {
	t.Helper()
	ctx, out := peertest.Context(t), filepath.Join(t.TempDir(), "out")
	if r := program.Run(ctx, data, "get", cid, "-o", out); r.Status != 0 {
		t.Fatalf("get: status %d\n%s", r.Status, r.Stderr)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		sameTree(t, out, path)
	} else {
		sameFile(t, out, path)
	}
	if r := program.Run(ctx, data, "rm", cid); r.Status != 0 {
		t.Fatalf("rm: status %d\n%s", r.Status, r.Stderr)
	}
	goes(t, data)
}

// goes waits until nothing is on the disk of a bridge whose daemon runs.
func goes(t *testing.T, data string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); settled(t, data) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still on the disk", settled(t, data))
		}
	}
}

// again is how much may come anew: of a blob what is between two of the store's records, what is on its way to the disk, and what
// comes after that; and a tenth of it all for the encoding, packets, and those that are sent twice.
func again(rest int64) int64 { return (rest + 48<<20) * 11 / 10 }

// TestExposeGoesOn after the process was killed, or interrupted, in the midst of a blob: what had come is not sent again.
func TestExposeGoesOn(t *testing.T) {
	const size, cut = 192 << 20, 144 << 20
	rust := peertest.Rust(t)
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), size, 1)
	node := peertest.Serve(t, rust, file)
	for name, end := range map[string]func(t *testing.T, command, daemon *peer.Process){
		"the daemon is killed":  func(_ *testing.T, _, daemon *peer.Process) { daemon.Kill() },
		"the daemon is ended":   func(t *testing.T, _, daemon *peer.Process) { stopped(t, daemon) },
		"the command is killed": func(_ *testing.T, command, _ *peer.Process) { command.Kill() },
		"Ctrl-C":                func(t *testing.T, command, _ *peer.Process) { stopped(t, command) },
	} {
		t.Run(name, func(t *testing.T) {
			proxy, text := slowly(t, node.Items[0].Ticket, 64<<20)
			data := filepath.Join(t.TempDir(), "data")
			var first *peer.Process
			if strings.Contains(name, "daemon") {
				first = start(t, data).Process
			}
			command := exposing(t, data, text)
			until(t, command, strconv.Itoa(cut)+" bytes", func() bool { return proxy.Counts().ToClients >= cut })
			proxy.Cut() // a process that is asked to end may go on for a moment
			end(t, command, first)
			_ = command.Wait(peertest.Context(t))
			before := proxy.Counts().ToClients
			proxy.Restore()
			daemon := start(t, data)
			unseen(t, data)
			c := do(t, daemon, "expose", text)
			came := proxy.Counts().ToClients - before
			t.Logf("%d of %d bytes had come, %d came then", before, size, came)
			if came > again(size-cut) {
				t.Errorf("%d bytes came then", came)
			}
			isWhole(t, data, c.CID, file)
		})
	}
}

func stopped(t *testing.T, process *peer.Process) {
	t.Helper()
	if err := process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(process.Wait(peertest.Context(t))); code != 0 && code != 130 {
		t.Errorf("exit status %d\n%s", code, process.Log())
	}
}

// TestExposeOfAFolderGoesOn after the process was killed: the files that were on the disk are not sent again. What is given up instead
// leaves nothing on the disk.
func TestExposeOfAFolderGoesOn(t *testing.T) {
	const files, size = 256, 700 << 10
	dir := filepath.Join(t.TempDir(), "folder")
	for i := range files {
		randomFile(t, filepath.Join(dir, strconv.Itoa(i)), size, uint64(i))
	}
	from := start(t)
	content := do(t, from, "add", dir)
	proxy, text := slowly(t, content.Ticket, 24<<20) // so that a disk can follow
	data := filepath.Join(t.TempDir(), "data")
	interrupt := func() (had int64) {
		t.Helper()
		command := exposing(t, data, text)
		until(t, command, "half on the disk", func() bool { return settled(t, data) >= files*size/2 })
		command.Kill()
		_ = command.Wait(peertest.Context(t))
		unseen(t, data) // and takes away what has no record
		return settled(t, data)
	}
	had, before := interrupt(), proxy.Counts().ToClients
	daemon := start(t, data)
	if had < files*size/10 { // what is being put there in the moment of the kill does not count
		t.Errorf("%d bytes are on the disk", had)
	}
	c := do(t, daemon, "expose", text)
	came := proxy.Counts().ToClients - before
	t.Logf("%d of %d bytes were on the disk, %d came then", had, files*size, came)
	if c.CID != content.CID || came > (files*size-had)*11/10+1<<20 {
		t.Errorf("%d bytes came then, for %+v", came, c)
	}
	isWhole(t, data, c.CID, dir)
	stopped(t, daemon.Process)

	if had := interrupt(); had == 0 {
		t.Error("nothing is held")
	}
	if r := program.Run(peertest.Context(t), data, "rm", content.Hash); r.Status != 0 {
		t.Errorf("rm: status %d\n%s", r.Status, r.Stderr)
	}
	start(t, data) // without a daemon it may take until the next start
	goes(t, data)
	if r := program.Run(peertest.Context(t), data, "rm", content.Hash); r.Status != 3 {
		t.Errorf("rm again: status %d\n%s", r.Status, r.Stderr)
	}
}
