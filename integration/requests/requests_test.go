package requests

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/blobs/downloader"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sizes lie around every boundary of the format.
var sizes = []int{1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 100000, 1<<20 + 1, 5<<20 + 12345}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func listen(t *testing.T) *iroh.Endpoint {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	e, err := iroh.Listen(iroh.Config{SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{blobs.ALPN}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// provide serves a store and returns where, as the Rust peer takes it.
func provide(t *testing.T, cfg blobs.ProviderConfig) string {
	t.Helper()
	e := listen(t)
	p := blobs.NewProvider(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := e.Accept(ctx)
			if err != nil {
				return
			}
			running.Go(func() { _ = p.Serve(ctx, conn) })
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return e.ID().String() + "@" + e.LocalAddrs()[0].String()
}

// connect dials a Rust node.
func connect(t *testing.T, node *peer.RustNode) *iroh.Conn {
	t.Helper()
	id, err := key.ParseEndpointID(node.ID)
	if err != nil {
		t.Fatal(err)
	}
	addr := ticket.EndpointAddr{ID: id, Direct: []netip.AddrPort{netip.MustParseAddrPort(node.Addrs[0])}}
	conn, err := listen(t).Dial(peertest.Context(t), addr, blobs.ALPN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

func content(seed uint64, n int) []byte {
	var seedKey [32]byte
	binary.LittleEndian.PutUint64(seedKey[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seedKey).Read(b)
	return b
}

func put(t *testing.T, s *store.Store, data []byte) bao.Hash {
	t.Helper()
	hash, err := s.Put(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// has checks that the store has exactly this blob.
func has(t *testing.T, s *store.Store, data []byte) {
	t.Helper()
	blob, err := s.Open(bao.Sum(data))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got := make([]byte, blob.Size())
	if _, err := blob.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("blob of %d bytes differs", len(data))
	}
}

// allow takes pushes from a Rust node with this secret key.
func allow(quota uint64) (provider.PushConfig, string) {
	seed := content(77, 32)
	peers := []key.EndpointID{key.SecretKeyFromSeed([32]byte(seed)).ID()}
	return provider.PushConfig{Peers: peers, Quota: quota}, hex.EncodeToString(seed)
}

func TestRustGetsMany(t *testing.T) {
	rust, s := peertest.Rust(t), openStore(t)
	target := provide(t, blobs.ProviderConfig{Store: s})
	want := map[string]uint64{}
	var hashes []string
	for i, size := range sizes {
		hash := put(t, s, content(uint64(i), size)).String()
		hashes = append(hashes, hash)
		want[hash] = uint64(size)
	}
	got, err := rust.GetMany(peertest.Context(t), target, hashes...)
	if err != nil {
		t.Fatal(err)
	}
	for hash, size := range want {
		if got[hash] != size {
			t.Errorf("%s: %d bytes, want %d", hash, got[hash], size)
		}
	}
	if _, err := rust.GetMany(peertest.Context(t), target, hashes[0], bao.Sum([]byte("missing")).String()); err == nil {
		t.Error("a missing blob was fetched")
	}
}

func TestWeGetMany(t *testing.T) {
	rust, dir := peertest.Rust(t), t.TempDir()
	var paths []string
	var request blobs.GetManyRequest
	for i, size := range sizes {
		data := content(uint64(i), size)
		paths = append(paths, write(t, filepath.Join(dir, string(rune('a'+i))), data))
		request.Hashes = append(request.Hashes, bao.Sum(data))
		if i%2 == 0 {
			request.Ranges = request.Ranges.Add(uint64(i), bao.All())
		} else {
			request.Ranges = request.Ranges.Add(uint64(i), bao.LastChunk())
		}
	}
	conn := connect(t, peertest.Serve(t, rust, paths...))
	response, err := blobs.GetMany(peertest.Context(t), conn, request, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	seen := 0
	for index, _, ok := response.Next(); ok; index, _, ok = response.Next() {
		seen++
		data := content(index, sizes[index])
		if size, err := response.Open(request.Hashes[index]); err != nil || size != uint64(len(data)) {
			t.Fatal(index, size, err)
		}
		for item, err := response.Item(); err != io.EOF; item, err = response.Item() {
			if err != nil {
				t.Fatal(index, err)
			}
			if item.Kind == bao.Leaf && !bytes.Equal(item.Data, data[item.Offset:][:len(item.Data)]) {
				t.Fatalf("blob %d differs at %d", index, item.Offset)
			}
		}
	}
	if seen != len(sizes) {
		t.Errorf("%d blobs", seen)
	}
}

// fetchInto gets part of a blob over a connection into a store, group by group as a download does.
func fetchInto(t *testing.T, s *store.Store, data []byte, ranges bao.Ranges, pieces int) {
	t.Helper()
	whole := openStore(t)
	put(t, whole, data)
	blob, err := whole.Open(bao.Sum(data))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	var encoded bytes.Buffer
	if err := bao.Encode(&encoded, bao.Sum(data), blob.Size(), blob, blob.Outboard(), ranges); err != nil {
		t.Fatal(err)
	}
	d, err := s.Download(bao.Sum(data), blob.Size())
	if err != nil {
		t.Fatal(err)
	}
	decoder := bao.NewDecoder(&encoded, bao.Sum(data), blob.Size(), ranges)
	for i := 1; ; i++ {
		item, err := decoder.Next()
		if err == io.EOF {
			break
		}
		if err == nil && item.Kind == bao.Leaf {
			err = d.WriteLeaf(item.Offset, item.Data)
		} else if err == nil {
			err = d.WritePair(item.OutboardOffset, item.Data)
		}
		if err == nil && i%pieces == 0 {
			err = d.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Complete(context.Background()); err != nil && !errors.Is(err, store.ErrIncomplete) {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// begun closes a channel when a request begins to be answered.
type begun struct {
	once sync.Once
	c    chan struct{}
}

func (b *begun) Event(e provider.Event) {
	if e.Kind == provider.Requested {
		b.once.Do(func() { close(b.c) })
	}
}

// TestRustObservesUs has the Rust peer follow a blob of ours from nothing to the whole.
func TestRustObservesUs(t *testing.T) {
	rust, s := peertest.Rust(t), openStore(t)
	data := content(1, 8<<20+5)
	heard := &begun{c: make(chan struct{})}
	target := provide(t, blobs.ProviderConfig{Store: s, Events: heard})
	var got peer.RustObservation
	var running sync.WaitGroup
	running.Go(func() {
		var err error
		if got, err = rust.Observe(peertest.Context(t), target, bao.Sum(data).String()); err != nil {
			t.Error(err)
		}
	})
	<-heard.c
	fetchInto(t, s, data, bao.Span(0, 4096), 64)
	fetchInto(t, s, data, bao.From(4096), 64)
	running.Wait()
	if !got.Sum.Complete || got.Sum.Size != uint64(len(data)) || len(got.Items) < 2 || got.Items[0].Size != 0 {
		t.Errorf("%d items, sum %+v", len(got.Items), got.Sum)
	}
	t.Logf("%d items", len(got.Items))
}

// TestWeObserveRust follows a blob of the Rust peer while we push it in two parts.
func TestWeObserveRust(t *testing.T) {
	rust := peertest.Rust(t)
	node, err := rust.Sink(peertest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	conn := connect(t, node)
	data := content(2, 3<<20+77)
	from := openStore(t)
	hash := put(t, from, data)
	o, err := blobs.Observe(peertest.Context(t), conn, hash)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if there, err := o.Next(); err != nil || there.Size != 0 || !there.Ranges.IsEmpty() {
		t.Fatal(there, err)
	}
	stats, err := blobs.Push(peertest.Context(t), conn, blobs.PushConfig{Store: from}, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	for {
		there, err := o.Next()
		if err != nil {
			t.Fatal(err)
		}
		if there.Complete() {
			break
		}
	}
	if stats.Bytes != uint64(len(data)) {
		t.Errorf("%+v", stats)
	}
	// It is there in truth: fetched back, it verifies.
	back := openStore(t)
	d := downloader.New(downloader.Config{Store: back})
	if _, err := d.FetchFrom(peertest.Context(t), conn, hash, ticket.Raw, nil); err != nil {
		t.Fatal(err)
	}
	has(t, back, data)
}

// TestWePushToRust pushes blobs of every size and a collection, and each again.
func TestWePushToRust(t *testing.T) {
	rust := peertest.Rust(t)
	node, err := rust.Sink(peertest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	peertest.Keep(t, node.Process)
	conn := connect(t, node)
	from, back := openStore(t), openStore(t)
	d := downloader.New(downloader.Config{Store: back})
	push := func(hash bao.Hash, format ticket.Format) blobs.PushStats {
		t.Helper()
		stats, err := blobs.Push(peertest.Context(t), conn, blobs.PushConfig{Store: from}, hash, format, nil)
		if err != nil {
			t.Fatal(err)
		}
		return stats
	}
	var c blobs.Collection
	for i, size := range sizes {
		data := content(uint64(i), size)
		hash := put(t, from, data)
		c.Names, c.Hashes = append(c.Names, string(rune('a'+i))), append(c.Hashes, hash)
		if i%2 == 0 {
			continue // these come with the collection
		}
		push(hash, ticket.Raw)
		if stats := push(hash, ticket.Raw); stats.Sent != 0 {
			t.Errorf("%d bytes again: %+v", size, stats)
		}
	}
	root := put(t, from, c.HashSeq(put(t, from, c.Meta())))
	stats := push(root, ticket.HashSeq)
	if stats.Skipped != len(sizes)/2 || stats.Blobs != len(sizes)-len(sizes)/2+2 {
		t.Errorf("%+v", stats)
	}
	if stats = push(root, ticket.HashSeq); stats.Sent != 0 {
		t.Errorf("again: %+v", stats)
	}
	if _, err := d.FetchFrom(peertest.Context(t), conn, root, ticket.HashSeq, nil); err != nil {
		t.Fatal(err)
	}
	for i, size := range sizes {
		has(t, back, content(uint64(i), size))
	}
}

// TestRustRefusesPush pushes to a Rust node with its default settings.
func TestRustRefusesPush(t *testing.T) {
	rust, from := peertest.Rust(t), openStore(t)
	conn := connect(t, peertest.Serve(t, rust))
	for _, size := range []int{100, 3 << 20} {
		_, err := blobs.Push(peertest.Context(t), conn, blobs.PushConfig{Store: from}, put(t, from, content(3, size)), ticket.Raw, nil)
		if !errors.Is(err, blobs.ErrRefused) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestRustPushesToUs takes a file of every size and a folder from the Rust peer.
func TestRustPushesToUs(t *testing.T) {
	rust, s, dir := peertest.Rust(t), openStore(t), t.TempDir()
	allowed, secret := allow(100 << 20)
	target := provide(t, blobs.ProviderConfig{Store: s, Push: allowed})
	for i, size := range sizes {
		data := content(uint64(i), size)
		path := write(t, filepath.Join(dir, "files", string(rune('a'+i))), data)
		if i%3 > 0 {
			continue // these come with the folder
		}
		item, err := rust.Push(peertest.Context(t), target, path, "--secret", secret)
		if err != nil || item.Hash != bao.Sum(data).String() {
			t.Fatal(item, err)
		}
		has(t, s, data)
	}
	item, err := rust.Push(peertest.Context(t), target, filepath.Join(dir, "files"), "--secret", secret)
	if err != nil || item.Files != len(sizes) {
		t.Fatal(item, err)
	}
	for i, size := range sizes {
		has(t, s, content(uint64(i), size))
	}
}

// TestRustPushIsRefused pushes without permission, and above the quota: the refusal has its code, and nothing is here. The Rust peer's own push
// looks for no answer and puts what it has into its send buffer, so a small one fails only by never arriving.
func TestRustPushIsRefused(t *testing.T) {
	rust, s := peertest.Rust(t), openStore(t)
	allowed, secret := allow(100 << 10)
	target := provide(t, blobs.ProviderConfig{Store: s, Push: allowed})
	data := content(5, 300<<10)
	request := blobs.PushRequest{Get: blobs.GetRequest{Hash: bao.Sum(data), Ranges: blobs.WholeBlob()}}.Append(nil)
	responses, err := rust.Raw(peertest.Context(t), target, []string{hex.EncodeToString(request)})
	if err != nil {
		t.Fatal(err)
	}
	if r := responses[0]; r.End != "reset" || r.Code == nil || *r.Code != blobs.CodePermission || r.Len != 0 {
		t.Errorf("stranger: %+v", r)
	}
	path := write(t, filepath.Join(t.TempDir(), "file"), data)
	if _, err := rust.Push(peertest.Context(t), target, path, "--timeout", "3", "--secret", secret); err == nil {
		t.Error("pushed above the quota")
	}
	// Larger than all windows: whoever sends without looking learns of the refusal while it sends.
	path = write(t, filepath.Join(t.TempDir(), "large"), content(6, 32<<20))
	for name, flags := range map[string][]string{"stranger": nil, "over quota": {"--secret", secret}} {
		flags = append(flags, "--blind", "--timeout", "5")
		if _, err := rust.Push(peertest.Context(t), target, path, flags...); err == nil || !strings.Contains(err.Error(), "push:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for status, err := range s.All() {
		t.Errorf("left: %v, %v", status, err)
	}
}
