package api

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ask sends a request to the server that listens, as any HTTP client would: nothing of ours but the address and the
// token that stand in the data folder.
func ask(t *testing.T, dir, method, path, body string, change func(*http.Request)) *http.Response {
	t.Helper()
	var at struct{ URL string }
	text, err := os.ReadFile(filepath.Join(dir, "api.json"))
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, at.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(req)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// problem reads an answer that has to be problem details.
func problem(t *testing.T, resp *http.Response, status int) map[string]any {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s, %q, want %d and a problem: %s", resp.Status, resp.Header.Get("Content-Type"), status, text)
	}
	var p map[string]any
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if p["status"] != float64(status) || p["title"] == "" || p["detail"] == "" || p["type"] == "" {
		t.Errorf("problem %s", text)
	}
	return p
}

// TestWhoGetsIn asks the server that listens: token, Host and Origin are looked at there, for every path.
func TestWhoGetsIn(t *testing.T) {
	b, _ := serve(t)
	for name, tc := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"as it should be":      {nil, 200},
		"no token":             {func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"another token":        {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("0", 64)) }, 401},
		"a name for this host": {func(r *http.Request) { r.Host = "localhost:1" }, 200},
		"a rebound name":       {func(r *http.Request) { r.Host = "evil.example" }, 403},
		"a page of another":    {func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		"a page of this host":  {func(r *http.Request) { r.Header.Set("Origin", "http://"+r.URL.Host) }, 200},
		"a page, cross-site":   {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/api/v1/id", "/api/v1/version", "/api/v1/links", "/api/v1/openapi.json"} {
				resp := ask(t, b.Dir(), "GET", path, "", tc.change)
				if tc.want != 200 {
					problem(t, resp, tc.want)
				} else if resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", path, resp.Status)
				}
			}
			// What is refused has not been done.
			for _, r := range [][3]string{
				{"POST", "/api/v1/add", `{"path":"/nowhere"}`}, {"POST", "/api/v1/verify", `{}`}, {"DELETE", "/api/v1/links/x", ""}, {"GET", "/api/v1/content/x", ""},
			} {
				if resp := ask(t, b.Dir(), r[0], r[1], r[2], tc.change); tc.want != 200 {
					problem(t, resp, tc.want)
				}
			}
		})
	}
}

// TestWhatStandsOnTheWire: an operation answers with lines that are each one JSON object, the last one of which says how
// it ended; what cannot begin is problem details.
func TestWhatStandsOnTheWire(t *testing.T) {
	b, _ := serve(t)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := func(resp *http.Response) (events []map[string]any) {
		t.Helper()
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("%s, %q", resp.Status, resp.Header.Get("Content-Type"))
		}
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			var e map[string]any
			if err := json.Unmarshal(s.Bytes(), &e); err != nil {
				t.Fatalf("%v in the line %q", err, s.Text())
			}
			events = append(events, e)
		}
		if len(events) == 0 {
			t.Fatal("no line")
		}
		return events
	}
	added := lines(ask(t, b.Dir(), "POST", "/api/v1/add", `{"path":"`+file+`"}`, nil))
	last := added[len(added)-1]
	content, _ := last["content"].(map[string]any)
	if last["event"] != "done" || content["size"] != float64(7) || content["format"] != "blob" {
		t.Fatalf("added: %v", added)
	}
	for _, e := range added[:len(added)-1] {
		if e["event"] != "item" && e["event"] != "bytes" {
			t.Errorf("event %v", e)
		}
	}
	if verified := lines(ask(t, b.Dir(), "POST", "/api/v1/verify", `{}`, nil)); len(verified) < 2 || verified[len(verified)-1]["event"] != "done" {
		t.Errorf("verified: %v", verified)
	}
	if links := lines(ask(t, b.Dir(), "GET", "/api/v1/links", "", nil)); len(links) != 1 || links[0]["cid"] != content["cid"] {
		t.Errorf("links: %v", links)
	}
	failed := lines(ask(t, b.Dir(), "POST", "/api/v1/add", `{"path":"/nowhere/at/all"}`, nil))
	end := failed[len(failed)-1]
	if p, _ := end["problem"].(map[string]any); end["event"] != "error" || p["type"] != "urn:iroh-ipfs-bridge:problem:invalid-request" {
		t.Errorf("a path that is not there: %v", failed)
	}
	if p := problem(t, ask(t, b.Dir(), "GET", "/api/v1/map/"+strings.Repeat("0", 64), "", nil), 404); p["type"] != "urn:iroh-ipfs-bridge:problem:not-found" {
		t.Errorf("map of nothing: %v", p)
	}
	problem(t, ask(t, b.Dir(), "POST", "/api/v1/add", `{"path":`, nil), 400)
	problem(t, ask(t, b.Dir(), "POST", "/api/v1/add", `{"path":"/x","in_place":true}`, nil), 422)
	get := ask(t, b.Dir(), "GET", "/api/v1/content/"+content["cid"].(string), "", nil)
	if text, err := io.ReadAll(get.Body); err != nil || string(text) != "content" || get.Header.Get("X-Ipfs-Roots") != content["cid"] || get.Header.Get("X-Blake3") != content["hash"] {
		t.Errorf("get: %q, %v, %v", text, get.Header, err)
	}
}
