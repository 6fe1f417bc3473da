package wire

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Extension types (RFC 8446, section 4.2, and the IANA registry) that have rules here.
const (
	ExtServerName          uint16 = 0
	extMaxFragmentLength   uint16 = 1
	extStatusRequest       uint16 = 5
	ExtSupportedGroups     uint16 = 10
	ExtSignatureAlgorithms uint16 = 13
	extUseSRTP             uint16 = 14
	extHeartbeat           uint16 = 15
	ExtALPN                uint16 = 16
	extSCT                 uint16 = 18
	ExtClientCertType      uint16 = 19
	ExtServerCertType      uint16 = 20
	ExtPadding             uint16 = 21
	extCompressCertificate uint16 = 27
	ExtPreSharedKey        uint16 = 41
	ExtEarlyData           uint16 = 42
	ExtSupportedVersions   uint16 = 43
	ExtCookie              uint16 = 44
	ExtPSKModes            uint16 = 45
	extCertAuthorities     uint16 = 47
	extOIDFilters          uint16 = 48
	extPostHandshakeAuth   uint16 = 49
	extSignatureAlgsCert   uint16 = 50
	ExtKeyShare            uint16 = 51
	ExtTransportParameters uint16 = 57
)

// Extension is one entry of an extension block; Data is its value as it stands on the wire.
type Extension struct {
	Type uint16
	Data []byte
}

// Find is the extension of the given type, or nil.
func Find(list []Extension, typ uint16) *Extension {
	i := slices.IndexFunc(list, func(e Extension) bool { return e.Type == typ })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// allowedIn lists the messages that a known extension may appear in: the table of RFC 8446, section 4.2, with the
// additions of RFC 7250, 8879 and 9001. nil means that the extension is not known.
func allowedIn(typ uint16) []Type {
	switch typ {
	case ExtServerName, extMaxFragmentLength, ExtSupportedGroups, extUseSRTP, extHeartbeat, ExtALPN,
		ExtClientCertType, ExtServerCertType, ExtTransportParameters:
		return []Type{TypeClientHello, TypeEncryptedExtensions}
	case extStatusRequest, extSCT:
		return []Type{TypeClientHello, TypeCertificateRequest, TypeCertificate}
	case ExtSignatureAlgorithms, extSignatureAlgsCert, extCertAuthorities, extCompressCertificate:
		return []Type{TypeClientHello, TypeCertificateRequest}
	case ExtPadding, ExtPSKModes, extPostHandshakeAuth:
		return []Type{TypeClientHello}
	case ExtPreSharedKey:
		return []Type{TypeClientHello, TypeServerHello}
	case ExtEarlyData:
		return []Type{TypeClientHello, TypeEncryptedExtensions, TypeNewSessionTicket}
	case ExtSupportedVersions, ExtKeyShare:
		return []Type{TypeClientHello, TypeServerHello, typeHelloRetryRequest}
	case ExtCookie:
		return []Type{TypeClientHello, typeHelloRetryRequest}
	case extOIDFilters:
		return []Type{TypeCertificateRequest}
	default:
		return nil
	}
}

// parseExtensions takes an extension block off the front of s and checks what holds in every message: none twice, none
// that belongs elsewhere, not too many. In a message that answers one of ours, solicited lists what it may answer, and
// anything else is refused; where it is nil, unknown extensions are to be ignored.
func parseExtensions(s *cryptobyte.String, in Type, solicited []uint16) ([]Extension, error) {
	var block cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&block) {
		return nil, malformed(in)
	}
	var list []Extension
	for !block.Empty() {
		var e Extension
		if !block.ReadUint16(&e.Type) || !block.ReadUint16LengthPrefixed((*cryptobyte.String)(&e.Data)) {
			return nil, malformed(in)
		}
		messages := allowedIn(e.Type)
		switch {
		case len(list) == MaxExtensions:
			return nil, Fail(DecodeError, "more than %d extensions in %s", MaxExtensions, in)
		case Find(list, e.Type) != nil:
			return nil, Fail(IllegalParameter, "extension %d twice in %s", e.Type, in)
		case messages != nil && !slices.Contains(messages, in):
			return nil, Fail(IllegalParameter, "extension %d does not belong in %s", e.Type, in)
		case solicited != nil && !slices.Contains(solicited, e.Type):
			return nil, Fail(UnsupportedExtension, "unsolicited extension %d in %s", e.Type, in)
		}
		list = append(list, e)
	}
	return list, nil
}

func addExtensions(b *cryptobyte.Builder, list []Extension) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, e := range list {
			b.AddUint16(e.Type)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.Data) })
		}
	})
}
