package wire

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

func cryptobyteString(b []byte) cryptobyte.String { return cryptobyte.String(b) }

// fuzz feeds bodies to the parser of one type. Whatever is accepted must come out again as it went in; whatever is not
// must have an alert and a text without bytes of the input. Seeds are the samples, whole, cut at each byte and with each
// byte changed.
func fuzz(f *testing.F, typ Type) {
	var parse func([]byte) (appender, error)
	for _, s := range samples(f) {
		if Type(s.raw[0]) != typ {
			continue
		}
		parse = s.parse
		body := s.raw[HeaderSize:]
		f.Add(body)
		for i := range body {
			f.Add(body[:i])
			changed := bytes.Clone(body)
			changed[i] ^= 0x55
			f.Add(changed)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kept := bytes.Clone(body)
		m, err := parse(body)
		if !bytes.Equal(kept, body) {
			t.Error("the parser wrote into its input")
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Alert == 0 || e.Alert == InternalError || len(e.Reason) > 100 {
				t.Errorf("error %v", err)
			}
			return
		}
		if m == nil {
			return
		}
		raw, err := m.Append(nil)
		if sh, ok := m.(*ServerHello); ok && len(body) == RandomSize+6+len(sh.SessionID) {
			body = append(body, 0, 0) // without extensions, as TLS 1.2 allows, but we never write
		}
		if err != nil || !bytes.Equal(raw[HeaderSize:], body) {
			t.Errorf("%x came out as %x, %v", body, raw, err)
		}
	})
}

func FuzzClientHello(f *testing.F)         { fuzz(f, TypeClientHello) }
func FuzzServerHello(f *testing.F)         { fuzz(f, TypeServerHello) }
func FuzzEncryptedExtensions(f *testing.F) { fuzz(f, TypeEncryptedExtensions) }
func FuzzCertificateRequest(f *testing.F)  { fuzz(f, TypeCertificateRequest) }
func FuzzCertificate(f *testing.F)         { fuzz(f, TypeCertificate) }
func FuzzCertificateVerify(f *testing.F)   { fuzz(f, TypeCertificateVerify) }
func FuzzFinished(f *testing.F)            { fuzz(f, TypeFinished) }
func FuzzNewSessionTicket(f *testing.F)    { fuzz(f, TypeNewSessionTicket) }
