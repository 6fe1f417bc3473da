package wire

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alertOf is the alert of an error; -1 of none.
func alertOf(err error) int {
	var a tls.AlertError
	if errors.As(err, &a) {
		return int(a)
	}
	return -1
}

// sample is a good message of each kind, with the parser of its body; parse returns what can be written back, or nil.
type sample struct {
	name  string
	raw   []byte
	parse func(body []byte) (appender, error)
}

type appender interface {
	Append(dst []byte) ([]byte, error)
}

// spki is the public key of RFC 8410, section 10.1.
const spki = "302a300506032b6570032100 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"

func samples(t testing.TB) []sample {
	t.Helper()
	random, share := bytes.Repeat([]byte{7}, RandomSize), bytes.Repeat([]byte{9}, ShareSize)
	hello := NewClientHello(random, []uint16{0x1301, 0x1303}, share, []string{"/iroh-bytes/4", "h3"}, []byte{1, 2, 3})
	retry := NewClientHello(random, []uint16{0x1301}, share, []string{"x"}, nil)
	retry.SetCookie([]byte("crumbs"))
	retry.Extensions = append(retry.Extensions, Extension{ExtServerName, unhex(t, "0008 00 0005 6c6f63616c")},
		Extension{ExtPSKModes, []byte{1, 1}}, Extension{ExtEarlyData, nil}, Extension{ExtPreSharedKey, []byte("ignored")})
	cookie := NewHelloRetryRequest(0x1302)
	cookie.Extensions = append(cookie.Extensions, Extension{ExtCookie, unhex(t, "0003 010203")})
	parameters := NewEncryptedExtensions("h3", []byte{5})
	parameters.Extensions = append(parameters.Extensions, Extension{ExtSupportedGroups, unhex(t, "0002 001d")})

	build := func(raw []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	client := func(b []byte) (appender, error) { m, err := ParseClientHello(b); return m, err }
	server := func(b []byte) (appender, error) { m, err := ParseServerHello(b); return m, err }
	ee := func(b []byte) (appender, error) { m, err := ParseEncryptedExtensions(b); return m, err }
	return []sample{
		{"ClientHello", build(hello.Append(nil)), client},
		{"second ClientHello", build(retry.Append(nil)), client},
		{"ServerHello", build(NewServerHello(random, 0x1301, share).Append(nil)), server},
		{"HelloRetryRequest", build(NewHelloRetryRequest(0x1301).Append(nil)), server},
		{"HelloRetryRequest with cookie", build(cookie.Append(nil)), server},
		{"EncryptedExtensions", build(parameters.Append(nil)), ee},
		{"CertificateRequest", build(AppendCertificateRequest(nil)), func(b []byte) (appender, error) { return nil, ParseCertificateRequest(b) }},
		{"Certificate", build(AppendCertificate(nil, unhex(t, spki))), func(b []byte) (appender, error) { _, err := ParseCertificate(b); return nil, err }},
		{"CertificateVerify", build(AppendCertificateVerify(nil, make([]byte, 64))), func(b []byte) (appender, error) { _, err := ParseCertificateVerify(b); return nil, err }},
		{"Finished", build(AppendFinished(nil, make([]byte, 32))), func(b []byte) (appender, error) { _, err := ParseFinished(b, 32); return nil, err }},
		{"NewSessionTicket", unhex(t, "04000019 00015180 01020304 02 0000 0002 7469 0008 002a 0004 ffffffff"), func(b []byte) (appender, error) { return nil, ParseNewSessionTicket(b) }},
	}
}

func TestSamples(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			if n := int(s.raw[1])<<16 | int(s.raw[2])<<8 | int(s.raw[3]); n != len(s.raw)-HeaderSize {
				t.Fatalf("length %d of %d", n, len(s.raw)-HeaderSize)
			}
			if !strings.Contains(s.name, Type(s.raw[0]).String()) && !strings.HasPrefix(s.name, "HelloRetryRequest") {
				t.Errorf("type %s", Type(s.raw[0]))
			}
			body := s.raw[HeaderSize:]
			m, err := s.parse(body)
			if err != nil {
				t.Fatal(err)
			}
			if m != nil {
				again, err := m.Append([]byte("before"))
				if err != nil || !bytes.Equal(again, append([]byte("before"), s.raw...)) {
					t.Errorf("written back: %x, %v", again, err)
				}
			}
			// No shorter and no longer body is a message. (Without its extensions a ServerHello is one of TLS 1.2.)
			for i := range body {
				if _, err := s.parse(body[:i]); alertOf(err) < 0 && i != RandomSize+6 {
					t.Errorf("cut at %d of %d: %v", i, len(body), err)
				}
			}
			if _, err := s.parse(append(slices.Clone(body), 0)); alertOf(err) != int(DecodeError) {
				t.Errorf("a byte longer: %v", err)
			}
		})
	}
}

