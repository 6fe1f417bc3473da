package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/config"
)

// serve opens a bridge without networks, its API, and a client of it.
func serve(t *testing.T) (*bridge.Bridge, *Client) {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Local = true
	log := slog.New(slog.DiscardHandler)
	b, err := bridge.Open(dir, cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Listen(Config{Service: Local(b), DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.http.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(s.Close(ctx), b.Close()); err != nil {
			t.Error(err)
		}
		if _, err := Dial(context.Background(), dir); !errors.Is(err, ErrNoDaemon) {
			t.Errorf("after Close: %v", err)
		}
	})
	return b, c
}

// counter is a Progress that adds up.
type counter struct {
	items int
	total int64
	bytes uint64
}

func (c *counter) Item(_ string, size int64) { c.items++; c.total += max(size, 0) }
func (c *counter) Bytes(n uint64)            { c.bytes += n }

// TestClientIsTheService: what comes through the API is what the bridge itself says.
func TestClientIsTheService(t *testing.T) {
	b, c := serve(t)
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB, more than is held back
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "f"), data, 0o644), os.WriteFile(filepath.Join(dir, "g"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for i := range 50 { // none of them is told of by itself, but all are counted
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("small", i)), data[:100+i], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var p counter
	folder, err := c.Add(t.Context(), bridge.AddRequest{Path: dir}, &p)
	if err != nil {
		t.Fatal(err)
	}
	if p.bytes != folder.Size || p.total != int64(folder.Size) || p.items > 50 {
		t.Errorf("progress of %d bytes of %d, want %d, in %d items", p.bytes, p.total, folder.Size, p.items)
	}
	file, err := c.Add(t.Context(), bridge.AddRequest{Path: filepath.Join(dir, "f"), Profile: "unixfs-v0-2015"}, bridge.Silent{})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{folder.CID, file.CID, file.Hash, "/ipfs/" + file.CID} {
		here, err1 := b.Map(t.Context(), target)
		there, err2 := c.Map(t.Context(), target)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(here, there); diff != "" {
			t.Error(diff)
		}
	}
	listed := map[string]bridge.Content{}
	if err := c.List(t.Context(), func(one bridge.Content) bool { listed[one.CID] = one; return true }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bridge.Content{folder.CID: folder, file.CID: file}, listed); diff != "" {
		t.Error(diff)
	}
	findings := 0
	if err := c.Verify(t.Context(), bridge.VerifyRequest{}, bridge.Silent{}, func(f bridge.Finding) error {
		findings++
		if !f.OK {
			t.Errorf("%+v", f)
		}
		return nil
	}); err != nil || findings != 2 {
		t.Errorf("%d findings, %v", findings, err)
	}
	id, err := c.Identity()
	if err != nil || len(id.EndpointID) != 64 || !strings.HasPrefix(id.PeerID, "12D3") {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := c.Remove(t.Context(), folder.CID); err != nil {
		t.Error(err)
	}
	if _, err := c.Map(t.Context(), folder.CID); !errors.Is(err, bridge.ErrNotFound) {
		t.Errorf("after rm: %v", err)
	}
}

func TestContentComesWhole(t *testing.T) {
	_, c := serve(t)
	dir := t.TempDir()
	for _, size := range []int{0, 1, holdBack - 1, holdBack, holdBack + 1, 5 << 20} {
		name := filepath.Join(dir, "f")
		data := bytes.Repeat([]byte{7}, size)
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		content, err := c.Add(t.Context(), bridge.AddRequest{Path: name}, bridge.Silent{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Open(t.Context(), content.CID, bridge.Silent{})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := r.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), data) || r.Folder() {
			t.Errorf("%d bytes: %d came, folder %v, %v", size, got.Len(), r.Folder(), err)
		}
		if d := r.Describe(); d.CID != content.CID || d.Hash != content.Hash || d.Format != "blob" || d.Size != uint64(size) {
			t.Errorf("described as %+v", d)
		}
		r.Close()
	}
}

// TestContentThatCannotBeRead is a problem if that shows at once, and a cut connection if it shows later.
func TestContentThatCannotBeRead(t *testing.T) {
	_, c := serve(t)
	dir := t.TempDir()
	early, late := filepath.Join(dir, "early"), filepath.Join(dir, "late")
	for _, sub := range []string{early, late} {
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(early, "f"), []byte("before"), 0o644),
		os.WriteFile(filepath.Join(late, "a"), bytes.Repeat([]byte{1}, 6<<20), 0o644),
		os.WriteFile(filepath.Join(late, "b"), []byte("before"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	var added []bridge.Content
	for _, sub := range []string{early, late} {
		content, err := c.Add(t.Context(), bridge.AddRequest{Path: sub, InPlace: true}, bridge.Silent{})
		if err != nil {
			t.Fatal(err)
		}
		added = append(added, content)
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(early, "f"), []byte("after!"), 0o644),
		os.WriteFile(filepath.Join(late, "b"), []byte("after!"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), added[0].CID, bridge.Silent{}); !errors.Is(err, bridge.ErrVerify) {
		t.Errorf("early: %v", err)
	}
	r, err := c.Open(t.Context(), added[1].CID, bridge.Silent{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.WriteTo(io.Discard); err == nil {
		t.Error("late: the stream ended as if it were whole")
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	for _, p := range problems {
		err := problemOf(errors.Join(errors.New("context"), p.err)).Err()
		if !errors.Is(err, p.err) || !strings.Contains(err.Error(), "context") {
			t.Errorf("%v became %v", p.err, err)
		}
	}
	if err := problemOf(errors.New("unforeseen")).Err(); err.Error() != "unforeseen" {
		t.Errorf("got %v", err)
	}
	_, c := serve(t)
	for name, tc := range map[string]struct {
		run  func() error
		want error
	}{
		"path is not there": {func() error {
			_, err := c.Add(t.Context(), bridge.AddRequest{Path: "/nowhere/at/all"}, bridge.Silent{})
			return err
		}, bridge.ErrInvalid},
		"target is nothing": {func() error { _, err := c.Map(t.Context(), "x y/z?"); return err }, bridge.ErrInvalid},
		"hash is not here":  {func() error { _, err := c.Remove(t.Context(), strings.Repeat("0", 64)); return err }, bridge.ErrNotFound},
		"no ticket": {func() error {
			_, err := c.Expose(t.Context(), bridge.ExposeRequest{Ticket: "x"}, bridge.Silent{})
			return err
		}, bridge.ErrInvalid},
		"no CID": {func() error {
			_, err := c.Import(t.Context(), bridge.ImportRequest{Path: "x"}, bridge.Silent{})
			return err
		}, bridge.ErrInvalid},
	} {
		if err := tc.run(); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

// TestOpenAPI: the description that is generated from the handlers is a valid one, and names every path.
func TestOpenAPI(t *testing.T) {
	_, c := serve(t)
	resp, err := c.do(t.Context(), "GET", "/api/v1/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/add", "/expose", "/import", "/fetch", "/push", "/observe", "/verify", "/ticket/{target}", "/peers", "/doctor", "/map/{target}", "/links", "/links/{target}", "/content/{target}", "/id", "/version"} {
		if doc.Paths.Find("/api/v1"+path) == nil {
			t.Errorf("%s is not described", path)
		}
	}
}

// TestServerLimits: requests and headers that are too large are refused.
func TestServerLimits(t *testing.T) {
	_, c := serve(t)
	resp, err := c.do(t.Context(), "POST", "/api/v1/import", bridge.ImportRequest{Path: strings.Repeat("x", maxBody+1)})
	if err == nil {
		resp.Body.Close()
		t.Error("a request larger than the limit was taken")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 2*maxHeader))
	if resp, err := c.http.Do(req); err == nil {
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("headers of %d bytes: %s", 2*maxHeader, resp.Status)
		}
		resp.Body.Close()
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
