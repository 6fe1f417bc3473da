package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/iroh-ipfs/bridge/bridge/api"
	"github.com/iroh-ipfs/bridge/bridge/native"
)

func (a *app) fetchCommand() *cobra.Command {
	var req native.FetchRequest
	c := &cobra.Command{
		Use: "fetch TICKET|HASH", Short: "Fetch iroh content and keep it, without a CID", Args: arguments(1, "one TICKET or HASH"),
		Long: "Fetch iroh content and keep it, without a CID.\n\n" +
			"A HASH is that of a blob; with an s before it, or with --recursive, that of a sequence and its children. Iroh peers\n" +
			"get it from here at once; bridge expose gives it a CID, bridge rm HASH gives it up.",
		RunE: func(c *cobra.Command, args []string) error {
			req.Content = args[0]
			return a.with(c.Context(), online, func(s api.Service, daemon bool) error {
				p := a.progress()
				f, err := s.Fetch(c.Context(), req, p)
				p.end()
				if err != nil {
					return err
				}
				return a.printFetched(f, daemon)
			})
		},
	}
	fromFlag(c, &req.From)
	c.Flags().BoolVarP(&req.Recursive, "recursive", "r", false, "the hash is that of a sequence; fetch its children as well")
	return c
}

func (a *app) printFetched(f native.Fetched, daemon bool) error {
	if !daemon {
		defer a.noteNoDaemon(f.Hash)
	}
	a.warn(f.Warning)
	if a.json {
		return json.NewEncoder(a.stdout).Encode(f)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "hash\t%s\nformat\t%s\nsize\t%d bytes\nfetched\t%d bytes in %.1f s\nticket\t%s\n", wanted(f.Hash, f.Format), f.Format, f.Size, f.Received, f.Seconds, f.Ticket)
	for _, p := range f.Providers {
		fmt.Fprintf(w, "from\t%s: %d bytes, %d requests, %d connections", p.EndpointID, p.Bytes, p.Requests, p.Connections)
		if p.Error != "" {
			fmt.Fprintf(w, "; %s", printable(p.Error))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func (a *app) pushCommand() *cobra.Command {
	var req native.PushRequest
	c := &cobra.Command{
		Use: "push TARGET HASH|CID", Short: "Bring content that is here to another iroh node", Args: arguments(2, "a TARGET (endpoint id or ticket) and a HASH or CID"),
		Long: "Bring content that is here to another iroh node.\n\n" +
			"TARGET is an endpoint id, or an endpoint or blob ticket. It has to allow us: a bridge does with push.peers and push.quota.",
		RunE: func(c *cobra.Command, args []string) error {
			req.Target, req.Content = args[0], args[1]
			return a.with(c.Context(), online, func(s api.Service, _ bool) error {
				p := a.progress()
				done, err := s.Push(c.Context(), req, p)
				p.end()
				if err != nil {
					return err
				}
				if a.json {
					return json.NewEncoder(a.stdout).Encode(done)
				}
				_, err = fmt.Fprintf(a.stdout, "hash    %s\nformat  %s\nto      %s\npath    %s\npushed  %d blobs, %d bytes in %.1f s; %d blobs were there\n",
					wanted(done.Hash, done.Format), done.Format, done.EndpointID, done.Path, done.Blobs, done.Bytes, done.Seconds, done.Skipped)
				return err
			})
		},
	}
	c.Flags().BoolVarP(&req.Recursive, "recursive", "r", false, "the hash is that of a sequence; push its children as well")
	return c
}

func (a *app) observeCommand() *cobra.Command {
	var req native.ObserveRequest
	c := &cobra.Command{
		Use: "observe TICKET|HASH", Short: "Follow what another iroh node has of a blob, until it is complete", Args: arguments(1, "one TICKET or HASH"),
		RunE: func(c *cobra.Command, args []string) error {
			req.Content = args[0]
			return a.with(c.Context(), online, func(s api.Service, _ bool) error {
				return s.Observe(c.Context(), req, a.printObserved)
			})
		},
	}
	c.Flags().StringVar(&req.From, "from", "", "endpoint id or ticket of who is asked (default: the ticket's endpoint)")
	c.Flags().BoolVar(&req.Once, "once", false, "say what there is now, and end; status 3 if that is nothing")
	_ = c.RegisterFlagCompletionFunc("from", cobra.NoFileCompletions)
	return c
}

func (a *app) printObserved(o native.Observed) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(o)
	}
	text := "nothing"
	switch {
	case o.Complete:
		text = fmt.Sprintf("complete, %d bytes", o.Size)
	case o.Have > 0:
		text = fmt.Sprintf("%d of %d bytes, in %d parts", o.Have, o.Size, len(o.Ranges))
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

func (a *app) ticketCommand() *cobra.Command {
	var req native.TicketRequest
	var short, relay, addrs bool
	c := &cobra.Command{
		Use: "ticket HASH|CID", Short: "Make a ticket of content that is here", Args: arguments(1, "one HASH or CID"),
		RunE: func(c *cobra.Command, args []string) error {
			req.Content = args[0]
			for _, f := range []struct {
				set  bool
				part string
			}{{short, "short"}, {relay, "relay"}, {addrs, "addrs"}} {
				if f.set && req.Parts != "" {
					return fmt.Errorf("%w: --%s and --%s exclude each other", errUsage, req.Parts, f.part)
				}
				if f.set {
					req.Parts = f.part
				}
			}
			return a.with(c.Context(), offline, func(s api.Service, daemon bool) error {
				t, err := s.Ticket(c.Context(), req)
				if err != nil {
					return err
				}
				switch {
				case !daemon && !short:
					fmt.Fprintln(a.stderr, "note: no daemon runs on this data folder, so the ticket has our endpoint id alone")
				case relay && t.Relay == "":
					fmt.Fprintln(a.stderr, "note: there is no home relay, so the ticket has our endpoint id alone; `bridge doctor` says why")
				case addrs && len(t.Addrs) == 0:
					fmt.Fprintln(a.stderr, "note: the endpoint knows no address of its own, so the ticket has our endpoint id alone; name one with --announce")
				}
				if a.json {
					return json.NewEncoder(a.stdout).Encode(t)
				}
				_, err = fmt.Fprintln(a.stdout, t.Ticket)
				return err
			})
		},
	}
	f := c.Flags()
	f.BoolVar(&short, "short", false, "our endpoint id alone; whoever has the ticket looks up where we are")
	f.BoolVar(&relay, "relay", false, "our endpoint id and home relay")
	f.BoolVar(&addrs, "addrs", false, "our endpoint id and addresses")
	f.BoolVarP(&req.Recursive, "recursive", "r", false, "the hash is that of a sequence")
	return c
}
