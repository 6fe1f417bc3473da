package bridge

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/iroh-ipfs/bridge/bridge/native"
)

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// TestDamagedSequenceSaysWhatToDo in the list, by verify, and in the log, while nothing can be deleted; then it is done.
func TestDamagedSequenceSaysWhatToDo(t *testing.T) {
	a, b := online(t), reopened(t, open(t, t.TempDir()))
	folder := add(t, a, AddRequest{Path: folderOf(t, 600, 10)}) // a sequence that is a file of its own
	other := add(t, b, AddRequest{Path: filepath.Join(sample(t), "big")})
	if _, err := b.Fetch(timeout(t), native.FetchRequest{Content: folder.Ticket}, Silent{}); err != nil {
		t.Fatal(err)
	}
	closed(t, b)
	found, err := filepath.Glob(filepath.Join(b.Dir(), "blobs", "data", "*", folder.Hash+".data"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	var said syncBuffer
	if b, err = Open(b.Dir(), b.cfg, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
		t.Fatal(err)
	}
	defer closed(t, b)
	if all := list(t, b); len(all) != 2 || all[1].Kept == nil || all[1].Kept.State != "damaged" {
		t.Errorf("%+v", all)
	}
	var problems []string
	err = b.Verify(timeout(t), VerifyRequest{}, Silent{}, func(f Finding) error { problems = append(problems, f.Problems...); return nil })
	if !errors.Is(err, ErrPartial) || len(problems) != 1 || !strings.Contains(problems[0], "`bridge rm` it") || !strings.Contains(problems[0], folder.Hash) {
		t.Errorf("%v, %q", err, problems)
	}
	if _, err := b.Remove(timeout(t), other.CID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		return strings.Contains(said.String(), "nothing is deleted from the disk") && strings.Contains(said.String(), folder.Hash)
	})
	if !complete(t, b, other.Hash) {
		t.Error("it may have been the sequence's, and is deleted")
	}
	if _, err := b.Remove(timeout(t), folder.Hash); err != nil {
		t.Fatal(err)
	}
	purged(t, b)
	if complete(t, b, other.Hash) {
		t.Error("it is still here")
	}
}
