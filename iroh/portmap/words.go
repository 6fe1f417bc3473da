package portmap

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/huin/goupnp/soap"
)

// plain makes an error fit for a log or a terminal: libraries repeat what a gateway said, which may be long or hold
// control characters, and wrap nothing, so that an error is known by its text only.
func plain(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "refused"):
		return errors.New("the gateway does not listen")
	case strings.HasPrefix(text, "Timed out"), strings.Contains(text, "Client.Timeout"), strings.Contains(text, "i/o timeout"),
		strings.Contains(text, "deadline exceeded"):
		return errors.New("the gateway does not answer")
	default:
		return errors.New(printable(text))
	}
}

// printable cuts a text and replaces what does not print.
func printable(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// The error codes of UPnP that something is done about (WANIPConnection:2, section 2.5).
const (
	noSuchEntry      = 714
	conflict         = 718 // the external port is somebody else's
	samePortRequired = 724
	permanentOnly    = 725
	otherMechanism   = 729 // the external port is taken by a rule of another kind
)

// code returns the UPnP error code of an error, 0 when the gateway has not answered with one.
func code(err error) int {
	var fault *soap.SOAPFaultError
	if errors.As(err, &fault) {
		return fault.Detail.UPnPError.Errorcode
	}
	return 0
}

// upnpWords says in plain words what an error of a UPnP action means.
func upnpWords(err error) error {
	var fault *soap.SOAPFaultError
	if !errors.As(err, &fault) {
		return plain(err)
	}
	switch c := code(err); c {
	case 401, 602:
		return errors.New("the gateway does not know how to map ports")
	case 501:
		return errors.New("the gateway could not do it (UPnP error 501); it may have no public address")
	case 606:
		return errors.New("the gateway refuses: port mapping is not allowed in its settings")
	case conflict, otherMechanism:
		return errors.New("the external ports that were tried are taken")
	case samePortRequired:
		return errors.New("the gateway maps a port to the same port only, and that is taken")
	case 728:
		return errors.New("the gateway has no room for another mapping")
	default:
		return fmt.Errorf("the gateway refuses with UPnP error %d", c)
	}
}
