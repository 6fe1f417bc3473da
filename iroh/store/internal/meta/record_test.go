package meta

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// samples are records of every kind, at the edges of sizes.
func samples() []Record {
	source := Source{Path: "/a/ä", Ident: Ident{Size: 100_000, Mtime: -5, Ctime: 1 << 60, Inode: 1<<64 - 1}}
	return []Record{
		{Kind: Inline, Size: 0, Payload: []byte{}},
		{Kind: Inline, Size: 5, Payload: []byte("hello")},
		{Kind: Inline, Size: MaxInline, Payload: make([]byte, MaxInline)},
		{Kind: Stored, Size: 1, Payload: []byte{}},
		{Kind: Stored, Size: 100_000, Payload: bytes.Repeat([]byte{7}, 384)},
		{Kind: Stored, Size: 257 << 14, Payload: make([]byte, MaxInlineOutboard)},
		{Kind: Stored, Size: 257<<14 + 1, Payload: []byte{}},
		{Kind: Stored, Size: MaxSize, Payload: []byte{}},
		{Kind: InPlace, Size: 100_000, Source: source, Payload: make([]byte, 384)},
		{Kind: Partial, Size: 100_000, Groups: bao.Ranges{}, Pairs: bao.Ranges{}, Payload: make([]byte, 384)},
		{Kind: Partial, Size: MaxSize, Groups: bao.Ranges{0, 16, 32, 1 << 50}, Pairs: bao.Ranges{3, 4}, Payload: []byte{}},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, r := range samples() {
		b := r.append([]byte("x"))
		got, err := ParseRecord(b[1:])
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v\ncame back as %+v, %v", r, got, err)
		}
		if len(b)-1 != r.length() {
			t.Errorf("length %d instead of %d", r.length(), len(b)-1)
		}
	}
}

func TestRecordOverhead(t *testing.T) {
	r := Record{Kind: Inline, Payload: make([]byte, 4096)}
	if n := len(r.append(nil)) - 4096; n != 1 {
		t.Errorf("a small blob costs %d bytes more than it has", n)
	}
	r = Record{Kind: Stored, Size: 1 << 30}
	if n := len(r.append(nil)); n > 8 {
		t.Errorf("a large blob's record has %d bytes", n)
	}
}

func TestRecordRefusesDamage(t *testing.T) {
	partial := Record{Kind: Partial, Size: 100_000, Groups: bao.Ranges{0, 16}, Pairs: bao.Ranges{0, 1}, Payload: make([]byte, 384)}
	good := partial.append(nil)
	for name, b := range map[string][]byte{
		"empty":              {},
		"unknown kind":       {9, 1},
		"kind zero":          {0},
		"inline too long":    append([]byte{1}, make([]byte, MaxInline+1)...),
		"no size":            {2},
		"endless size":       {2, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
		"huge size":          {2, 255, 255, 255, 255, 255, 255, 255, 255, 127},
		"outboard missing":   good[:len(good)-1],
		"outboard too long":  append(bytes.Clone(good), 0),
		"odd boundaries":     {4, 1, 1, 5},
		"endless boundaries": {4, 1, 255, 255, 255, 127, 5},
		"boundaries repeat":  {4, 1, 2, 5, 0, 0},
		"boundaries wrap":    append([]byte{4, 1, 2, 5}, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
		"path too long":      {3, 1, 255, 255, 127},
	} {
		if r, err := ParseRecord(b); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, r := range samples() {
		if len(r.Payload) < 1000 {
			f.Add(r.append(nil))
		}
	}
	f.Add([]byte{4, 1, 2, 5, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		if r.Groups.Valid() != nil || r.Pairs.Valid() != nil || r.Size > MaxSize {
			t.Fatalf("%+v", r)
		}
		again, err := ParseRecord(r.append(nil))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

func TestIdentSeesEveryChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	stat := func() os.FileInfo {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	src := Source{Path: path, Ident: IdentOf(stat())}
	if !src.Is(stat()) {
		t.Fatal("not itself")
	}
	if err := os.Chtimes(path, time.Time{}, stat().ModTime().Add(time.Nanosecond)); err != nil {
		t.Fatal(err)
	}
	if src.Is(stat()) {
		t.Fatal("a nanosecond was not seen")
	}
	src.Ident = IdentOf(stat())
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if src.Is(stat()) {
		t.Fatal("a folder is not the file")
	}
}

func TestBatchIsCutAndKeepsItsOrder(t *testing.T) {
	mem := vfs.NewMem()
	db, err := Open("db", mem, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	data := make([]byte, MaxInline)
	rnd := rand.NewChaCha8([32]byte{1})
	var all []bao.Hash
	for range 100 { // 1.6 MiB: seven batches
		_, _ = rnd.Read(data)
		h := bao.Sum(data)
		all = append(all, h)
		b.SetBlob(h, &Record{Kind: Inline, Payload: data})
		b.SetIntent(h)
	}
	b.RemoveIntent(all[0])
	b.RemoveBlob(all[1])
	b.SetTag("t", all[2], 1)
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	for i, h := range all {
		rec, found, err := db.Blob(h, true)
		if err != nil || found == (i == 1) || found && bao.Sum(rec.Payload) != h {
			t.Fatal(i, found, err)
		}
		if rec, found, err := db.Blob(h, false); err != nil || rec.Payload != nil || found == (i == 1) {
			t.Fatal(i, found, err)
		}
	}
	if intents, err := db.Intents(); err != nil || len(intents) != 99 {
		t.Fatal(len(intents), err)
	}
	n := 0
	if err := db.Blobs(func(h bao.Hash, rec Record, err error) bool { n++; return err == nil && n < 10 }); err != nil || n != 10 {
		t.Fatal(n, err)
	}
	if h, format, found, err := db.Tag("t"); err != nil || !found || h != all[2] || format != 1 {
		t.Fatal(h, format, found, err)
	}
	if err := db.NewBatch().Commit(true); err != nil {
		t.Fatal(err)
	}
	if err := db.NewBatch().Discard(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownVersionIsRefused(t *testing.T) {
	mem := vfs.NewMem()
	db, err := Open("db", mem, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	b.set([]byte{keyVersion}, []byte{layoutVersion + 1})
	if err := b.Commit(true); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("db", mem, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "version") {
		t.Fatal(err)
	}
}
