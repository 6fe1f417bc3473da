package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/api"
	"github.com/iroh-ipfs/bridge/bridge/config"
)

// ready is what the daemon prints when it serves.
type ready struct {
	Event string `json:"event"`
	bridge.Identity
	API string `json:"api"`
}

// shutdownGrace is how long API requests that run get to finish. Everything is safe to cut.
const shutdownGrace = 2 * time.Second

// relayPatience is how long a start waits for the home relay. The daemon serves already meanwhile.
const relayPatience = 3 * time.Second

func (a *app) daemonCommand() *cobra.Command {
	var irohListen, apiListen string
	var libp2pListen, relays, announce []string
	c := &cobra.Command{
		Use: "daemon", Short: "Run both nodes and the HTTP API until interrupted", Args: arguments(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.dataDir()
			if err != nil {
				return err
			}
			cfg, err := a.config(dir)
			if err != nil {
				return err
			}
			if irohListen != "" {
				cfg.Iroh.Listen = irohListen
			}
			if apiListen != "" {
				cfg.API.Listen = apiListen
			}
			if len(libp2pListen) > 0 {
				cfg.Libp2p.Listen = libp2pListen
			}
			if len(relays) > 0 {
				cfg.Relay.URLs = relays
			}
			cfg.Iroh.Announce = append(cfg.Iroh.Announce, announce...)
			log := a.logger(true)
			b, err := bridge.Open(dir, cfg, log)
			if err != nil {
				return err
			}
			err = a.serve(c.Context(), b, api.Config{
				Service: api.Local(b), DataDir: dir, Listen: cfg.API.Listen, Hosts: cfg.API.Hosts, Version: version, Logger: log,
			})
			return errors.Join(err, b.Close())
		},
	}
	f := c.Flags()
	f.StringVar(&irohListen, "iroh-listen", "", "UDP address of the iroh endpoint, port 0 takes a free one (default 0.0.0.0:4022)")
	f.StringArrayVar(&libp2pListen, "libp2p-listen", nil, "multiaddr of the IPFS node, may repeat (default: TCP and QUIC on port 4021)")
	f.StringVar(&apiListen, "api", "", "TCP address of the HTTP API (default 127.0.0.1:5021)")
	f.StringArrayVar(&relays, "relay", nil, "iroh relay: a URL, default (n0's public ones) or disabled; may repeat")
	f.StringArrayVar(&announce, "announce", nil, "ip:port under which others reach the iroh endpoint, may repeat")
	_ = c.RegisterFlagCompletionFunc("relay", cobra.FixedCompletions([]cobra.Completion{config.Public, config.Disabled}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("announce", cobra.NoFileCompletions)
	return c
}

// irohPlaces lists where the iroh endpoint is reached.
func irohPlaces(id bridge.Identity) []string {
	if id.HomeRelay == "" {
		return id.IrohAddrs
	}
	return append([]string{id.HomeRelay}, id.IrohAddrs...)
}

// serve runs the daemon until ctx ends.
func (a *app) serve(ctx context.Context, b *bridge.Bridge, cfg api.Config) error {
	if err := b.Online(ctx); err != nil {
		return err
	}
	b.WaitRelay(ctx, relayPatience) // so that what is printed, and the first tickets, name it
	server, err := api.Listen(cfg)
	if err != nil {
		return err
	}
	id, err := b.Identity()
	if err != nil {
		return err
	}
	r := ready{Event: "ready", Identity: id, API: "http://" + server.Addr()}
	if a.json {
		err = json.NewEncoder(a.stdout).Encode(r)
	} else {
		_, err = fmt.Fprintf(a.stdout, "bridge is ready\n  iroh    %s\n          %s\n  libp2p  %s\n  api     %s\n",
			r.EndpointID, strings.Join(irohPlaces(r.Identity), "\n          "), strings.Join(r.Libp2pAddrs, "\n          "), r.API)
	}
	if err == nil {
		<-ctx.Done()
	}
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	return errors.Join(err, server.Close(graceful))
}
