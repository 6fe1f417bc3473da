package downloader

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

const (
	crashStore  = "BLOBS_TEST_CRASH_STORE"
	crashTicket = "BLOBS_TEST_CRASH_TICKET"
	crashAfter  = "BLOBS_TEST_CRASH_AFTER"
)

// TestCrashChild is the process that TestResumeAfterCrash kills: it fetches and, after so many bytes, kills itself with no chance to
// clean up.
func TestCrashChild(t *testing.T) {
	if os.Getenv(crashStore) == "" {
		t.Skip("only as a child of TestResumeAfterCrash")
	}
	after, err := strconv.ParseUint(os.Getenv(crashAfter), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	from, err := ticket.ParseBlob(os.Getenv(crashTicket))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(os.Getenv(crashStore), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := New(Config{Store: s, Endpoint: blobstest.Endpoint(t)})
	_, err = d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{from.Addr}, from.Hash, from.Format, &cancelAt{at: after, cancel: func() {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			_ = self.Kill()
		}
		select {}
	}})
	t.Fatalf("fetch ended before it was killed: %v", err)
}

// TestResumeAfterCrash kills the fetching process at random points: what had been recorded is not asked for again, and the store
// needs no repair.
func TestResumeAfterCrash(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	from := blobstest.OpenStore(t)
	addr := blobstest.Provide(t, blobs.ProviderConfig{Store: from})
	for round := range rounds {
		data := blobstest.RandomBytes(uint64(100+round), 160<<20)
		hash := blobstest.Put(t, from, data)
		dir := t.TempDir()
		after := rand.Uint64N(uint64(len(data)) - 1<<20)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrashChild$")
		child.Env = append(os.Environ(), crashStore+"="+dir, crashAfter+"="+fmt.Sprint(after),
			crashTicket+"="+ticket.Blob{Addr: addr, Hash: hash, Format: ticket.Raw}.String())
		out, err := child.CombinedOutput()
		cancel()
		if err == nil || child.ProcessState.ExitCode() != -1 {
			t.Fatalf("child was not killed: %v\n%s", err, out)
		}
		s, err := store.Open(dir, store.Config{})
		if err != nil {
			t.Fatal(err)
		}
		d := New(Config{Store: s, Endpoint: blobstest.Endpoint(t)})
		stats, err := d.Fetch(blobstest.Deadline(t), []ticket.EndpointAddr{addr}, hash, ticket.Raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		blobstest.WantBlob(t, s, data)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := int64(after) + int64(stats.Bytes) - int64(len(data))
		t.Logf("killed after %d bytes: %d asked for again", after, again)
		// Bytes between two records, and what is on its way to the disk when the next one begins.
		if again > 3*16<<20 || again < 0 {
			t.Errorf("killed after %d bytes of %d: %d asked for again", after, len(data), again)
		}
		if err := from.Delete(hash); err != nil {
			t.Fatal(err)
		}
	}
}
