package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// KuboConfig says how to start a Kubo.
type KuboConfig struct {
	Repo     string   // folder of the repository; created and initialised when it has no config
	Profiles []string // applied on top of "test", for example "unixfs-v1-2025"
	// Transport limits what it listens on and dials: "tcp", "quic" or empty for both.
	Transport string
}

// KuboNode is a Kubo: a repository, and a daemon while it is started.
type KuboNode struct {
	Repo  string
	ID    string   // peer id; set by StartKubo
	Addrs []string // full multiaddrs with /p2p/; set by StartKubo
	*Process
	bin string
}

// NewKubo prepares a repository without starting a daemon: profile "test" (loopback, random ports, no discovery), no
// bootstrap peers, no routing.
func (c Cache) NewKubo(ctx context.Context, cfg KuboConfig) (*KuboNode, error) {
	bin, err := c.Path(ctx, Kubo)
	if err != nil {
		return nil, err
	}
	k := &KuboNode{Repo: cfg.Repo, bin: bin}
	if _, err := os.Stat(filepath.Join(k.Repo, "config")); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(k.Repo, 0o755); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	profiles := strings.Join(append([]string{"test"}, cfg.Profiles...), ",")
	steps := [][]string{
		{"init", "--profile=" + profiles},
		{"bootstrap", "rm", "--all"},
		{"config", "Routing.Type", "none"},
		{"config", "--json", "Addresses.Swarm", swarm(cfg.Transport)},
		{"config", "--json", "Swarm.RelayClient.Enabled", "false"},
		{"config", "--json", "Swarm.Transports.Network.Relay", "false"},
		{"config", "--json", "Swarm.Transports.Network.Websocket", "false"},
		{"config", "--json", "Swarm.Transports.Network.WebTransport", "false"},
		{"config", "--json", "Swarm.Transports.Network.WebRTCDirect", "false"},
		{"config", "--json", "HTTPRetrieval.Enabled", "false"},
	}
	switch cfg.Transport {
	case "tcp":
		steps = append(steps, []string{"config", "--json", "Swarm.Transports.Network.QUIC", "false"})
	case "quic":
		steps = append(steps, []string{"config", "--json", "Swarm.Transports.Network.TCP", "false"})
	}
	for _, args := range steps {
		if _, err := k.Run(ctx, args...); err != nil {
			return nil, fmt.Errorf("peer: kubo: %w", err)
		}
	}
	return k, nil
}

func swarm(transport string) string {
	const tcp, quic = `"/ip4/127.0.0.1/tcp/0"`, `"/ip4/127.0.0.1/udp/0/quic-v1"`
	switch transport {
	case "tcp":
		return "[" + tcp + "]"
	case "quic":
		return "[" + quic + "]"
	}
	return "[" + tcp + "," + quic + "]"
}

// StartKubo prepares a repository and starts its daemon.
func (c Cache) StartKubo(ctx context.Context, cfg KuboConfig) (*KuboNode, error) {
	k, err := c.NewKubo(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := k.Start(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// Start starts the daemon of a prepared or stopped Kubo, and sets ID and Addrs.
func (k *KuboNode) Start(ctx context.Context) error {
	process, err := Start(ctx, Command{
		Path: k.bin, Args: []string{"daemon"}, Env: k.env(),
		Ready: func(line string) bool { return strings.Contains(line, "Daemon is ready") },
	})
	if err != nil {
		return err
	}
	if _, err := process.WaitReady(ctx); err != nil {
		process.Kill()
		return err
	}
	k.Process = process
	out, err := k.Run(ctx, "id")
	if err == nil {
		var id struct {
			ID        string
			Addresses []string
		}
		err = json.Unmarshal(out, &id)
		k.ID, k.Addrs = id.ID, id.Addresses
	}
	if err == nil && len(k.Addrs) == 0 {
		err = fmt.Errorf("it has no addresses")
	}
	if err != nil {
		process.Kill()
		return fmt.Errorf("peer: kubo id: %w", err)
	}
	return nil
}

// Run runs one ipfs command against the repository, by its daemon when one runs, and returns what it wrote to stdout.
func (k *KuboNode) Run(ctx context.Context, args ...string) ([]byte, error) {
	out, _, err := Output(ctx, Command{Path: k.bin, Args: args, Env: k.env()})
	return out, err
}

// Line is Run for commands whose output is one line.
func (k *KuboNode) Line(ctx context.Context, args ...string) (string, error) {
	out, err := k.Run(ctx, args...)
	return strings.TrimSpace(string(out)), err
}

// Connect connects the daemon to a peer, one of whose full multiaddrs is given.
func (k *KuboNode) Connect(ctx context.Context, addr string) error {
	_, err := k.Run(ctx, "swarm", "connect", addr)
	return err
}

func (k *KuboNode) env() []string {
	return []string{"IPFS_PATH=" + k.Repo, "IPFS_TELEMETRY=off", "GOLOG_LOG_LEVEL=error"}
}
