package peer

import (
	"context"
	"fmt"
	"strings"
)

// sendmeFlags keep sendme on this machine. It has no flag against publishing its address; the proxy that the
// environment names is a closed port, so that the attempt ends here.
var sendmeFlags = []string{
	"--relay", "disabled", "--no-progress",
	"--magic-ipv4-addr", "127.0.0.1:0", "--magic-ipv6-addr", "[::1]:0",
}

var sendmeEnv = []string{"HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9"}

// SendmePeer runs sendme.
type SendmePeer struct{ Bin string }

// Sendme returns sendme, built when it is missing.
func (c Cache) Sendme(ctx context.Context) (SendmePeer, error) {
	bin, err := c.Path(ctx, Sendme)
	return SendmePeer{Bin: bin}, err
}

// Sender is a sendme that sends.
type Sender struct {
	Ticket string
	*Process
}

// Send serves a file or folder; work is a folder of its own for sendme's temporary files.
func (s SendmePeer) Send(ctx context.Context, work, path string) (*Sender, error) {
	const lead = "sendme receive "
	process, err := Start(ctx, Command{
		Path: s.Bin, Dir: work, Env: sendmeEnv,
		Args:  append(append([]string{"send", "--ticket-type", "addresses"}, sendmeFlags...), path),
		Ready: func(line string) bool { return strings.HasPrefix(line, lead) },
	})
	if err != nil {
		return nil, err
	}
	line, err := process.WaitReady(ctx)
	if err != nil {
		process.Kill()
		return nil, fmt.Errorf("peer: sendme send: %w", err)
	}
	return &Sender{Ticket: strings.TrimSpace(strings.TrimPrefix(line, lead)), Process: process}, nil
}

// Receive fetches what a ticket names into the folder out.
func (s SendmePeer) Receive(ctx context.Context, out, ticket string) error {
	_, _, err := Output(ctx, Command{
		Path: s.Bin, Dir: out, Env: sendmeEnv,
		Args: append(append([]string{"receive"}, sendmeFlags...), ticket),
	})
	return err
}
