package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoNode says that a peer runs on Node.js, and node or npm is not installed.
var ErrNoNode = errors.New("peer: node or npm is not installed")

// NPMPeer runs npm/peer.mjs: the npm package @number0/iroh, an older iroh that has connections and streams but no blobs
// protocol. It looks for a router by a multicast and cannot be told not to, so it runs only in a namespace.
type NPMPeer struct {
	Script string
	Netns  string
}

// NPMAnswer is what came back for a request.
type NPMAnswer struct {
	RemoteID string `json:"remoteId"`
	Body     []byte `json:"-"`
}

// Get sends request bytes to an endpoint's address and returns what comes back; work is a folder for a file.
func (n NPMPeer) Get(ctx context.Context, work, id, addr string, request []byte) (NPMAnswer, error) {
	file := filepath.Join(work, "answer")
	c, err := n.command("get", id, addr, hex.EncodeToString(request), file)
	if err != nil {
		return NPMAnswer{}, err
	}
	out, _, err := Output(ctx, c)
	if err != nil {
		return NPMAnswer{}, fmt.Errorf("peer: %w", err)
	}
	var a NPMAnswer
	if err := json.Unmarshal(out, &a); err != nil {
		return a, fmt.Errorf("peer: npm: %w in %q", err, last(out))
	}
	a.Body, err = os.ReadFile(file)
	return a, err
}

// NPMNode is an npm peer that accepts connections.
type NPMNode struct {
	EndpointID string
	Addrs      []string
	*Process
}

// Serve accepts connections. For each request it connects to a Unix socket, sends the request there, and passes on what
// comes back.
func (n NPMPeer) Serve(ctx context.Context, socket string) (*NPMNode, error) {
	c, err := n.command("serve", socket)
	if err != nil {
		return nil, err
	}
	c.HoldStdin = true
	c.Ready = func(line string) bool { return strings.Contains(line, `"event":"ready"`) }
	process, err := Start(ctx, c)
	if err != nil {
		return nil, err
	}
	node := &NPMNode{Process: process}
	line, err := process.WaitReady(ctx)
	if err == nil {
		err = json.Unmarshal([]byte(line), node)
	}
	if err != nil {
		process.Kill()
		return nil, fmt.Errorf("peer: npm: %w", err)
	}
	return node, nil
}

func (n NPMPeer) command(args ...string) (Command, error) {
	if n.Netns == "" {
		return Command{}, errors.New("peer: npm: it has to be kept in a namespace")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return Command{}, ErrNoNode
	}
	return Command{Path: node, Args: append([]string{n.Script}, args...), Netns: n.Netns}, nil
}

// npmVersion is a hash of everything the peer is made from; the package's version is pinned there.
func npmVersion() (string, error) {
	dir, err := source("npm")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range []string{"package.json", "peer.mjs"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("peer: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(data), data)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// buildNPM installs the package beside a copy of the script. No script of the package itself is run.
func (c Cache) buildNPM(ctx context.Context, from, dir, bin string) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return ErrNoNode
		}
	}
	manifest, err := os.ReadFile(filepath.Join(from, "package.json"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), manifest, 0o644); err != nil {
		return err
	}
	err = c.run(ctx, dir, bin, "npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
	if err != nil {
		return err
	}
	return copyProgram(filepath.Join(from, filepath.Base(bin)), bin)
}