func TestGoldenBytes(t *testing.T) {
	raw, err := AppendCertificate(nil, unhex(t, spki))
	if want := unhex(t, "0b000035 00 000031 00002c"+spki+"0000"); err != nil || !bytes.Equal(raw, want) {
		t.Errorf("Certificate %x, %v", raw, err)
	}
	raw, err = AppendCertificateRequest(nil)
	if want := unhex(t, "0d00000b 00 0008 000d 0004 0002 0807"); err != nil || !bytes.Equal(raw, want) {
		t.Errorf("CertificateRequest %x, %v", raw, err)
	}
	raw, err = NewEncryptedExtensions("/iroh-bytes/4", []byte{0xaa}).Append(nil)
	if want := unhex(t, "08000025 0023 0010 0010 000e0d2f69726f682d62797465732f34 0013 0001 02 0014 0001 02 0039 0001 aa"); err != nil || !bytes.Equal(raw, want) {
		t.Errorf("EncryptedExtensions %x, %v", raw, err)
	}
	// RFC 8446, section 4.1.3.
	if want := unhex(t, "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"); !bytes.Equal(retryRandom(), want) {
		t.Errorf("random of a HelloRetryRequest: %x", retryRandom())
	}
	// RFC 8446, section 4.4.3: the worked example.
	want := unhex(t, strings.Repeat("20", 64)+"544c5320312e332c20736572766572204365727469666963617465566572696679"+"00"+strings.Repeat("01", 32))
	if got := SignedContent(true, bytes.Repeat([]byte{1}, 32)); !bytes.Equal(got, want) {
		t.Errorf("signed content %x", got)
	}
	if bytes.Equal(SignedContent(true, nil), SignedContent(false, nil)) {
		t.Error("both sides sign the same")
	}
}

func TestTooLongToWrite(t *testing.T) {
	m := NewEncryptedExtensions("x", make([]byte, 1<<16))
	if _, err := m.Append(nil); alertOf(err) != int(InternalError) || errors.Unwrap(err) != nil {
		t.Errorf("parameters of 64 KiB: %v", err)
	}
}

func TestError(t *testing.T) {
	cause := errors.New("the cause")
	err := Internal("doing it", cause)
	if err.Error() != "rpktls: doing it: the cause" || !errors.Is(err, cause) || alertOf(err) != 80 {
		t.Errorf("%v", err)
	}
	err = Fail(IllegalParameter, "%d of %s", 3, TypeFinished)
	if err.Error() != "rpktls: 3 of Finished" || alertOf(err) != 47 {
		t.Errorf("%v", err)
	}
	for typ, want := range map[Type]string{TypeKeyUpdate: "KeyUpdate", typeHelloRetryRequest: "HelloRetryRequest", 99: "message of type 99"} {
		if typ.String() != want {
			t.Errorf("%d is %s", typ, typ)
		}
	}
}

