package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/api"
)

func (a *app) verifyCommand() *cobra.Command {
	var req bridge.VerifyRequest
	c := &cobra.Command{
		Use: "verify", Short: "Hash every blob and block, and compare the index", Args: arguments(0, "no arguments"),
		Long: "Hash every blob and block, and compare the index.\n\n" +
			"With --repair, wrong rows of the index are written again, and links that the mapping database has lost come\n" +
			"back. A database that cannot be opened is moved aside and made anew from the blobs; no daemon may run then.\n\n" +
			"Exit status: 0 all is well, or was mended; 5 some links remain damaged and the others are good; 4 no link is good.",
		RunE: func(c *cobra.Command, _ []string) error {
			remote := false
			err := a.with(c.Context(), offline, func(s api.Service, daemon bool) error {
				remote = daemon
				p := a.progress()
				defer p.end()
				return s.Verify(c.Context(), req, p, a.printFinding)
			})
			if !errors.Is(err, bridge.ErrDamaged) {
				return err
			}
			if req.Repair && !remote {
				return a.rebuild(c.Context(), err)
			}
			return fmt.Errorf("%w: %w", bridge.ErrVerify, err)
		},
	}
	c.Flags().BoolVar(&req.Repair, "repair", false, "rebuild the index, or the whole mapping database, from the links' blobs")
	return c
}

func (a *app) printFinding(f bridge.Finding) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(f)
	}
	state := "ok"
	switch {
	case f.Restored:
		state = "restored"
	case f.Repaired:
		state = "repaired"
	case !f.OK:
		state = "damaged"
	}
	name := f.CID
	if name == "" {
		name = f.Hash // kept, and in no link
	}
	_, err := fmt.Fprintf(a.stdout, "%-8s  %s\n", state, name)
	for _, problem := range f.Problems {
		fmt.Fprintf(a.stdout, "          %s\n", printable(problem))
	}
	return err
}

// rebuild makes the mapping database anew, which why keeps from being read.
func (a *app) rebuild(ctx context.Context, why error) error {
	fmt.Fprintf(a.stderr, "note: %s\nnote: making it anew from the blobs, hashing all of them; interrupting this changes nothing\n", printable(why.Error()))
	dir, err := a.dataDir()
	if err != nil {
		return err
	}
	cfg, err := a.config(dir)
	if err != nil {
		return err
	}
	p := a.progress()
	done, err := bridge.Rebuild(ctx, dir, cfg, a.logger(false), p, a.printFinding)
	p.end()
	if err != nil && done.Lost == 0 {
		return err
	}
	fmt.Fprintf(a.stderr, "note: %d links came back, %d did not\n", done.Links, done.Lost)
	if done.Aside != "" {
		fmt.Fprintf(a.stderr, "note: the damaged database is kept in %s; delete it when nothing is missing\n", done.Aside)
	}
	return err
}
