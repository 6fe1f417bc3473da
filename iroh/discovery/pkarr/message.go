package pkarr

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/iroh-ipfs/bridge/iroh/key"
)

// Label is the first label of the DNS name that owns an endpoint's records.
const Label = "_iroh"

// Name is the DNS name that owns an endpoint's records inside a packet, with a dot at its end. A name server answers
// for it below its own origin.
func Name(id key.EndpointID) string { return Label + "." + id.Z32() + "." }

// buildMessage returns the DNS message that has one TXT record for each attribute.
func buildMessage(id key.EndpointID, attributes []string, ttl uint32) ([]byte, error) {
	name, err := dnsmessage.NewName(Name(id))
	if err != nil {
		return nil, fmt.Errorf("pkarr: %w", err)
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true})
	b.EnableCompression()
	if err := b.StartAnswers(); err != nil {
		return nil, fmt.Errorf("pkarr: %w", err)
	}
	for _, attribute := range attributes {
		header := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl}
		if err := b.TXTResource(header, dnsmessage.TXTResource{TXT: []string{attribute}}); err != nil {
			return nil, fmt.Errorf("pkarr: %w", err)
		}
	}
	message, err := b.Finish()
	if err != nil {
		return nil, fmt.Errorf("pkarr: %w", err)
	}
	if len(message) > MaxMessage {
		return nil, ErrTooLarge
	}
	return message, nil
}

// parseMessage returns the texts of the TXT records that the endpoint's name owns, and the least TTL of these. The
// whole message must be well formed.
func parseMessage(id key.EndpointID, message []byte) (attributes []string, ttl uint32, err error) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil {
		return nil, 0, err
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, 0, err
	}
	name := Name(id)
	ttl = math.MaxUint32
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		if h.Type != dnsmessage.TypeTXT || h.Class != dnsmessage.ClassINET || !strings.EqualFold(h.Name.String(), name) {
			if err := p.SkipAnswer(); err != nil {
				return nil, 0, err
			}
			continue
		}
		txt, err := p.TXTResource()
		if err != nil {
			return nil, 0, err
		}
		attributes, ttl = append(attributes, strings.Join(txt.TXT, "")), min(ttl, h.TTL)
	}
	if err := p.SkipAllAuthorities(); err != nil {
		return nil, 0, err
	}
	if err := p.SkipAllAdditionals(); err != nil {
		return nil, 0, err
	}
	if len(attributes) == 0 {
		ttl = 0
	}
	return attributes, ttl, nil
}
