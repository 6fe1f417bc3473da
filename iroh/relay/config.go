package relay

import (
	"crypto/x509"
	"errors"
	"log/slog"

	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/relay/internal/wire"
)

// Config says to which relay a client connects, and as whom. URL, SecretKey and Receive are required.
type Config struct {
	URL       URL
	SecretKey key.SecretKey

	// Receive is called with everything that comes, one call after the other. It owns what it gets and must call its
	// Release in the end. While it does not return, nothing else is received.
	Receive func(*Received)

	// Roots are trusted to certify relays; nil are those of the system.
	Roots *x509.CertPool

	// Token is for relays that want one (Authorization: Bearer); empty sends none.
	Token string

	// Logger gets what is of use to an operator; nil drops it.
	Logger *slog.Logger
}

func (cfg Config) filled() (Config, error) {
	switch {
	case cfg.URL.IsZero():
		return cfg, errors.New("relay: config: no URL")
	case cfg.SecretKey.IsZero():
		return cfg, errors.New("relay: config: no secret key")
	case cfg.Receive == nil:
		return cfg, errors.New("relay: config: nobody to receive")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

// Datagrams are one or more datagrams to or from one endpoint: Peer is its id, ECN has the two bits of the IP header,
// Segment is the size of each datagram but the last, or zero if Data is a single one. Next takes them off Data one by one.
type Datagrams = wire.Datagrams

// MaxDatagrams bounds the bytes of Data in Datagrams.
const MaxDatagrams = wire.MaxDatagrams

// Received are datagrams that came through the relay. Data is valid until Release.
type Received struct {
	Datagrams
	from  *Client // nil for what no client has made
	frame [wire.MaxFrame]byte
}

// NewReceived makes a Received with a copy of d, as if it had come through a relay; for those who test what takes them.
func NewReceived(d Datagrams) *Received {
	r := &Received{Datagrams: d}
	r.Data = r.frame[:copy(r.frame[:], d.Data)]
	return r
}

// Release gives the memory back for others to use. Nothing of r may be used afterwards.
func (r *Received) Release() {
	r.Data = nil
	if r.from != nil {
		r.from.received.Put(r)
	}
}
