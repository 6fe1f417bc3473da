package portmap

import "time"

// Limits of what a gateway, or whoever poses as one, can make us do and keep.
const (
	// maxBody bounds a description or a SOAP answer: real ones have up to 20 KiB, and the tree that the XML becomes is some
	// forty times as big.
	maxBody = 128 << 10
	// maxHeader bounds the header of an HTTP answer.
	maxHeader = 8 << 10
	// maxDatagram is the longest SSDP answer that is read.
	maxDatagram = 2048
	// maxURL bounds a URL that the gateway gives.
	maxURL = 512
	// maxLocations bounds the descriptions that are fetched in one search: answers cost the gateway one datagram each.
	maxLocations = 4
	// maxServices bounds the services of a description that are tried.
	maxServices = 4
	// maxPorts bounds the external ports that are tried, since a gateway can refuse them all.
	maxPorts = 6
	// maxText bounds what is kept of an error that may contain text of the gateway.
	maxText = 160
	// requestWait bounds one HTTP exchange, the body included: a gateway that sends a byte now and then holds nothing up.
	requestWait = 3 * time.Second
	// searchWait bounds an SSDP search: MX, and what slow devices take on top.
	searchWait = 2500 * time.Millisecond
	// searchAgain is when a search is repeated: datagrams get lost.
	searchAgain = time.Second
	// searchSettle is how long a search goes on after its first answer.
	searchSettle = 200 * time.Millisecond
	// natpmpWait bounds one NAT-PMP exchange: three datagrams.
	natpmpWait = 1750 * time.Millisecond
	// attemptWait bounds finding a gateway and mapping the port, by both protocols.
	attemptWait = 20 * time.Second
	// closeWait bounds the removal of the mapping.
	closeWait = 2 * time.Second
	// maxLifetime is the longest lease of IGD version 2; a longer one would outlive the address that it is for.
	maxLifetime = 7 * 24 * time.Hour
)

// Times that a user may choose.
const (
	// DefaultLifetime is what RFC 6886 recommends.
	DefaultLifetime = 2 * time.Hour
	// DefaultCheck is how often the gateway is asked whether it still has the mapping.
	DefaultCheck = time.Minute
)

// pace is how fast the mapper goes.
type pace struct {
	// pause and maxPause are the first and the longest wait after an attempt that failed.
	pause, maxPause time.Duration
	// watch is how often the routing table is looked at.
	watch time.Duration
	// minRenew is the least time between two renewals, and half of the shortest lease that is of use: a gateway that grants a
	// second must not keep us busy.
	minRenew time.Duration
	// stable is how long a mapping must have held for its loss to be followed by an attempt at once. A gateway that loses what
	// it has just granted is asked with growing pauses.
	stable time.Duration
}

func normalPace() pace {
	return pace{
		pause: 5 * time.Second, maxPause: 10 * time.Minute, watch: 5 * time.Second,
		minRenew: 5 * time.Second, stable: 30 * time.Second,
	}
}
