package iroh

import (
	"context"
	"errors"
	"fmt"

	"github.com/iroh-ipfs/bridge/iroh/internal/home"
)

// RelayState is how an endpoint does at one relay.
type RelayState = home.State

func startRelays(e *Endpoint) *home.Relays {
	return home.Start(home.Config{
		Relays: e.cfg.Relays, SecretKey: e.cfg.SecretKey, Roots: e.cfg.RelayRoots, Conn: e.socket.conn, Logger: e.log,
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
