package doctor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/iroh-ipfs/bridge/bridge/config"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/discovery"
)

// Clocks that differ by less than clockGood are taken for equal, since a relay tells whole seconds; those that differ by more
// than clockBad make certificates and signed records fail.
const (
	clockGood = 3 * time.Second
	clockBad  = time.Minute
)

func (d *Diagnosis) endpoint(f Facts) {
	text := fmt.Sprintf("The iroh endpoint listens on UDP %s.", f.Report.Listen)
	if !f.Daemon {
		text = fmt.Sprintf("No daemon runs on this data folder; an endpoint was opened on UDP %s to look around. "+
			"A ticket that is made without a daemon has our endpoint id alone.", f.Report.Listen)
	}
	if len(d.Addrs) == 0 {
		d.say("endpoint", Warning, text+" It knows no address of its own.", "Name one with --announce.")
		return
	}
	if f.Daemon {
		text += " Tickets name " + strings.Join(d.Addrs, ", ") + "."
	}
	d.say("endpoint", OK, text, "")
}

func (d *Diagnosis) relays(f Facts) {
	connected := false
	for _, r := range f.Report.Relays {
		one := Relay{URL: r.URL, Home: r.Home, Connected: r.Connected, LatencyMillis: millis(r.Latency), By: r.By, Error: r.Err}
		if r.IPv4.IsValid() {
			one.SeenIPv4 = r.IPv4.String()
		}
		if r.IPv6.IsValid() {
			one.SeenIPv6 = r.IPv6.String()
		}
		d.Relays = append(d.Relays, one)
		connected = connected || r.Home && r.Connected
		switch {
		case r.Err != "":
			d.say("relay", Warning, fmt.Sprintf("The relay %s cannot be used: %s.", r.URL, r.Err),
				"Look at the URL, at the firewall (outgoing TCP), and for a private certificate at relay.ca_file.")
		case r.Home:
			d.say("relay", OK, fmt.Sprintf("%s is the home relay%s: others reach the endpoint through it.", r.URL, away(r.Latency)), "")
		default:
			d.say("relay", OK, fmt.Sprintf("The relay %s answers%s.", r.URL, away(r.Latency)), "")
		}
		if r.QUICErr != "" && r.Err == "" {
			d.say("relay", Info, fmt.Sprintf("%s does not tell us our address: %s.", r.URL, r.QUICErr),
				"It would over UDP, at port 7842 unless relay.urls names another (qad=PORT).")
		}
	}
	switch {
	case len(d.Relays) == 0 && f.Local:
		d.say("relay", Info, "No relay is used: the bridge is local. Only who can send packets to its addresses reaches the endpoint.", "")
	case len(d.Relays) == 0:
		d.say("relay", Warning, "No relay is used. Only who can send packets to its addresses reaches the endpoint.", "Set relay.urls, or call the daemon with --relay default.")
	case !connected:
		d.say("relay", Problem, "There is no connection to a home relay. Only who can send packets to its addresses reaches the endpoint.",
			"Look at what is said of the relays.")
	}
}

func away(latency time.Duration) string {
	if latency <= 0 {
		return ""
	}
	return fmt.Sprintf(", %.1f ms away", millis(latency))
}

func (d *Diagnosis) addresses(f Facts) {
	for _, v := range []struct {
		name   string
		family iroh.Family
	}{{"IPv4", f.Report.IPv4}, {"IPv6", f.Report.IPv6}} {
		switch {
		case len(v.family.Observed) > 0:
			d.say("address", OK, fmt.Sprintf("Over %s others see the endpoint at %s.", v.name, strings.Join(texts(v.family.Observed), ", ")), "")
		case !v.family.Socket:
			advice := "An iroh.listen of [::]:4022 is both IPv4 and IPv6."
			if f.Report.Listen.Addr().IsLoopback() {
				advice = "" // it is to be reached from this machine alone
			}
			d.say("address", Info, fmt.Sprintf("The endpoint has no %s socket.", v.name), advice)
		case !v.family.Local:
			d.say("address", Info, fmt.Sprintf("This machine has no %s address that others could reach.", v.name), "")
		default:
			d.say("address", Info, fmt.Sprintf("No relay has said at which %s address it sees the endpoint.", v.name), "")
		}
	}
}

func (d *Diagnosis) nat(f Facts) {
	port := f.Report.Listen.Port()
	switch f.Report.NAT {
	case iroh.NATNone:
		d.say("nat", OK, "No NAT: relays see an address of this machine.", "")
	case iroh.NATEndpointIndependent:
		d.say("nat", OK, "There is a NAT that shows everybody the same address: peers can be told where to send to.",
			fmt.Sprintf("Where it lets nobody in, forward UDP port %d to this machine; until then connections go through the relay.", port))
	case iroh.NATEndpointDependent:
		d.say("nat", Warning, "There is a NAT that shows everybody another address: nobody can be told where to send to, so connections to us stay on the relay.",
			fmt.Sprintf("Forward UDP port %d to this machine and name the outer address with --announce, or allow UPnP or NAT-PMP.", port))
	default:
		d.say("nat", Info, "Whether there is a NAT is not known: two relays that tell us our address are needed to say.", "")
	}
}

