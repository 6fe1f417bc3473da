package recording

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/pebble"
)

// TestNoEntryForBlobsThatAreNotDurable commits a link of which a blob cannot be made durable, since its file is gone: no
// entry of the register may stay, or the link would be taken for one that the mapping has lost.
func TestNoEntryForBlobsThatAreNotDurable(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := pebble.Open(t.TempDir(), pebble.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := begin(t, s, m)
	root := put(t, s, r, "file", bytes.Repeat([]byte("large"), 100_000))
	temporary, err := filepath.Glob(filepath.Join(dir, "tmp", "*.data"))
	if err != nil || len(temporary) != 1 {
		t.Fatalf("%d files of the blob, %v", len(temporary), err)
	}
	if err := os.Remove(temporary[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CommitAs(t.Context(), root.CID, r.files[0].hash, mapping.FormatBlob); err == nil {
		t.Fatal("a link was committed whose blob is gone")
	}
	if committed, err := r.End(); committed || err != nil {
		t.Errorf("committed %v, %v", committed, err)
	}
	if layouts, err := NewRegister(s, m).Layouts(); len(layouts) != 0 || err != nil {
		t.Errorf("the register has %v, %v", layouts, err)
	}
}
