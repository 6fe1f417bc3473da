package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/api"
)

func (a *app) addCommand() *cobra.Command {
	var req bridge.AddRequest
	c := &cobra.Command{
		Use: "add PATH", Short: "Add a file or folder; it gets a CID, a hash and a ticket", Args: arguments(1, "one PATH"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if req.Path, err = filepath.Abs(args[0]); err != nil {
				return err
			}
			return a.with(c.Context(), offline, func(s api.Service, daemon bool) error {
				return a.making(c.Context(), daemon, func(p bridge.Progress) (bridge.Content, error) { return s.Add(c.Context(), req, p) })
			})
		},
	}
	c.Flags().BoolVar(&req.InPlace, "in-place", false, "do not copy the bytes; the files must then stay as they are")
	c.Flags().StringVar(&req.Profile, "profile", "", "UnixFS layout: unixfs-v1-2025 (default) or unixfs-v0-2015")
	return c
}

func (a *app) exposeCommand() *cobra.Command {
	var req bridge.ExposeRequest
	c := &cobra.Command{
		Use: "expose TICKET|HASH", Short: "Make iroh content reachable from IPFS", Args: arguments(1, "one TICKET or HASH"),
		Long: "Make iroh content reachable from IPFS.\n\n" +
			"A HASH is that of a blob; with an s before it, or if it was kept as one, that of a sequence.",
		RunE: func(c *cobra.Command, args []string) error {
			req.Ticket = args[0]
			return a.with(c.Context(), online, func(s api.Service, daemon bool) error {
				return a.making(c.Context(), daemon, func(p bridge.Progress) (bridge.Content, error) { return s.Expose(c.Context(), req, p) })
			})
		},
	}
	fromFlag(c, &req.From)
	return c
}

// fromFlag is for commands that ask iroh providers.
func fromFlag(c *cobra.Command, from *[]string) {
	c.Flags().StringArrayVar(from, "from", nil, "endpoint id or ticket of a provider, may repeat")
	_ = c.RegisterFlagCompletionFunc("from", cobra.NoFileCompletions)
}

func (a *app) importCommand() *cobra.Command {
	var req bridge.ImportRequest
	c := &cobra.Command{
		Use: "import CID|/ipfs/CID[/path]", Short: "Bring IPFS content into the iroh node", Args: arguments(1, "one CID or /ipfs/ path"),
		RunE: func(c *cobra.Command, args []string) error {
			req.Path = args[0]
			return a.with(c.Context(), online, func(s api.Service, daemon bool) error {
				return a.making(c.Context(), daemon, func(p bridge.Progress) (bridge.Content, error) { return s.Import(c.Context(), req, p) })
			})
		},
	}
	c.Flags().StringArrayVar(&req.From, "from", nil, "multiaddr with /p2p/ID of a peer to ask first, may repeat")
	return c
}

// making runs an operation with progress and prints the content that it made.
func (a *app) making(ctx context.Context, daemon bool, work func(bridge.Progress) (bridge.Content, error)) error {
	p := a.progress()
	content, err := work(p)
	p.end()
	if err != nil {
		return err
	}
	if !daemon {
		defer a.noteNoDaemon(content.CID)
	}
	a.warn(content.Warning)
	if a.json {
		return json.NewEncoder(a.stdout).Encode(content)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "CID\t%s\nhash\t%s\nformat\t%s\nsize\t%d bytes\nblocks\t%d\nticket\t%s\n",
		content.CID, content.Hash, content.Format, content.Size, content.Blocks, content.Ticket)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, note := range content.Notes {
		fmt.Fprintf(a.stderr, "note: only the CID carries: %s\n", printable(note))
	}
	return nil
}

// warn says what else was meant, perhaps.
func (a *app) warn(text string) {
	if text != "" {
		fmt.Fprintf(a.stderr, "note: %s\n", printable(text))
	}
}

// noteNoDaemon says what is to be done before others get what is called name.
func (a *app) noteNoDaemon(name string) {
	fmt.Fprintf(a.stderr, "note: no daemon runs on this data folder; start `bridge daemon` so that others can fetch this. "+
		"The ticket does not say where that is: `bridge ticket %s` makes one that does, while the daemon runs\n", name)
}