// TestExtensionPlaces: every known extension in every message, against the table of RFC 8446, section 4.2.
func TestExtensionPlaces(t *testing.T) {
	places := map[Type]string{TypeClientHello: "CH", TypeServerHello: "SH", typeHelloRetryRequest: "HRR",
		TypeEncryptedExtensions: "EE", TypeCertificate: "CT", TypeCertificateRequest: "CR", TypeNewSessionTicket: "NST"}
	table := map[uint16]string{
		0: "CH EE", 1: "CH EE", 5: "CH CR CT", 10: "CH EE", 13: "CH CR", 14: "CH EE", 15: "CH EE", 16: "CH EE",
		18: "CH CR CT", 19: "CH EE", 20: "CH EE", 21: "CH", 41: "CH SH", 42: "CH EE NST", 43: "CH SH HRR",
		44: "CH HRR", 45: "CH", 47: "CH CR", 48: "CR", 49: "CH", 50: "CH CR", 51: "CH SH HRR",
		27: "CH CR", // RFC 8879
		57: "CH EE", // RFC 9001
	}
	for typ := range uint16(100) {
		for in, name := range places {
			block := []byte{0, 4, 0, byte(typ), 0, 0}
			s := cryptobyteString(block)
			_, err := parseExtensions(&s, in, nil)
			known := table[typ]
			want := -1
			if known != "" && !slices.Contains(strings.Fields(known), name) {
				want = int(IllegalParameter)
			}
			if alertOf(err) != want {
				t.Errorf("extension %d in %s: %v", typ, name, err)
			}
			s = cryptobyteString(block)
			if _, err := parseExtensions(&s, in, []uint16{}); err == nil {
				t.Errorf("extension %d in %s was not asked for", typ, name)
			}
		}
	}
}

// TestIsRetryOf: fields that the server's own checks would catch before.
func TestIsRetryOf(t *testing.T) {
	first := func() *ClientHello {
		return NewClientHello(make([]byte, 32), []uint16{1}, []byte("s"), []string{"a"}, nil)
	}
	for name, change := range map[string]func(m *ClientHello){
		"version":     func(m *ClientHello) { m.LegacyVersion++ },
		"session id":  func(m *ClientHello) { m.SessionID = []byte{1} },
		"compression": func(m *ClientHello) { m.Compression = []byte{0, 1} },
		"value":       func(m *ClientHello) { m.Extensions[1].Data = nil },
	} {
		m := first()
		if !m.IsRetryOf(first()) {
			t.Fatal("a hello is no retry of itself")
		}
		if change(m); m.IsRetryOf(first()) || first().IsRetryOf(m) {
			t.Errorf("%s changed", name)
		}
	}
}

// TestMemory: what a parser allocates is bounded by 16 times its input and 64 KiB, for the worst of inputs.
func TestMemory(t *testing.T) {
	const n = 16<<10 - 4
	vector := func(b string) string { return string([]byte{byte(len(b) >> 8), byte(len(b))}) + b }
	hello := func(extensions string) []byte {
		return []byte("\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x13\x01\x01\x00" + vector(extensions))
	}
	ext := func(typ byte, data string) string { return string([]byte{0, typ}) + vector(data) }
	room := n - 60
	for name, body := range map[string][]byte{
		"suites":       []byte("\x03\x03" + strings.Repeat("r", 32) + "\x00" + vector(strings.Repeat("\x13\x01", room/2)) + "\x01\x00\x00\x00"),
		"extensions":   hello(strings.Repeat("\x7f\x7f\x00\x00", room/4)),
		"protocols":    hello(ext(16, vector(strings.Repeat("\x02ab", room/3)))),
		"groups":       hello(ext(10, vector(strings.Repeat("\x00\x17", room/2)))),
		"shares":       hello(ext(51, vector(strings.Repeat("\x00\x17\x00\x01x", room/5)))),
		"server names": hello(ext(0, vector(strings.Repeat("\x00\x00\x01x", room/4)))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseClientHello(body)
		runtime.ReadMemStats(&after)
		used := after.TotalAlloc - before.TotalAlloc
		if limit := uint64(16*len(body) + 64<<10); used > limit {
			t.Errorf("%s: %d bytes allocated for %d, %v", name, used, len(body), err)
		}
	}
}

func ExampleFail() {
	err := Fail(DecodeError, "malformed %s", TypeFinished)
	fmt.Println(err)
	// Output: rpktls: malformed Finished
}
