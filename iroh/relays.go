package iroh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/iroh-ipfs/bridge/iroh/internal/home"
	"github.com/iroh-ipfs/bridge/iroh/internal/observe"
)

// RelayState is how an endpoint does at one relay.
type RelayState = home.State

func startRelays(e *Endpoint) *home.Relays {
	return home.Start(home.Config{
		Relays: e.cfg.Relays, SecretKey: e.cfg.SecretKey, Roots: e.cfg.RelayRoots, Conn: e.socket.conn, Logger: e.log,
		Measure: e.observer.Measure,
	})
}

func startObserver(e *Endpoint) *observe.Observer {
	return observe.Start(observe.Config{
		Relays: e.cfg.Relays, Roots: e.cfg.RelayRoots, Transport: e.transport, Conn: e.socket.conn,
		V4: e.socket.v4, V6: e.socket.v6, Local: e.socket.everywhere, Logger: e.log,
	})
}

// observed are the addresses under which relays see the endpoint.
func (e *Endpoint) observed() []netip.AddrPort {
	if e.observer == nil {
		return nil
	}
	return slices.DeleteFunc(e.observer.Addrs(), func(a netip.AddrPort) bool {
		ip := a.Addr() // a relay on this machine sees what is of no use elsewhere
		return !dialable(a) || ip.IsLinkLocalUnicast() || ip.IsLoopback() && !e.socket.local.Addr().IsLoopback()
	})
}

// HomeRelay is the URL of the relay at which others reach the endpoint, empty before there is one. While the connection to it
// is broken it is still that.
func (e *Endpoint) HomeRelay() string {
	if e.relays == nil {
		return ""
	}
	return e.relays.Home().String()
}

// WaitRelay waits until the endpoint is connected to its home relay. Without relays that is an error at once; when ctx is
// done the error is ctx's, with what the relay's client has to say.
func (e *Endpoint) WaitRelay(ctx context.Context) error {
	if e.relays == nil {
		return errors.New("iroh: the endpoint is configured without relays")
	}
	err := e.relays.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, home.ErrClosed):
		return fmt.Errorf("iroh: %w", ErrClosed)
	}
	return fmt.Errorf("iroh: %w", err)
}

// RelayStates returns how the endpoint does at all relays that it uses, the home first.
func (e *Endpoint) RelayStates() []RelayState {
	if e.relays == nil {
		return nil
	}
	return e.relays.States()
}
