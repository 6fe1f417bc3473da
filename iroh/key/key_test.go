package key

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// identity is testdata/identity.json, made by iroh-base 1.4.1.
type identity struct {
	Secret  string `json:"secret_key_hex"`
	Hex     string `json:"endpoint_id_hex"`
	Z32     string `json:"endpoint_id_z32"`
	Base32  string `json:"endpoint_id_base32_nopad_lower"`
	DNSSEC  string `json:"endpoint_id_base32_dnssec"`
	Short   string `json:"short"`
	SPKI    string `json:"spki_der_hex"`
	Sign    string `json:"sign_hello_hex"`
	Secret2 string `json:"sk2_hex"`
	Public2 string `json:"pk2_hex"`
}

func vectors(t testing.TB) (v identity, k SecretKey) {
	t.Helper()
	b, err := os.ReadFile("testdata/identity.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	k, err = ParseSecretKey(v.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return v, k
}

func TestIdentity(t *testing.T) {
	v, k := vectors(t)
	id := k.ID()
	for name, c := range map[string][2]string{
		"hex":       {id.String(), v.Hex},
		"z32":       {id.Z32(), v.Z32},
		"base32":    {id.Base32(), v.Base32},
		"short":     {id.ShortString(), v.Short},
		"spki":      {hex.EncodeToString(id.SPKI()), v.SPKI},
		"signature": {hex.EncodeToString(k.Sign([]byte("hello"))), v.Sign},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %s, want %s", name, c[0], c[1])
		}
	}
	for _, s := range []string{v.Hex, v.Base32, strings.ToUpper(v.Base32)} {
		if got, err := ParseEndpointID(s); got != id || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	if got, err := EndpointIDFromSPKI(id.SPKI()); got != id || err != nil {
		t.Errorf("SPKI: %v, %v", got, err)
	}
	if k2, err := ParseSecretKey(v.Secret2); err != nil || k2.ID().String() != v.Public2 {
		t.Errorf("second key: %v", err)
	}
}

func TestParseEndpointIDRefuses(t *testing.T) {
	v, _ := vectors(t)
	for name, s := range map[string]string{
		"empty":              "",
		"upper-case hex":     strings.ToUpper(v.Hex),
		"z-base-32":          v.Z32,
		"dnssec base32":      v.DNSSEC,
		"short hex":          v.Hex[:62],
		"odd hex":            v.Hex[:63],
		"long hex":           v.Hex + "00",
		"not hex":            "x" + v.Hex[1:],
		"line break":         v.Base32[:51] + "\n",
		"two line breaks":    v.Base32[:26] + "\r\n" + v.Base32[28:],
		"stray bits":         v.Base32[:51] + "b",
		"zero":               strings.Repeat("0", 64),
		"not on the curve":   "02" + strings.Repeat("0", 62),
		"y not below p":      "f0" + strings.Repeat("f", 60) + "7f",
		"all ones":           strings.Repeat("f", 64),
		"identity, sign set": "01" + strings.Repeat("0", 60) + "80",
	} {
		id, err := ParseEndpointID(s)
		if !errors.Is(err, ErrEndpointID) || !id.IsZero() {
			t.Errorf("%s: %v, %v", name, id, err)
		}
	}
	if _, err := EndpointIDFromBytes(make([]byte, 31)); !errors.Is(err, ErrEndpointID) {
		t.Errorf("31 bytes: %v", err)
	}
}

// TestSPKIRefuses changes each byte of the prefix, and the length.
func TestSPKIRefuses(t *testing.T) {
	_, k := vectors(t)
	good := k.ID().SPKI()
	for i := range spkiPrefix {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if id, err := EndpointIDFromSPKI(bad); !errors.Is(err, ErrEndpointID) {
			t.Errorf("byte %d changed: %v, %v", i, id, err)
		}
	}
	for _, bad := range [][]byte{nil, good[:12], good[:43], append(bytes.Clone(good), 0)} {
		if id, err := EndpointIDFromSPKI(bad); !errors.Is(err, ErrEndpointID) {
			t.Errorf("%d bytes: %v, %v", len(bad), id, err)
		}
	}
}

func TestEndpointIDText(t *testing.T) {
	v, k := vectors(t)
	type doc struct{ ID EndpointID }
	b, err := json.Marshal(doc{k.ID()})
	if want := `{"ID":"` + v.Hex + `"}`; err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
	var back doc
	if err := json.Unmarshal(b, &back); err != nil || back.ID != k.ID() {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"ID":"00"}`), &back); !errors.Is(err, ErrEndpointID) || back.ID != k.ID() {
		t.Errorf("bad text: %v, %v", back, err)
	}
	if text, err := k.ID().AppendText([]byte("id=")); err != nil || string(text) != "id="+v.Hex {
		t.Errorf("AppendText: %s, %v", text, err)
	}
}

// TestCurve compares onCurve with crypto/ed25519, which can make points but not
// test them: every public key is a point, and about half of all y are not.
func TestCurve(t *testing.T) {
	points := 0
	for i := range 512 {
		var seed [32]byte
		seed[0], seed[1] = byte(i), byte(i>>8)
		public := [32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
		if !onCurve(public) || smallOrder(public) {
			t.Fatalf("public key %x is refused", public)
		}
		public[0] += 1
		if onCurve(public) {
			points++
		}
	}
	if points < 190 || points > 322 {
		t.Errorf("%d of 512 random y are points, want about 256", points)
	}
}
