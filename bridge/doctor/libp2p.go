package doctor

import "fmt"

func (d *Diagnosis) libp2p(f Facts) {
	l := f.Libp2p
	switch {
	case f.Local:
		d.say("libp2p", Info, fmt.Sprintf("The IPFS node is local: it looks for nobody; it has %d connections.", l.Connections), "")
	case l.Reachability == "public":
		d.say("libp2p", OK, fmt.Sprintf("The IPFS node can be reached from outside; it has %d connections.", l.Connections), "")
	case l.Reachability == "private":
		d.say("libp2p", Warning, fmt.Sprintf("The IPFS node cannot be reached from outside; it has %d connections of its own making.", l.Connections),
			"Forward its port (4021 TCP and UDP, unless configured otherwise) to this machine.")
	default:
		d.say("libp2p", Info, fmt.Sprintf("The IPFS node does not know whether it can be reached from outside; it has %d connections.", l.Connections), "")
	}
	if !l.DHT {
		d.say("libp2p", Info, "The IPFS node has no DHT: content is found at peers that are named.", "")
	}
}
