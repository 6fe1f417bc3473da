package wire

import (
	"crypto/tls"
	"fmt"
)

// Alerts of RFC 8446, section 6, and RFC 7301, section 3.2. QUIC sends them as CRYPTO_ERROR 0x100 + alert.
const (
	UnexpectedMessage      tls.AlertError = 10
	HandshakeFailure       tls.AlertError = 40
	BadCertificate         tls.AlertError = 42
	UnsupportedCertificate tls.AlertError = 43
	IllegalParameter       tls.AlertError = 47
	UnknownCA              tls.AlertError = 48
	DecodeError            tls.AlertError = 50
	DecryptError           tls.AlertError = 51
	ProtocolVersion        tls.AlertError = 70
	InternalError          tls.AlertError = 80
	MissingExtension       tls.AlertError = 109
	UnsupportedExtension   tls.AlertError = 110
	CertificateRequired    tls.AlertError = 116
	NoApplicationProtocol  tls.AlertError = 120
)

// Error is why a handshake ended: an alert for the peer and a reason for our log. The reason is made of constant text
// and numbers, never of bytes that the peer sent.
type Error struct {
	Alert  tls.AlertError
	Reason string
	Cause  error // may be nil
}

// Error is the text for our log.
func (e *Error) Error() string {
	if e.Cause != nil {
		return "rpktls: " + e.Reason + ": " + e.Cause.Error()
	}
	return "rpktls: " + e.Reason
}

// Unwrap gives the alert, which is how quic-go learns what to send, and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause != nil {
		return []error{e.Alert, e.Cause}
	}
	return []error{e.Alert}
}

// Fail is an Error with an alert and a reason, which is formatted as by fmt.Sprintf.
func Fail(alert tls.AlertError, format string, args ...any) error {
	return &Error{Alert: alert, Reason: fmt.Sprintf(format, args...)}
}

// Internal is a failure of our own side: configuration, randomness, a primitive that refused to work.
func Internal(reason string, cause error) error {
	return &Error{Alert: InternalError, Reason: reason, Cause: cause}
}

func malformed(m Type) error { return Fail(DecodeError, "malformed %s", m) }
