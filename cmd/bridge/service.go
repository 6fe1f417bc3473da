package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/libp2p/go-libp2p/gologshim"

	golog "github.com/ipfs/go-log/v2"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/api"
	"github.com/iroh-ipfs/bridge/bridge/config"
)

// need says what a command wants of a bridge that runs in this process; a daemon has everything.
type need int

const (
	offline need = iota
	online
)

// dataDir resolves --data, BRIDGE_DATA and the default, in this order.
func (a *app) dataDir() (string, error) {
	dir := a.data
	if dir == "" {
		dir, _ = a.lookup("BRIDGE_DATA")
	}
	if dir == "" {
		var err error
		if dir, err = config.DataDir(a.lookup); err != nil {
			return "", err
		}
	}
	return filepath.Abs(dir)
}

func (a *app) config(dir string) (config.Config, error) {
	cfg, err := config.Load(dir, a.lookup)
	if err != nil {
		return cfg, fmt.Errorf("%w: %w", errUsage, err)
	}
	cfg.Local = cfg.Local || a.local
	return cfg, nil
}

func (a *app) logger(daemon bool) *slog.Logger {
	level := slog.LevelWarn
	if daemon {
		level = slog.LevelInfo
	}
	if a.verbose {
		level = slog.LevelDebug
	}
	// libp2p and boxo log through go-log, whose levels and forms GOLOG_* sets.
	gologshim.SetDefaultHandler(golog.SlogHandler())
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}

// with runs a command's work on the daemon of the data folder, or on a bridge in this process.
func (a *app) with(ctx context.Context, n need, work func(s api.Service, daemon bool) error) (err error) {
	dir, err := a.dataDir()
	if err != nil {
		return err
	}
	client, err := api.Dial(ctx, dir)
	if err == nil {
		return work(client, true)
	}
	if !errors.Is(err, api.ErrNoDaemon) {
		return err
	}
	cfg, err := a.config(dir)
	if err != nil {
		return err
	}
	if n == online {
		// A short-lived node of its own: any free ports, so that it never gets in a daemon's way.
		cfg.Iroh.Listen = "0.0.0.0:0"
		cfg.Libp2p.Listen = []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}
		if cfg.Local {
			cfg.Iroh.Listen = "127.0.0.1:0"
			cfg.Libp2p.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
		}
	}
	b, err := bridge.Open(dir, cfg, a.logger(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if n == online {
		if err := b.Visit(ctx); err != nil {
			return err
		}
	}
	return work(api.Local(b), false)
}
