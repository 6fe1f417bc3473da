package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/iroh-ipfs/bridge/bridge/api"
	"github.com/iroh-ipfs/bridge/bridge/doctor"
	"github.com/iroh-ipfs/bridge/bridge/peers"
)

func (a *app) peersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "peers", Short: "List the connections on both networks", Args: arguments(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), offline, func(s api.Service, daemon bool) error {
				if !daemon {
					fmt.Fprintln(a.stderr, "note: no daemon runs on this data folder, so there are no connections")
				}
				all, err := s.Peers(c.Context())
				if err != nil {
					return err
				}
				return a.printPeers(all.Peers)
			})
		},
	}
}

// printPeers writes a line for each connection, or a JSON object.
func (a *app) printPeers(all []peers.Peer) error {
	enc := json.NewEncoder(a.stdout)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, p := range all {
		if a.json {
			if err := enc.Encode(p); err != nil {
				return err
			}
			continue
		}
		way, rtt := "in", "?"
		if p.Dialed {
			way = "out"
		}
		if p.RTTMillis > 0 {
			rtt = fmt.Sprintf("%.1f ms", p.RTTMillis)
		}
		path := p.Path
		if p.Relayed {
			path = "relay " + path
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\tsent %d\treceived %d\t%s\n", p.Network, p.ID, way, p.Transport, rtt,
			time.Since(p.Since).Round(time.Second), p.Sent, p.Received, printable(path))
	}
	return w.Flush()
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Say what works and what does not on both networks, and what to do", Args: arguments(0, "no arguments"),
		Long: "Say what works and what does not on both networks, and what to do.\n\n" +
			"With a daemon it is about that; without one an endpoint is opened to look around. It asks the relays, the discovery\n" +
			"services and the gateway that are configured, and takes some seconds. Exit status 5 if there is a problem.",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), online, func(s api.Service, _ bool) error {
				d, err := s.Doctor(c.Context())
				if err != nil {
					return err
				}
				return a.printDiagnosis(d)
			})
		},
	}
}

func (a *app) printDiagnosis(d doctor.Diagnosis) error {
	if a.json {
		if err := json.NewEncoder(a.stdout).Encode(d); err != nil {
			return err
		}
	} else {
		for _, c := range d.Checks {
			fmt.Fprintf(a.stdout, "%-8s%s\n", c.State, printable(c.Text))
			if c.Advice != "" {
				fmt.Fprintf(a.stdout, "        → %s\n", printable(c.Advice))
			}
		}
	}
	if d.Problems > 0 {
		return fmt.Errorf("%w: %d of %d findings are problems; see above", errProblems, d.Problems, len(d.Checks))
	}
	return nil
}
