package api

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGuard is the table of who gets in. The handler behind it must not run for anybody refused.
func TestGuard(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	good := map[string]string{"Authorization": "Bearer " + token}
	with := func(kv ...string) map[string]string {
		m := map[string]string{"Authorization": "Bearer " + token}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for name, tc := range map[string]struct {
		host    string
		path    string
		headers map[string]string
		want    int
	}{
		"loopback":               {"127.0.0.1:5021", "/api/v1/id", good, 200},
		"loopback v6":            {"[::1]:5021", "/api/v1/id", good, 200},
		"localhost":              {"localhost:5021", "/api/v1/id", good, 200},
		"configured name":        {"bridge.internal:5021", "/api/v1/id", good, 200},
		"own origin":             {"127.0.0.1:5021", "/api/v1/id", with("Origin", "http://127.0.0.1:5021"), 200},
		"no token":               {"127.0.0.1:5021", "/api/v1/id", nil, 401},
		"wrong token":            {"127.0.0.1:5021", "/api/v1/id", map[string]string{"Authorization": "Bearer " + strings.Repeat("0", 32)}, 401},
		"token as basic":         {"127.0.0.1:5021", "/api/v1/id", map[string]string{"Authorization": "Basic " + token}, 401},
		"empty token":            {"127.0.0.1:5021", "/api/v1/id", map[string]string{"Authorization": "Bearer "}, 401},
		"token prefix":           {"127.0.0.1:5021", "/api/v1/id", map[string]string{"Authorization": "Bearer " + token[:31]}, 401},
		"rebound name":           {"evil.example:5021", "/api/v1/id", good, 403},
		"rebound without port":   {"evil.example", "/api/v1/id", good, 403},
		"localhost as subdomain": {"localhost.evil.example:5021", "/api/v1/id", good, 403},
		"nip name":               {"127.0.0.1.nip.example:5021", "/api/v1/id", good, 403},
		"empty host":             {"", "/api/v1/id", good, 403},
		"foreign origin":         {"127.0.0.1:5021", "/api/v1/id", with("Origin", "http://evil.example"), 403},
		"origin other port":      {"127.0.0.1:5021", "/api/v1/id", with("Origin", "http://127.0.0.1:8080"), 403},
		"null origin":            {"127.0.0.1:5021", "/api/v1/id", with("Origin", "null"), 403},
		"extension origin":       {"127.0.0.1:5021", "/api/v1/id", with("Origin", "chrome-extension://abc"), 403},
		"cross-site fetch":       {"127.0.0.1:5021", "/api/v1/id", with("Sec-Fetch-Site", "cross-site"), 403},
		"liveness needs nothing": {"127.0.0.1:5021", "/livez", nil, 200},
		"liveness of rebound":    {"evil.example:5021", "/livez", nil, 403},
		"description, no token":  {"127.0.0.1:5021", "/api/v1/openapi.json", nil, 401},
	} {
		t.Run(name, func(t *testing.T) {
			ran := false
			h := guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }), token, []string{"bridge.internal"})
			r := httptest.NewRequest(http.MethodPost, "http://x"+tc.path, nil)
			r.Host = tc.host
			for k, v := range tc.headers {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tc.want || ran != (tc.want == 200) {
				t.Errorf("status %d, handler ran: %v; want %d", w.Code, ran, tc.want)
			}
			if tc.want != 200 && w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("refused with %q", w.Header().Get("Content-Type"))
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Error("nosniff is missing")
			}
		})
	}
}

func TestTokenIsMadeOnceAndIsPrivate(t *testing.T) {
	dir := t.TempDir()
	first, err := Token(dir)
	if err != nil || len(first) != 64 {
		t.Fatalf("%d characters, %v", len(first), err)
	}
	info, err := os.Stat(filepath.Join(dir, tokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if second, err := Token(dir); err != nil || second != first {
		t.Errorf("a second token was made: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, tokenFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Token(dir); err == nil {
		t.Error("an empty token was taken")
	}
}
