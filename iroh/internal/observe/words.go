package observe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"github.com/iroh-ipfs/bridge/iroh/relay"
)

// Words says what an operator can do something with.
func Words(err error) string {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, relay.ErrDenied):
		return "the relay denies access to this endpoint"
	case errors.As(err, &dns):
		return "the name " + dns.Name + " cannot be looked up: " + dns.Err
	case errors.As(err, &cert):
		return "its certificate is not trusted: " + cert.Err.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no way there from this machine"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer: is it blocked on the way?"
	}
	return err.Error()
}
