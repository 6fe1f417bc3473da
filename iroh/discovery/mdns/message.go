package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/iroh-ipfs/bridge/iroh/discovery/record"
	"github.com/iroh-ipfs/bridge/iroh/key"
)

// A wire builds and reads the messages of one service.
type wire struct {
	service dnsmessage.Name // such as "_irohv1._udp.local."
}

// local is the domain of the targets.
const local = "local."

func newWire(service string) (wire, error) {
	name, err := dnsmessage.NewName("_" + service + "._udp." + local)
	if err != nil || service == "" || len(service) > 62 || strings.Contains(service, ".") {
		return wire{}, fmt.Errorf("mdns: the service name %q is no label of at most 62 bytes", service)
	}
	return wire{name}, nil
}

// query returns the message that asks who is there.
func (w wire) query() ([]byte, error) {
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: w.service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET,
	}}}
	return m.Pack()
}

// answer returns the message that announces a record; nil when the record has no direct address, since nobody would
// heed it. The last addresses are left out when not all fit.
func (w wire) answer(r record.Record) ([]byte, error) {
	r = r.Usable()
	for n := len(r.Addr.Direct); n > 0; n-- {
		b, err := w.pack(r, r.Addr.Direct[:n])
		if err != nil || len(b) <= maxAnswer {
			return b, err
		}
	}
	return nil, nil
}

func (w wire) pack(r record.Record, direct []netip.AddrPort) ([]byte, error) {
	id := r.ID().Base32()
	instance, err := dnsmessage.NewName(id + "." + w.service.String())
	if err != nil {
		return nil, fmt.Errorf("mdns: %w", err)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}}
	m.Answers = append(m.Answers, resource(w.service, &dnsmessage.PTRResource{PTR: instance}))
	var ports []uint16
	for _, a := range direct {
		target, err := dnsmessage.NewName(fmt.Sprintf("%s-%d.%s", id, a.Port(), local))
		if err != nil {
			return nil, fmt.Errorf("mdns: %w", err)
		}
		if !slices.Contains(ports, a.Port()) {
			ports = append(ports, a.Port())
			m.Answers = append(m.Answers, resource(instance, &dnsmessage.SRVResource{Port: a.Port(), Target: target}))
		}
		var body dnsmessage.ResourceBody = &dnsmessage.AAAAResource{AAAA: a.Addr().As16()}
		if a.Addr().Is4() {
			body = &dnsmessage.AResource{A: a.Addr().As4()}
		}
		m.Additionals = append(m.Additionals, resource(target, body))
	}
	var texts []string
	if len(r.Addr.Relays) > 0 {
		texts = append(texts, "relay="+r.Addr.Relays[0])
	}
	if r.UserData != "" {
		texts = append(texts, "user-data="+r.UserData)
	}
	if len(texts) > 0 {
		m.Answers = append(m.Answers, resource(instance, &dnsmessage.TXTResource{TXT: texts}))
	}
	return m.Pack()
}

func resource(name dnsmessage.Name, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl}, Body: body}
}

// A message is what was read: a query, or records of endpoints, each with an address.
type message struct {
	query bool
	seen  []record.Record
}

// unique is the top bit of a class: "answer by unicast" in a question, "flush the cache" in a record (RFC 6762). iroh
// does not read what has it; we do not mind.
const unique = 1 << 15

// read reads a message; the zero message stands for one that is malformed or about something else.
func (w wire) read(b []byte) message {
	var p dnsmessage.Parser
	if _, err := p.Start(b); err != nil {
		return message{}
	}
	questions, err := p.AllQuestions()
	if err != nil {
		return message{}
	}
	for _, q := range questions {
		if q.Type == dnsmessage.TypePTR && q.Class&^unique == dnsmessage.ClassINET && same(q.Name, w.service) {
			return message{query: true}
		}
	}
	f := findings{service: "." + strings.ToLower(w.service.String()), targets: map[string][]netip.Addr{}, peers: map[key.EndpointID]*peer{}}
	if !f.section(p.AnswerHeader, p.SkipAnswer, &p) || p.SkipAllAuthorities() != nil ||
		!f.section(p.AdditionalHeader, p.SkipAdditional, &p) {
		return message{}
	}
	return message{seen: f.records()}
}

func same(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// findings gathers the records of one message.
type findings struct {
	service string                  // with a dot before it, in lower case
	targets map[string][]netip.Addr // addresses of names directly below local., in lower case
	order   []key.EndpointID
	peers   map[key.EndpointID]*peer
}

// A peer is what one message says of an instance.
type peer struct {
	srv   []service
	texts []string
}

type service struct {
	target string
	port   uint16
}

// section reads one section of a message and reports whether it is well formed.
func (f *findings) section(next func() (dnsmessage.ResourceHeader, error), skip func() error, p *dnsmessage.Parser) bool {
	for {
		h, err := next()
		if err == dnsmessage.ErrSectionDone {
			return true
		}
		if err != nil {
			return false
		}
		name := strings.ToLower(h.Name.String())
		known := h.Class&^unique == dnsmessage.ClassINET
		switch instance := f.instance(name); {
		case known && h.Type == dnsmessage.TypeSRV && instance != nil:
			srv, err := p.SRVResource()
			if err != nil {
				return false
			}
			instance.srv = append(instance.srv, service{strings.ToLower(srv.Target.String()), srv.Port})
		case known && h.Type == dnsmessage.TypeTXT && instance != nil:
			txt, err := p.TXTResource()
			if err != nil {
				return false
			}
			instance.texts = append(instance.texts, txt.TXT...)
		case known && h.Type == dnsmessage.TypeA && target(name):
			a, err := p.AResource()
			if err != nil {
				return false
			}
			f.targets[name] = append(f.targets[name], netip.AddrFrom4(a.A))
		case known && h.Type == dnsmessage.TypeAAAA && target(name):
			a, err := p.AAAAResource()
			if err != nil {
				return false
			}
			f.targets[name] = append(f.targets[name], netip.AddrFrom16(a.AAAA))
		default:
			if err := skip(); err != nil {
				return false
			}
		}
	}
}

// instance returns the peer whose instance name this is; nil when it is none.
func (f *findings) instance(name string) *peer {
	label, ok := strings.CutSuffix(name, f.service)
	if !ok {
		return nil
	}
	id, err := key.ParseEndpointID(label)
	if err != nil {
		return nil
	}
	if f.peers[id] == nil {
		f.peers[id] = &peer{}
		f.order = append(f.order, id)
	}
	return f.peers[id]
}

// target reports whether a name is directly below local.
func target(name string) bool {
	label, ok := strings.CutSuffix(name, "."+local)
	return ok && !strings.Contains(label, ".")
}

// records returns what was found of endpoints that have an address.
func (f *findings) records() (out []record.Record) {
	for _, id := range f.order {
		var attributes []string
		for _, srv := range f.peers[id].srv {
			for _, addr := range f.targets[srv.target] {
				attributes = append(attributes, "addr="+netip.AddrPortFrom(addr, srv.port).String())
			}
			if len(attributes) > 2*record.MaxDirect {
				break
			}
		}
		if r := record.Parse(id, append(attributes, f.peers[id].texts...)); len(r.Addr.Direct) > 0 {
			out = append(out, r)
		}
	}
	return out
}
