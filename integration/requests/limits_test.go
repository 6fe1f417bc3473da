package requests

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// dial connects an endpoint of ours to a provider of ours.
func dial(t *testing.T, target string) blobs.Opener {
	t.Helper()
	text, at, _ := strings.Cut(target, "@")
	id, err := key.ParseEndpointID(text)
	if err != nil {
		t.Fatal(err)
	}
	addr := ticket.EndpointAddr{ID: id, Direct: []netip.AddrPort{netip.MustParseAddrPort(at)}}
	conn, err := listen(t).Dial(peertest.Context(t), addr, blobs.ALPN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// ended fails the test unless a response ended in that way, with nothing in it.
func ended(t *testing.T, what string, r peer.RustResponse, how string, code int64) {
	t.Helper()
	if r.End != how || r.Code == nil || *r.Code != code || r.Len != 0 {
		t.Errorf("%s: %+v, want %s with code %d", what, r, how, code)
	}
}

// nothing is the policy that lets nobody have anything.
type nothing struct{}

func (nothing) Allow(key.EndpointID, bao.Hash) bool { return false }

// TestRustHearsWhyItIsRefused has the Rust peer make every request where it is above a limit or not allowed: each refusal has the
// protocol's code for it.
func TestRustHearsWhyItIsRefused(t *testing.T) {
	rust, s := peertest.Rust(t), openStore(t)
	allowed, secret := allow(100 << 10)
	data, large := content(7, 1000), content(8, 300<<10)
	hash := put(t, s, data)
	raw := func(target string, requests ...[]byte) []peer.RustResponse {
		t.Helper()
		var text []string
		for _, r := range requests {
			text = append(text, hex.EncodeToString(r))
		}
		responses, err := rust.Raw(peertest.Context(t), target, text, "--secret", secret)
		if err != nil {
			t.Fatal(err)
		}
		return responses
	}
	get := blobs.GetRequest{Hash: hash, Ranges: blobs.WholeBlob()}.Append(nil)
	push := blobs.PushRequest{Get: blobs.GetRequest{Hash: bao.Sum(large), Ranges: blobs.WholeBlob()}}.Append(nil)
	push = binary.LittleEndian.AppendUint64(push, uint64(len(large)))
	requests := map[string][]byte{
		"get": get, "push": push,
		"get many": blobs.GetManyRequest{Hashes: []bao.Hash{hash}, Ranges: blobs.WholeBlob()}.Append(nil),
		"observe":  append(append([]byte{1}, hash[:]...), 0), // of no range, as iroh-blobs takes it
	}

	once := provide(t, blobs.ProviderConfig{Store: s, Push: allowed, Limits: provider.Limits{Peer: provider.Limit{RequestRate: 1e-6}}})
	if r := raw(once, get)[0]; r.End != "fin" || r.Len == 0 {
		t.Errorf("the first request: %+v", r)
	}
	for name, request := range requests {
		ended(t, name+", once too often", raw(once, request)[0], "reset", blobs.CodeLimit)
	}

	full := provide(t, blobs.ProviderConfig{Store: s, Limits: provider.Limits{All: provider.Limit{Connections: 1}}})
	r, err := blobs.Get(peertest.Context(t), dial(t, full), blobs.GetRequest{Hash: hash, Ranges: blobs.WholeBlob()}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Next()
	if _, err := r.Open(hash); err != nil { // the connection is one that is served
		t.Fatal(err)
	}
	// The close comes before the Rust peer opens a stream or after.
	if responses, err := rust.Raw(peertest.Context(t), full, []string{hex.EncodeToString(get)}); err == nil {
		ended(t, "one connection too many", responses[0], "closed", blobs.CodeLimit)
	} else if !strings.Contains(err.Error(), "closed by peer: limit (code 2)") {
		t.Errorf("one connection too many: %v", err)
	}

	ended(t, "over the quota", raw(provide(t, blobs.ProviderConfig{Store: s, Push: allowed}), push)[0], "reset", blobs.CodeLimit)

	strict := provide(t, blobs.ProviderConfig{Store: s, Policy: nothing{}})
	for name, request := range requests {
		ended(t, name+", not allowed", raw(strict, request)[0], "reset", blobs.CodePermission)
	}
	for status, err := range s.All() {
		if status.Hash != hash {
			t.Errorf("left: %v, %v", status, err)
		}
	}
}
