package integration

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/iroh-ipfs/bridge/integration/peer"
	"github.com/iroh-ipfs/bridge/integration/peer/peertest"
	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// A liar is a provider over real QUIC that asks an honest Rust node for each response and then gives its own version
// of it.
type liar struct {
	endpoint *iroh.Endpoint
	honest   ticket.EndpointAddr
	answer   func(honest []byte, s *quic.Stream)
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// lie starts a liar and returns a ticket for the content of text that names the liar as its provider.
func lie(t *testing.T, text string, answer func(honest []byte, s *quic.Stream)) string {
	t.Helper()
	secret, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := iroh.Listen(iroh.Config{SecretKey: secret, Listen: "127.0.0.1:0", ALPNs: []string{blobs.ALPN}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	made := parseTicket(t, text)
	l := &liar{endpoint: endpoint, honest: made.Addr, answer: answer, cancel: cancel}
	l.wg.Go(func() { l.serve(ctx) })
	t.Cleanup(func() { cancel(); endpoint.Close(); l.wg.Wait() })
	made.Addr = endpoint.Addr()
	return made.String()
}

func (l *liar) serve(ctx context.Context) {
	for {
		conn, err := l.endpoint.Accept(ctx)
		if err != nil {
			return
		}
		l.wg.Go(func() {
			for {
				s, err := conn.AcceptStream(ctx)
				if err != nil {
					return
				}
				l.wg.Go(func() { l.stream(ctx, s) })
			}
		})
	}
}

func (l *liar) stream(ctx context.Context, s *quic.Stream) {
	request, err := io.ReadAll(io.LimitReader(s, 1<<20))
	if err != nil {
		return
	}
	honest, err := l.ask(ctx, request)
	if err != nil {
		s.CancelWrite(blobs.CodeInternal)
		return
	}
	l.answer(honest, s)
}

func (l *liar) ask(ctx context.Context, request []byte) ([]byte, error) {
	conn, err := l.endpoint.Dial(ctx, l.honest, blobs.ALPN)
	if err != nil {
		return nil, err
	}
	defer conn.CloseWithError(0, "done")
	s, err := conn.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Write(request); err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return io.ReadAll(s)
}

// whole sends a response and ends the stream as an honest provider does.
func whole(data []byte, s *quic.Stream) {
	s.Write(data)
	s.Close()
}

// claim replaces the size in front of a response.
func claim(size uint64) func([]byte, *quic.Stream) {
	return func(honest []byte, s *quic.Stream) {
		if len(honest) >= 8 {
			binary.LittleEndian.PutUint64(honest, size)
		}
		whole(honest, s)
	}
}

// TestLyingProvider exposes from providers that lie in every way: a clear error in time, no content, no more disk than
// what was verified, and the honest provider's bytes afterwards.
func TestLyingProvider(t *testing.T) {
	rust := peertest.Rust(t)
	const size = 3_000_000
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), size, 1)
	node := peertest.Serve(t, rust, file)
	honest := node.Items[0].Ticket
	for name, test := range map[string]struct {
		answer func(honest []byte, s *quic.Stream)
		status int
		good   int64 // bytes that can be verified
	}{
		"flips a bit early":    {func(b []byte, s *quic.Stream) { b[100] ^= 1; whole(b, s) }, 4, 0},
		"flips a bit late":     {func(b []byte, s *quic.Stream) { b[len(b)-1] ^= 0x80; whole(b, s) }, 4, size},
		"flips a bit midway":   {func(b []byte, s *quic.Stream) { b[len(b)/2] ^= 8; whole(b, s) }, 4, size / 2},
		"sends another blob":   {func(b []byte, s *quic.Stream) { io.ReadFull(random(5), b[8:]); whole(b, s) }, 4, 0},
		"truncates":            {func(b []byte, s *quic.Stream) { whole(b[:len(b)/3], s) }, 1, size}, // a third of what is missing, each time
		"truncates the size":   {func(b []byte, s *quic.Stream) { whole(b[:5], s) }, 1, 0},
		"sends only the size":  {func(b []byte, s *quic.Stream) { whole(b[:8], s) }, 1, 0},
		"says nothing":         {func(b []byte, s *quic.Stream) { whole(nil, s) }, 3, 0},
		"resets midway":        {func(b []byte, s *quic.Stream) { s.Write(b[:len(b)/2]); s.CancelWrite(blobs.CodeInternal) }, 3, size},
		"claims size 0":        {claim(0), 4, 0},
		"claims one byte more": {claim(size + 1), 1, size},
		"claims one byte less": {claim(size - 1), 4, 0},
		"claims 2^40":          {claim(1 << 40), 4, 0},
		"claims 2^63":          {claim(1 << 63), 4, 0},
		"claims 2^64-1":        {claim(1<<64 - 1), 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			ctx, cancel := context.WithTimeout(peertest.Context(t), 3*time.Minute)
			defer cancel()
			r := d.Run(ctx, "expose", lie(t, honest, test.answer))
			if r.Status != test.status || strings.TrimSpace(r.Stderr) == "" {
				t.Errorf("status %d, want %d\n%s", r.Status, test.status, r.Stderr)
			}
			nothingLeft(t, d, test.good)
			if c := do(t, d, "expose", honest); c.Hash != node.Items[0].Hash {
				t.Errorf("the honest provider's content is %+v", c)
			}
		})
	}
}

