package key

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// TestRedacted prints a key, and structs that hold one, in every way there is, and
// looks for the seed in hex, base64-ish and decimal.
func TestRedacted(t *testing.T) {
	seed := [32]byte(bytes.Repeat([]byte{0xa7}, 32))
	k := SecretKeyFromSeed(seed)
	type holder struct {
		Key    SecretKey
		hidden SecretKey
		ptr    *SecretKey
	}
	h := holder{k, k, &k}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U", "%t", "%p", "%T"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", &k)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
		fmt.Fprintf(&out, verb+"\n", []any{h, k})
	}
	fmt.Fprintln(&out, k, &k, h)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("key", "k", k, "p", &k, "h", h, "g", slog.GroupValue(slog.Any("k", k)))
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"k": k, "h": h}); err != nil {
		t.Error(err)
	}
	fmt.Fprintln(&out, fmt.Errorf("with %v", k))
	text := strings.ToLower(out.String())
	for _, leak := range []string{hex.EncodeToString(seed[:3]), "167 167", "167,167", "p6enp6", "uot2pj", "a7 a7", "0xa7", "\\xa7"} {
		if strings.Contains(text, leak) {
			t.Errorf("output holds %q:\n%s", leak, text)
		}
	}
	if got := fmt.Sprintf("%v %+v %x", k, k, k); strings.Count(got, redacted) != 3 {
		t.Errorf("prints %q", got)
	}
}

func TestSecretKey(t *testing.T) {
	v, k := vectors(t)
	again, err := ParseSecretKey(v.Secret)
	if err != nil || !k.Equal(again) {
		t.Errorf("the same key is not equal: %v", err)
	}
	other, err := GenerateSecretKey()
	if err != nil || k.Equal(other) || other.IsZero() {
		t.Errorf("a new key equals the old one: %v", err)
	}
	if (SecretKey{}).Equal(SecretKey{}) || k.Equal(SecretKey{}) || !(SecretKey{}).IsZero() {
		t.Error("the zero key equals something")
	}
	if !other.ID().Verify([]byte("m"), other.Sign([]byte("m"))) {
		t.Error("own signature is refused")
	}
	b32 := strings.ToUpper("aeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq")
	if got, err := ParseSecretKey(b32); err != nil || !got.Equal(k) {
		t.Errorf("base32: %v", err)
	}
	for _, s := range []string{"", "01", strings.Repeat("G", 64), strings.Repeat("A", 64), v.Secret + "\n", b32[:51], b32[:51] + "1"} {
		_, err := ParseSecretKey(s)
		if !errors.Is(err, ErrSecretKey) || len(s) > 2 && strings.Contains(err.Error(), s) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestLoadOrCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "iroh.key")
	k, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, _ := os.ReadFile(path)
	if want := hex.EncodeToString(k.private().Seed()) + "\n"; string(text) != want {
		t.Error("the file does not hold hex and a newline")
	}
	again, err := LoadOrCreate(path)
	if err != nil || !again.Equal(k) {
		t.Errorf("second call: another key, or %v", err)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("%d files are left: %v", len(entries), entries)
	}
}

// TestLoadOrCreateTogether lets many ask at once for a key that is not there yet.
func TestLoadOrCreateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "iroh.key")
	keys := make([]SecretKey, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadOrCreate(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, k := range keys {
		if !k.Equal(keys[0]) {
			t.Errorf("caller %d has a key of its own", i)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files are left", len(entries))
	}
}

func TestLoadRefuses(t *testing.T) {
	v, _ := vectors(t)
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if runtime.GOOS != "windows" {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660, 0o666, 0o610} {
			path := write("open", v.Secret+"\n", mode)
			if _, err := LoadOrCreate(path); !errors.Is(err, ErrPermissions) {
				t.Errorf("mode %v: %v", mode, err)
			}
		}
	}
	for name, text := range map[string]string{"empty": "", "half": v.Secret[:32], "long": strings.Repeat("a", 1<<20), "two": v.Secret + "\n" + v.Secret + "\n"} {
		path := write(name, text, 0o600)
		_, err := LoadOrCreate(path)
		if !errors.Is(err, ErrSecretKey) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
	for _, end := range []string{"", "\n", "\r\n"} {
		if _, err := LoadOrCreate(write("end", v.Secret+end, 0o600)); err != nil {
			t.Errorf("line end %q: %v", end, err)
		}
	}
	if _, err := LoadOrCreate(dir); err == nil {
		t.Error("a directory is taken for a key")
	}
	if _, err := LoadOrCreate(filepath.Join(dir, "no", "such", "folder")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}
