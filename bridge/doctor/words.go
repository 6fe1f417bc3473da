package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
)

// words says of an error of a service what an operator can do something with: who did not answer, or why. The names that were looked up,
// which are long, and our own port are left out.
func words(err error) string {
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	var request *url.Error
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &name) && (name.IsTimeout || errors.Is(err, context.DeadlineExceeded)):
		return "no answer from the name server " + name.Server
	case errors.As(err, &name) && name.IsNotFound:
		return "the name " + name.Name + " does not exist, says the name server " + name.Server
	case errors.As(err, &name):
		return "the name server " + name.Server + " cannot be asked: " + last(name.Err)
	case errors.As(err, &cert):
		return "its certificate is not trusted: " + cert.Err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer: is it blocked on the way?"
	case errors.As(err, &op) && op.Addr != nil:
		return op.Addr.String() + ": " + last(op.Err.Error())
	case errors.As(err, &request):
		return request.Err.Error()
	}
	return err.Error()
}

// last is the last part of a chain of reasons.
func last(chain string) string { return chain[strings.LastIndex(": "+chain, ": "):] }
