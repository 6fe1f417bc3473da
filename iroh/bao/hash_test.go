package bao

import (
	"encoding/base32"
	"encoding/json"
	"strings"
	"testing"
)

func TestHashText(t *testing.T) {
	var text struct {
		Display string `json:"hash_display"`
	}
	readJSON(t, "testdata/text.json", &text)
	h, err := ParseHash(text.Display)
	if err != nil || h != Sum([]byte{0}) || h.String() != text.Display {
		t.Fatalf("%v, %v", h, err)
	}
	if h.ShortString() != text.Display[:10] {
		t.Errorf("short form %q", h.ShortString())
	}
	b32 := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h[:])
	for _, s := range []string{b32, strings.ToLower(b32)} {
		if got, err := ParseHash(s); got != h || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	bad := map[string]string{
		"empty":           "",
		"upper-case hex":  strings.ToUpper(text.Display),
		"short hex":       text.Display[:62],
		"long hex":        text.Display + "00",
		"not hex":         "g" + text.Display[1:],
		"short base32":    b32[:51],
		"long base32":     b32 + "A",
		"padding":         b32 + "====",
		"line break":      b32[:51] + "\n",
		"stray bits":      b32[:51] + "B",
		"not base32":      "1" + b32[1:],
		"leading space":   " " + b32[1:],
		"hash seq prefix": "s" + text.Display,
	}
	for name, s := range bad {
		if got, err := ParseHash(s); err == nil {
			t.Errorf("%s: %q gave %v", name, s, got)
		}
	}
}

func TestHashJSON(t *testing.T) {
	h := EmptyHash()
	b, err := json.Marshal(map[Hash]Hash{h: h})
	if err != nil {
		t.Fatal(err)
	}
	var back map[Hash]Hash
	if err := json.Unmarshal(b, &back); err != nil || back[h] != h {
		t.Errorf("%s: %v, %v", b, back, err)
	}
	if err := json.Unmarshal([]byte(`"af13"`), &h); err == nil || h != EmptyHash() {
		t.Errorf("a bad text gave %v, %v", h, err)
	}
	if h.IsZero() || !(Hash{}).IsZero() || Sum(nil) != h {
		t.Error("IsZero or Sum of nothing is wrong")
	}
}