// TestEndlessProvider exposes from a provider that sends what was asked for and then goes on for ever: that is content,
// and what comes behind it is neither kept nor waited for.
func TestEndlessProvider(t *testing.T) {
	rust := peertest.Rust(t)
	const size = 3_000_000
	node := peertest.Serve(t, rust, randomFile(t, filepath.Join(t.TempDir(), "file"), size, 1))
	d := start(t)
	var sent atomic.Int64
	end := make(chan struct{})
	text := lie(t, node.Items[0].Ticket, func(b []byte, s *quic.Stream) {
		defer close(end)
		for {
			n, err := s.Write(b)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	c := do(t, d, "expose", text)
	select {
	case <-end:
	case <-time.After(time.Minute):
		t.Error("the provider may still send")
	}
	if c.Hash != node.Items[0].Hash || sent.Load() > size+32<<20 {
		t.Errorf("%d bytes were taken for %+v", sent.Load(), c)
	}
	if bytes, logs := stored(t, d); bytes > size+size/50+64<<10 || logs > 4<<20 { // with a layout and an outboard
		t.Errorf("%d bytes on disk, and %d in the databases", bytes, logs)
	}
	if rss, err := peer.PeakRSS(d.Pid()); err != nil || rss > 200<<20 {
		t.Errorf("%d bytes of memory, %v", rss, err)
	}
}

// nothingLeft fails the test when a failed operation left a content, or more on disk than what was verified, which is
// kept for the next attempt.
func nothingLeft(t *testing.T, d *peer.Daemon, verified int64) {
	t.Helper()
	if r := d.Run(peertest.Context(t), "ls", "--json"); r.Status != 0 || len(r.Stdout) > 0 {
		t.Errorf("ls: status %d, %s", r.Status, r.Stdout)
	}
	if bytes, logs := stored(t, d); bytes > verified+verified/100+64<<10 || logs > 4<<20 {
		t.Errorf("%d bytes on disk, and %d in the databases; %d can have been verified", bytes, logs, verified)
	}
}

// stored is what a data folder has on disk: the bytes of content, and those of the databases, whose logs take space in
// advance.
func stored(t *testing.T, d *peer.Daemon) (bytes, databases int64) {
	t.Helper()
	databases = diskUse(t, filepath.Join(d.Data, "mapping")) + diskUse(t, filepath.Join(d.Data, "blobs", "meta"))
	return diskUse(t, d.Data) - databases, databases
}

// TestStallingProvider exposes from a provider that stops in the middle and keeps the connection open: an error, not
// an endless wait.
func TestStallingProvider(t *testing.T) {
	rust := peertest.Rust(t)
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), 3_000_000, 1)
	node := peertest.Serve(t, rust, file)
	for name, share := range map[string]int{"at once": 0, "midway": 1} { // in halves
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			end := make(chan struct{})
			defer close(end)
			text := lie(t, node.Items[0].Ticket, func(b []byte, s *quic.Stream) {
				s.Write(b[:len(b)*share/2])
				<-end
			})
			began := time.Now()
			ctx, cancel := context.WithTimeout(peertest.Context(t), 2*time.Minute)
			defer cancel()
			if r := d.Run(ctx, "expose", text); r.Status <= 0 {
				t.Errorf("status %d after %s, want an error within two minutes\n%s", r.Status, time.Since(began), r.Stderr)
			}
			nothingLeft(t, d, int64(3_000_000*share/2))
		})
	}
}