func (a *app) getCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "get CID|HASH|TICKET", Short: "Write a file or folder to disk", Args: arguments(1, "one CID, HASH or TICKET"),
		RunE: func(c *cobra.Command, args []string) error {
			if a.json && out == "-" {
				return fmt.Errorf("%w: --json prints on stdout what was written; it cannot be written there as well", errUsage)
			}
			n := offline
			if strings.HasPrefix(args[0], "blob") {
				n = online
			}
			return a.with(c.Context(), n, func(s api.Service, _ bool) error {
				p := a.progress()
				r, err := s.Open(c.Context(), args[0], p)
				p.end()
				if err != nil {
					return err
				}
				return errors.Join(a.write(r, out), r.Close())
			})
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "where to write, - for stdout (default: the CID, in this folder)")
	return c
}

func (a *app) mapCommand() *cobra.Command {
	return &cobra.Command{
		Use: "map CID|HASH", Short: "Show every name of a content", Args: arguments(1, "one CID or HASH"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), offline, func(s api.Service, _ bool) error {
				m, err := s.Map(c.Context(), args[0])
				return a.printMapped(m, err)
			})
		},
	}
}

func (a *app) removeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm CID|HASH", Short: "Give a content up; its bytes are deleted when nothing else needs them", Args: arguments(1, "one CID or HASH"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), offline, func(s api.Service, _ bool) error {
				m, err := s.Remove(c.Context(), args[0])
				return a.printMapped(m, err)
			})
		},
	}
}

func (a *app) printMapped(m bridge.Mapped, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		return json.NewEncoder(a.stdout).Encode(m)
	}
	if len(m.CIDs) == 0 {
		m.CIDs = []string{"none"}
	}
	if m.Hash == "" {
		m.Hash = "none of its own; `bridge import " + m.CID + "` gives it one"
	}
	_, err = fmt.Fprintf(a.stdout, "hash    %s\nformat  %s\nsize    %d bytes\nCIDs    %s\n", m.Hash, m.Format, m.Size, strings.Join(m.CIDs, "\n        "))
	return err
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List everything linked, and what was fetched or pushed", Args: arguments(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), offline, func(s api.Service, _ bool) error {
				var failed error
				enc := json.NewEncoder(a.stdout)
				err := s.List(c.Context(), func(one bridge.Content) bool {
					if a.json {
						failed = enc.Encode(one)
					} else {
						_, failed = fmt.Fprintln(a.stdout, listed(one))
					}
					return failed == nil
				})
				return errors.Join(err, failed)
			})
		},
	}
}

// wanted is a hash as other bridges want it, who cannot know what it is: with an s before that of a sequence.
func wanted(hash, format string) string {
	if format == "collection" || format == "hashseq" {
		return "s" + hash
	}
	return hash
}

// listed is one line of ls. What has no CID says why it is here.
func listed(c bridge.Content) string {
	if c.Kept == nil {
		return fmt.Sprintf("%s  %s  %-10s  %d", c.CID, c.Hash, c.Format, c.Size)
	}
	line := fmt.Sprintf("%-59s %65s  %-10s  %d  %s", "-", wanted(c.Hash, c.Format), c.Format, c.Size, c.Kept.Why)
	if c.Kept.By != "" {
		line += " by " + c.Kept.By
	}
	switch c.Kept.State {
	case "partial":
		line += fmt.Sprintf(", partial: %d bytes are here", c.Kept.Have)
	case "damaged":
		line += ", damaged: `bridge rm " + c.Hash + "` and fetch it again"
	}
	return line
}

func (a *app) idCommand() *cobra.Command {
	return &cobra.Command{
		Use: "id", Short: "Show who this bridge is on both networks", Args: arguments(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), offline, func(s api.Service, _ bool) error {
				id, err := s.Identity()
				if err != nil {
					return err
				}
				if a.json {
					return json.NewEncoder(a.stdout).Encode(id)
				}
				_, err = fmt.Fprintf(a.stdout, "iroh    %s\n        %s\nlibp2p  %s\n        %s\n", id.EndpointID,
					strings.Join(irohPlaces(id), "\n        "), id.PeerID, strings.Join(id.Libp2pAddrs, "\n        "))
				return err
			})
		},
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Args: arguments(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return json.NewEncoder(a.stdout).Encode(api.VersionInfo{Version: version})
			}
			_, err := fmt.Fprintln(a.stdout, version)
			return err
		},
	}
}