func (d *Diagnosis) mapping(f Facts) {
	switch m := f.Mapping; {
	case m == nil && !f.Daemon:
		d.say("port-mapping", Info, "The gateway was not asked for a port: a daemon does that.", "")
	case m == nil:
		d.say("port-mapping", Info, "The gateway is not asked for a port: it is switched off, or the endpoint has no fixed port.", "")
	case m.Err != nil:
		d.say("port-mapping", Info, fmt.Sprintf("The gateway maps no port to us: %s.", m.Err), "Allow UPnP or NAT-PMP there, or forward the port by hand and name it with --announce.")
	case !m.External.IsValid():
		d.say("port-mapping", Info, "The gateway has not answered yet.", "Ask again in some seconds.")
	default:
		d.Mapped = m.External.String()
		d.say("port-mapping", OK, fmt.Sprintf("The gateway maps %s to the endpoint, by %s.", m.External, m.Protocol), "")
	}
}

func (d *Diagnosis) clock(f Facts) {
	c := f.Report.Clock
	if c == nil {
		d.say("clock", Info, "Nobody has told the time, so the clock was not looked at.", "")
		return
	}
	offset := millis(c.Offset)
	d.ClockMillis = &offset
	off := c.Offset.Abs().Round(time.Second)
	switch {
	case off < clockGood:
		d.say("clock", OK, "This machine's clock agrees with that of "+c.Relay+".", "")
	case off < clockBad:
		d.say("clock", Warning, fmt.Sprintf("This machine's clock differs by %s from that of %s.", off, c.Relay), "Let the clock be set over the network (NTP).")
	default:
		d.say("clock", Problem, fmt.Sprintf("This machine's clock differs by %s from that of %s: certificates and signed records may be refused.", off, c.Relay),
			"Let the clock be set over the network (NTP).")
	}
}

func (d *Diagnosis) sources(f Facts) {
	for _, a := range f.Answers {
		if a.Source == "static" {
			continue
		}
		missing := errors.Is(a.Err, discovery.ErrNotFound)
		one := Source{Name: a.Source, Works: a.Err == nil || missing, Found: a.Err == nil, TookMillis: millis(a.Took)}
		switch {
		case a.Source == "mdns" && f.Neighbours != nil:
			d.say("mdns", OK, fmt.Sprintf("mDNS listens; it has seen %d other endpoints on the local network.", *f.Neighbours), "")
		case a.Err == nil:
			d.say(a.Source, OK, fmt.Sprintf("%s finds our own id, in %.0f ms: who knows the id finds us.", title(a.Source), one.TookMillis), "")
		case missing && len(f.Published) == 0:
			d.say(a.Source, OK, fmt.Sprintf("%s answers, in %.0f ms; it does not know our id, since nothing is published.", title(a.Source), one.TookMillis), "")
		case missing:
			d.say(a.Source, Warning, fmt.Sprintf("%s answers, and does not know our id.", title(a.Source)), "Just after a start this is a matter of seconds; else look at publishing.")
		default:
			one.Error = a.Err.Error()
			d.say(a.Source, Problem, fmt.Sprintf("%s does not work: %s.", title(a.Source), words(a.Err)), "Look at the name in the configuration (discovery), and at the network.")
		}
		d.Sources = append(d.Sources, one)
	}
	if len(d.Sources) == 0 {
		d.say("dns", Info, "Endpoints are not looked up by their id: nothing is configured for it. Tickets must have addresses.", "")
	}
}

func title(source string) string {
	switch source {
	case "dns":
		return "DNS"
	case "pkarr":
		return "The pkarr relay"
	}
	return source
}

func (d *Diagnosis) publishing(f Facts) {
	if len(f.Published) == 0 {
		d.say("publishing", Info, "Nothing is published: who has only our endpoint id does not find us.", "")
		return
	}
	for _, s := range f.Published {
		switch {
		case s.Err != nil:
			d.say("publishing", Problem, fmt.Sprintf("Publishing to %s fails (%d times in a row): %s.", s.Sink, s.Failures, words(s.Err)), "Look at the name in the configuration (discovery), and at the network.")
		case s.Published.IsZero():
			d.say("publishing", Info, fmt.Sprintf("Nothing was published to %s yet.", s.Sink), "")
		case s.Sink != "mdns" && f.Publish == config.PublishRelay && d.HomeRelay == "":
			d.say("publishing", Warning, "Only the home relay is published, and there is none: who has only our endpoint id does not find us.",
				"Use a relay, or set discovery.publish to addresses.")
		default:
			d.say("publishing", OK, fmt.Sprintf("Where we are was published to %s %s ago.", s.Sink, time.Since(s.Published).Round(time.Second)), "")
		}
	}
}
