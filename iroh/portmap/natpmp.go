package portmap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	natpmplib "github.com/jackpal/go-nat-pmp"
)

// natpmp is a gateway that is spoken to by NAT-PMP. The library takes no context: an exchange lasts up to natpmpWait.
type natpmp struct {
	client *natpmplib.Client
	port   uint16 // ours

	epoch    uint32 // as the gateway told it at
	at       time.Time
	external uint16 // the port that was granted, or asked for last; 0 for none
}

func newNATPMP(r route, cfg Config) *natpmp {
	return &natpmp{client: natpmplib.NewClientWithTimeout(r.gateway.AsSlice(), natpmpWait), port: cfg.Port}
}

func (n *natpmp) protocol() Protocol { return NATPMP }

func (n *natpmp) mapped() uint16 { return n.external }

func (n *natpmp) mapPort(ctx context.Context, want uint16, lifetime time.Duration) (lease, error) {
	ip, err := n.address()
	if err != nil {
		return lease{}, err
	}
	if ctx.Err() != nil {
		return lease{}, ctx.Err()
	}
	n.external = want
	got, err := n.client.AddPortMapping("udp", int(n.port), int(want), int(lifetime/time.Second))
	if err != nil {
		return lease{}, natpmpWords(err)
	}
	if got.InternalPort != n.port || got.MappedExternalPort == 0 || got.PortMappingLifetimeInSeconds == 0 {
		return lease{}, errors.New("the gateway's answer is not one to the question")
	}
	n.external = got.MappedExternalPort
	n.epoch, n.at = got.SecondsSinceStartOfEpoc, time.Now()
	return lease{
		external: netip.AddrPortFrom(ip, got.MappedExternalPort),
		lifetime: time.Duration(got.PortMappingLifetimeInSeconds) * time.Second,
	}, nil
}

func (n *natpmp) check(context.Context) (netip.Addr, error) {
	epoch, at := n.epoch, n.at
	ip, err := n.address()
	if err != nil {
		return netip.Addr{}, err
	}
	if restarted(epoch, n.epoch, n.at.Sub(at)) {
		return netip.Addr{}, errLost
	}
	return ip, nil
}

func (n *natpmp) unmap(context.Context) error {
	if n.external == 0 {
		return nil
	}
	if _, err := n.client.AddPortMapping("udp", int(n.port), 0, 0); err != nil {
		return fmt.Errorf("portmap: removing the mapping: %w", natpmpWords(err))
	}
	n.external = 0
	return nil
}

// address returns the external address, and notes the epoch.
func (n *natpmp) address() (netip.Addr, error) {
	got, err := n.client.GetExternalAddress()
	if err != nil {
		return netip.Addr{}, natpmpWords(err)
	}
	n.epoch, n.at = got.SecondsSinceStartOfEpoc, time.Now()
	return netip.AddrFrom4(got.ExternalIPAddress), nil
}

// restarted reports whether a gateway has begun a new epoch between two answers: RFC 6886 section 3.6 allows for a clock
// that is an eighth slow, and two seconds more.
func restarted(before, after uint32, elapsed time.Duration) bool {
	return uint64(after)+2 < uint64(before)+uint64(elapsed.Seconds()*7/8)
}

// natpmpWords says in plain words what an error of the library means. Its results are known by their text only.
func natpmpWords(err error) error {
	var code int
	if _, e := fmt.Sscanf(err.Error(), "Non-zero result code %d", &code); e == nil {
		switch code {
		case 1:
			return errors.New("the gateway does not know this version of the protocol")
		case 2:
			return errors.New("the gateway refuses: port mapping is not allowed in its settings")
		case 3:
			return errors.New("the gateway has no external address: it is not connected to the internet, or behind a second NAT")
		case 4:
			return errors.New("the gateway has no room for another mapping")
		}
		return fmt.Errorf("the gateway refuses with code %d", code)
	}
	if _, e := fmt.Sscanf(err.Error(), "unknown protocol version %d", &code); e == nil {
		return errors.New("the gateway speaks another version of the protocol only")
	}
	return plain(err)
}
