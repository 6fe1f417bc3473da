package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// RustItem is one file or folder that a Rust node has imported.
type RustItem struct {
	Path    string  `json:"path"`
	Hash    string  `json:"hash"`
	Format  string  `json:"format"` // "raw" or "hashseq"
	Size    uint64  `json:"size"`
	Files   int     `json:"files"`
	Ticket  string  `json:"ticket"`  // of a serving node
	Seconds float64 `json:"seconds"` // of an import alone
}

// RustNode is a Rust node that serves.
type RustNode struct {
	ID    string   // endpoint id, hex
	Addrs []string // ip:port
	Items []RustItem
	*Process
}

// Target is the node's direct address in the form that [RustPeer.Raw] and [RustPeer.Dial] take.
func (n *RustNode) Target() string { return n.ID + "@" + n.Addrs[0] }

// RustPeer runs the Rust peer's commands.
type RustPeer struct {
	Bin       string
	Relay     string   // URL of the one relay that it uses; empty: none
	RelayOnly bool     // no sockets of its own, everything goes through the relay
	RelayCA   string   // file with the certificate (DER) by which the relay is trusted; empty: the public authorities
	Flags     []string // more flags of every command, such as "--pkarr", URL
	Place
}

// flags are those that all commands have.
func (r RustPeer) flags() []string {
	flags := append(slices.Clone(r.Flags), "--bind", r.IP().String())
	if r.Relay != "" {
		flags = append(flags, "--relay", r.Relay)
	}
	if r.RelayOnly {
		flags = append(flags, "--relay-only")
	}
	if r.RelayCA != "" {
		flags = append(flags, "--relay-ca", r.RelayCA)
	}
	return flags
}

// RustPeer returns the Rust peer, built when it is missing.
func (c Cache) RustPeer(ctx context.Context) (RustPeer, error) {
	bin, err := c.Path(ctx, Rust)
	return RustPeer{Bin: bin}, err
}

// Serve imports paths (a file becomes a raw blob, a folder a collection with names relative to it) into a store, which
// is a folder or "mem", and serves them. More flags of the command go before the paths.
func (r RustPeer) Serve(ctx context.Context, store string, args ...string) (*RustNode, error) {
	return r.up(ctx, append([]string{"serve", "--store", store}, args...))
}

// Echo serves the given ALPNs by sending back every byte of every stream.
func (r RustPeer) Echo(ctx context.Context, alpns ...string) (*RustNode, error) {
	args := []string{"echo"}
	for _, alpn := range alpns {
		args = append(args, "--alpn", alpn)
	}
	return r.up(ctx, args)
}

func (r RustPeer) up(ctx context.Context, args []string) (*RustNode, error) {
	process, err := Start(ctx, Command{
		Path: r.Bin, Args: append(r.flags(), args...), Netns: r.Netns, HoldStdin: true,
		Ready: func(line string) bool { return strings.Contains(line, `"event":"ready"`) },
	})
	if err != nil {
		return nil, err
	}
	line, err := process.WaitReady(ctx)
	if err != nil {
		process.Kill()
		return nil, err
	}
	var ready struct {
		EndpointID string
		Addrs      []string
		Items      []RustItem
	}
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		process.Kill()
		return nil, fmt.Errorf("peer: rust: %w", err)
	}
	return &RustNode{ID: ready.EndpointID, Addrs: ready.Addrs, Items: ready.Items, Process: process}, nil
}

// RustFetch is what a fetch reports.
type RustFetch struct {
	Hash           string  `json:"hash"`
	Format         string  `json:"format"`
	Bytes          uint64  `json:"bytes"` // exported
	Files          int     `json:"files"` // exported
	Path           string  `json:"path"`  // socket address or relay that the connection was on at its end
	PayloadRead    uint64  `json:"payloadRead"`
	OtherRead      uint64  `json:"otherRead"`
	ConnectSeconds float64 `json:"connectSeconds"`
	Seconds        float64 `json:"seconds"` // connect and transfer
	ExportSeconds  float64 `json:"exportSeconds"`
}

// Fetch fetches what a ticket names into a store (a folder, or "mem") and exports it to out: a file for a raw blob, a
// folder for a collection, nothing for "none".
func (r RustPeer) Fetch(ctx context.Context, store, ticket, out string) (RustFetch, error) {
	var f RustFetch
	return f, r.run(ctx, &f, "fetch", "--store", store, "--out", out, "--timeout", "7200", ticket)
}

// Import imports a file or folder into an FsStore, without a network.
func (r RustPeer) Import(ctx context.Context, store, path string) (RustItem, error) {
	var i RustItem
	return i, r.run(ctx, &i, "import", "--store", store, path)
}

// RustDial is what a handshake reports.
type RustDial struct {
	RemoteID string `json:"remoteId"`
	LocalID  string `json:"localId"`
	ALPN     string `json:"alpn"`
	ClosedBy string `json:"closedBy"` // why the other side closed within the hold time, if it did
}

// Dial shakes hands with a target, which is a blob ticket, ID@IP:PORT or ID@URL of a relay; flags are those of the command, such as
// "--alpn", "--hold" and "--secret".
func (r RustPeer) Dial(ctx context.Context, target string, flags ...string) (RustDial, error) {
	var d RustDial
	return d, r.run(ctx, &d, append([]string{"dial", target}, flags...)...)
}

// RustResponse is what came back on one stream.
type RustResponse struct {
	Len    int    `json:"len"`
	Blake3 string `json:"blake3"` // of the whole response, hex
	Head   string `json:"head"`   // the first bytes, hex
	End    string `json:"end"`    // fin, reset, closed, lost, or limit when more came than was to be read
	Code   *int64 `json:"code"`   // of a reset or of the connection's close
}

// Raw sends request bytes, given in hex or as @FILE with hex, each on a stream of its own over one connection.
func (r RustPeer) Raw(ctx context.Context, target string, requests []string, flags ...string) ([]RustResponse, error) {
	args := append([]string{"raw", target}, flags...)
	for _, request := range requests {
		args = append(args, "--request", request)
	}
	var out struct{ Responses []RustResponse }
	err := r.run(ctx, &out, args...)
	return out.Responses, err
}

// run decodes the one JSON object that a command prints.
func (r RustPeer) run(ctx context.Context, value any, args ...string) error {
	out, _, err := Output(ctx, Command{Path: r.Bin, Args: append(r.flags(), args...), Netns: r.Netns})
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	if err := json.Unmarshal(out, value); err != nil {
		return fmt.Errorf("peer: rust %s: %w in %q", args[0], err, last(out))
	}
	return nil
}