// TestWrongKeyIsRefused exposes from an address where somebody else answers.
func TestWrongKeyIsRefused(t *testing.T) {
	rust := peertest.Rust(t)
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), 100_000, 1)
	node, other := peertest.Serve(t, rust, file), peertest.Serve(t, rust, file)
	d := start(t)
	r := d.Run(peertest.Context(t), "expose", reroute(t, node.Items[0].Ticket, direct(t, other.Items[0].Ticket)))
	if r.Status == 0 || strings.TrimSpace(r.Stderr) == "" {
		t.Errorf("status %d, %q", r.Status, r.Stderr)
	}
	nothingLeft(t, d, 0)
	// And the other way round: a Rust node that expects somebody else is not served.
	c := do(t, d, "add", file)
	if _, err := rust.Fetch(peertest.Context(t), "mem", reroute(t, node.Items[0].Ticket, direct(t, c.Ticket)), "none"); err == nil {
		t.Error("a Rust node fetched from a bridge that is not whom it dialed")
	}
}

// TestHostileCollections exposes hash sequences whose names or children are made to do harm. A Rust node serves them:
// it does not look at what they mean.
func TestHostileCollections(t *testing.T) {
	rust := peertest.Rust(t)
	for name, names := range map[string][]string{
		"parent folder":       {"../up"},
		"parent in the midst": {"a/../../up"},
		"absolute":            {"/etc/passwd"},
		"NUL":                 {"a\x00b"},
		"backslash":           {`a\..\b`},
		"drive":               {"C:/x"},
		"empty":               {""},
		"empty part":          {"a//b"},
		"dot":                 {"a/./b"},
		"trailing slash":      {"a/"},
		"long part":           {strings.Repeat("n", 256)},
		"not UTF-8":           {"a\xffb"},
		"twice the same":      {"a", "a"},
		"file and folder":     {"a", "a/b"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			child := randomFile(t, filepath.Join(dir, "child"), 100, 1)
			meta := append([]byte("CollectionV0."), byte(len(names)))
			for _, n := range names {
				meta = binary.AppendUvarint(meta, uint64(len(n)))
				meta = append(meta, n...)
			}
			metaFile := write(t, filepath.Join(dir, "meta"), meta)
			content, err := io.ReadAll(io.LimitReader(random(1), 100))
			if err != nil {
				t.Fatal(err)
			}
			hash, metaHash := bao.Sum(content), bao.Sum(meta)
			seq := append([]byte(nil), metaHash[:]...)
			for range names {
				seq = append(seq, hash[:]...)
			}
			node := peertest.Serve(t, rust, child, metaFile, write(t, filepath.Join(dir, "seq"), seq))
			made := parseTicket(t, node.Items[2].Ticket)
			made.Format = ticket.HashSeq
			d := start(t)
			r := d.Run(peertest.Context(t), "expose", made.String())
			if r.Status == 0 || !utf8Printable(r.Stderr) {
				t.Errorf("status %d, stderr %q", r.Status, r.Stderr)
			}
			nothingLeft(t, d, 10_000)
		})
	}
	t.Run("length", func(t *testing.T) {
		node := peertest.Serve(t, rust, randomFile(t, filepath.Join(t.TempDir(), "odd"), 33, 1))
		made := parseTicket(t, node.Items[0].Ticket)
		made.Format = ticket.HashSeq
		d := start(t)
		if r := d.Run(peertest.Context(t), "expose", made.String()); r.Status == 0 {
			t.Error("33 bytes are exposed as a hash sequence")
		}
		nothingLeft(t, d, 1000)
	})
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// utf8Printable tells whether text can be shown on a terminal without doing anything to it.
func utf8Printable(text string) bool {
	for _, r := range text {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return false
		}
	}
	return true
}

// TestRequestsToTheBridge sends the bridge every form of request and malformed ones: the same answers as a Rust node
// gives, and the bridge goes on serving.
func TestRequestsToTheBridge(t *testing.T) {
	rust := peertest.Rust(t)
	ctx := peertest.Context(t)
	file := randomFile(t, filepath.Join(t.TempDir(), "file"), 100_000, 1)
	node := peertest.Serve(t, rust, file)
	d := start(t)
	c := do(t, d, "add", file)
	const all, none = "0200010001", "00"
	get := func(hash, ranges string) string { return "00" + hash + ranges + none }
	requests := map[string]string{
		"whole":                  get(c.Hash, all),
		"chunk 0":                "00" + c.Hash + "0200020001" + "0100",
		"chunks 3 to 5":          "00" + c.Hash + "0200020302" + "0100",
		"size proof":             "00" + c.Hash + "020001ffffffffffffffffff01" + "0100",
		"nothing":                "00" + c.Hash + "00",
		"unknown hash":           get(unknownHash, all),
		"empty blob":             get("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262", all),
		"as a hash sequence":     "00" + c.Hash + "01000100",
		"trailing bytes":         get(c.Hash, all) + "00ff00",
		"unknown request":        "05" + c.Hash,
		"truncated":              "00" + c.Hash[:20],
		"no bytes":               "",
		"endless varint":         "00" + c.Hash + strings.Repeat("ff", 40),
		"range width 2^64":       "00" + c.Hash + "0100020002" + strings.Repeat("ff", 9) + "7f",
		"a billion range widths": "00" + c.Hash + "0100" + "80a8d6b907",
		"too long":               "00" + c.Hash + strings.Repeat("00", 1<<20),
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			if _, err := hex.DecodeString(request); err != nil {
				t.Fatal(err)
			}
			if len(request) > 100_000 { // more than an argument may hold
				request = "@" + write(t, filepath.Join(t.TempDir(), "request"), []byte(request))
			}
			flags := []string{"--timeout", "20"}
			want, err := rust.Raw(ctx, node.Target(), []string{request}, flags...)
			if err != nil {
				t.Fatalf("the Rust node: %v", err)
			}
			got, err := rust.Raw(ctx, d.EndpointID+"@"+d.IrohAddrs[0], []string{request}, flags...)
			if err != nil {
				t.Fatal(err)
			}
			if !sameResponse(got[0], want[0]) {
				t.Errorf("the bridge answers %s, a Rust node %s", describe(got[0]), describe(want[0]))
			}
		})
	}
	var many []string
	for i := range 300 {
		many = append(many, hex.EncodeToString([]byte{byte(i), byte(i >> 3), 0xff}))
	}
	many = append(many, requests["whole"])
	got, err := rust.Raw(ctx, d.EndpointID+"@"+d.IrohAddrs[0], many, "--timeout", "60")
	if err != nil || got[300].Len < 100_000 {
		t.Errorf("after 300 malformed requests on a connection the good one is not answered: %v", err)
	}
	sameFile(t, fetch(t, rust, c.Ticket), file)
}

// sameResponse compares what came back. Where both refuse, a reset and an empty end are the same to a requester, and a
// reset may have overtaken bytes.
func sameResponse(got, want peer.RustResponse) bool {
	if want.End == "reset" || want.Len == 0 && got.Len == 0 {
		return got.End == "reset" || got.Len == 0
	}
	return got.End == want.End && got.Len == want.Len && got.Blake3 == want.Blake3
}

func describe(r peer.RustResponse) string {
	code := "no code"
	if r.Code != nil {
		code = "code " + hex.EncodeToString([]byte{byte(*r.Code)})
	}
	head := r.Head
	if len(head) > 40 {
		head = head[:40] + "…"
	}
	return strings.Join([]string{r.End, code, r.Blake3[:10], head}, " ")
}
