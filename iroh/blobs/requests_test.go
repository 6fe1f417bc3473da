package blobs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/iroh-ipfs/bridge/iroh/blobs/internal/blobstest"

	"github.com/iroh-ipfs/bridge/iroh"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs/provider"
	"github.com/iroh-ipfs/bridge/iroh/key"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/iroh/ticket"
)

// TestGetMany asks for blobs of every size in one request, parts of some and nothing of others.
func TestGetMany(t *testing.T) {
	s := blobstest.OpenStore(t)
	conn := blobstest.Dial(t, blobstest.Provide(t, ProviderConfig{Store: s}))
	var request GetManyRequest
	var contents [][]byte
	for i, size := range blobstest.Ladder {
		data := blobstest.Pattern(size)
		contents = append(contents, data)
		request.Hashes = append(request.Hashes, blobstest.Put(t, s, data))
		switch i % 3 {
		case 0:
			request.Ranges = request.Ranges.Add(uint64(i), bao.All())
		case 1:
			request.Ranges = request.Ranges.Add(uint64(i), bao.LastChunk())
		}
	}
	for _, ranges := range []ChunkRangesSeq{request.Ranges, {{Index: 0, Ranges: bao.All()}}, nil} {
		request.Ranges = ranges
		response, err := GetMany(blobstest.Deadline(t), conn, request, 0)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for index, ranges, ok := response.Next(); ok; index, ranges, ok = response.Next() {
			seen++
			size, err := response.Open(request.Hashes[index])
			if err != nil || size != uint64(len(contents[index])) {
				t.Fatal(size, err)
			}
			var n uint64
			for item, err := response.Item(); err != io.EOF; item, err = response.Item() {
				if err != nil {
					t.Fatal(err)
				}
				if item.Kind == bao.Leaf {
					if !bytes.Equal(item.Data, contents[index][item.Offset:][:len(item.Data)]) {
						t.Fatalf("blob %d differs at %d", index, item.Offset)
					}
					n += uint64(len(item.Data))
				}
			}
			if n != ranges.Bytes(size) {
				t.Errorf("blob %d: %d bytes", index, n)
			}
		}
		response.Close()
		want := 0
		for index := range ranges.All() {
			if index == uint64(len(contents)) {
				break
			}
			want++
		}
		if seen != want {
			t.Errorf("%d blobs, want %d", seen, want)
		}
	}
}

// available waits until an observation says what test wants.
func available(t testing.TB, o *Observation, test func(Available) bool) Available {
	t.Helper()
	for {
		there, err := o.Next()
		if err != nil {
			t.Fatal(err)
		}
		if test(there) {
			return there
		}
	}
}

// TestObserve follows a blob from nothing over its parts to the whole, and its end.
func TestObserve(t *testing.T) {
	s := blobstest.OpenStore(t)
	data := blobstest.RandomBytes(1, 3<<20+100)
	hash := bao.Sum(data)
	conn := blobstest.Dial(t, blobstest.Provide(t, ProviderConfig{Store: s}))
	o, err := Observe(blobstest.Deadline(t), conn, hash)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if there, err := o.Next(); err != nil || there.Size != 0 || !there.Ranges.IsEmpty() {
		t.Fatalf("%v, %v", there, err)
	}
	blobstest.PutPart(t, s, data, 1<<20)
	there := available(t, o, func(a Available) bool { return a.Ranges.Equal(bao.Span(0, 1024)) })
	if there.Size != uint64(len(data)) || there.Complete() {
		t.Fatal(there)
	}
	blobstest.Put(t, s, data)
	if there = available(t, o, Available.Complete); there.Size != uint64(len(data)) {
		t.Fatal(there)
	}
	if err := s.Delete(hash); err != nil {
		t.Fatal(err)
	}
	_, err = o.Next()
	blobstest.WantErr(t, err, ErrTruncated)
}

// TestObserveEnds ends observations from both sides: nothing is left behind.
func TestObserveEnds(t *testing.T) {
	s := blobstest.OpenStore(t)
	hash := blobstest.Put(t, s, blobstest.Pattern(100000))
	heard := &blobstest.Recorder{}
	cfg := ProviderConfig{Store: s, Events: heard, Limits: provider.Limits{Peer: provider.Limit{Observers: 2}}}
	cfg.Policy = blobstest.PolicyFunc(func(h bao.Hash) bool { return h == hash })
	conn := blobstest.Dial(t, blobstest.Provide(t, cfg))
	for range 10 { // more than are allowed at once
		var open []*Observation
		for range 2 {
			o, err := Observe(blobstest.Deadline(t), conn, hash)
			if err != nil {
				t.Fatal(err)
			}
			if there, err := o.Next(); err != nil || !there.Complete() {
				t.Fatal(there, err)
			}
			open = append(open, o)
		}
		o, err := Observe(blobstest.Deadline(t), conn, hash)
		if err == nil {
			_, err = o.Next()
			o.Close()
		}
		blobstest.WantErr(t, err, ErrRefused)
		before := len(heard.Of(t, provider.Completed, 0))
		for _, o := range open {
			o.Close()
		}
		heard.Of(t, provider.Completed, before+2)
	}
	o, err := Observe(blobstest.Deadline(t), conn, bao.Sum([]byte("secret")))
	if err == nil {
		_, err = o.Next()
	}
	blobstest.WantErr(t, err, ErrRefused)
	ctx, cancel := context.WithCancel(blobstest.Deadline(t))
	if o, err = Observe(ctx, conn, hash); err != nil {
		t.Fatal(err)
	}
	available(t, o, Available.Complete)
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = o.Next()
	blobstest.WantErr(t, err, context.Canceled)
}

// TestPush pushes blobs of every size, and again: nothing is sent twice.
func TestPush(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	conn := blobstest.Between(t, ProviderConfig{Store: to}, 100<<20)
	for _, size := range blobstest.Ladder {
		data := blobstest.Pattern(size)
		hash := blobstest.Put(t, from, data)
		var progress blobstest.Counting
		stats, err := Push(blobstest.Deadline(t), conn, PushConfig{Store: from}, hash, ticket.Raw, &progress)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		blobstest.WantBlob(t, to, data)
		if stats.Bytes != uint64(size) || progress.Total != uint64(size) {
			t.Errorf("%d bytes: %+v, progress %d", size, stats, progress.Total)
		}
		if stats, err = Push(blobstest.Deadline(t), conn, PushConfig{Store: from}, hash, ticket.Raw, nil); err != nil || stats.Sent != 0 || stats.Skipped != 1 {
			t.Errorf("%d bytes again: %+v, %v", size, stats, err)
		}
	}
}

// TestPushRest pushes what the target lacks of a blob that it has in part.
func TestPushRest(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	data := blobstest.RandomBytes(2, 5<<20+77)
	hash := blobstest.Put(t, from, data)
	blobstest.PutPart(t, to, data, 3<<20)
	conn := blobstest.Between(t, ProviderConfig{Store: to}, 100<<20)
	stats, err := Push(blobstest.Deadline(t), conn, PushConfig{Store: from}, hash, ticket.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, data)
	if stats.Bytes != 2<<20+77 {
		t.Errorf("%+v", stats)
	}
}

// TestPushCollection pushes a collection of which the target has some, and then one more file.
func TestPushCollection(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	var files [][]byte
	for i, size := range append(blobstest.Ladder, 1024, 100000) {
		files = append(files, blobstest.Pattern(size))
		if i%4 == 1 {
			blobstest.Put(t, to, files[i])
		}
	}
	blobstest.Put(t, to, files[len(files)-1])
	conn := blobstest.Between(t, ProviderConfig{Store: to}, 100<<20)
	for round := range 2 {
		root, contents := blobstest.Collection(t, from, files...)
		stats, err := Push(blobstest.Deadline(t), conn, PushConfig{Store: from}, root, ticket.HashSeq, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range contents {
			blobstest.WantBlob(t, to, data)
		}
		if round == 1 && stats.Blobs != 3 {
			t.Errorf("%+v", stats) // the file, the names, the sequence
		}
		files = append(files, blobstest.RandomBytes(9, 70_000))
	}
	// The root alone is known: each child is asked about, and none is sent.
	root, _ := blobstest.Collection(t, from, files[:len(files)-1]...)
	stats, err := Push(blobstest.Deadline(t), conn, PushConfig{Store: from}, root, ticket.HashSeq, nil)
	if err != nil || stats.Sent != 0 || stats.Blobs != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// TestPushMany pushes 3,000 small blobs in one request.
func TestPushMany(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	var hashes []bao.Hash
	for i := range 3000 {
		hashes = append(hashes, blobstest.Put(t, from, blobstest.RandomBytes(uint64(i), 4096)))
	}
	root := blobstest.Put(t, from, AppendHashSeq(nil, hashes))
	stats, err := Push(blobstest.Deadline(t), blobstest.Between(t, ProviderConfig{Store: to}, 100<<20), PushConfig{Store: from}, root, ticket.HashSeq, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", stats)
	for _, hash := range hashes {
		if status, err := to.Status(hash); err != nil || status.State != store.Complete {
			t.Fatal(status.State, err)
		}
	}
}

// rawPush sends bytes as a push and waits for how the target ends it: by the code with which it stops our side, or, when it does not
// and the blob has come into its store, as "taken".
func rawPush(t testing.TB, conn *iroh.Conn, to *store.Store, blob bao.Hash, request PushRequest, data []byte) string {
	t.Helper()
	stream, err := conn.OpenStream(blobstest.Deadline(t))
	if err != nil {
		return err.Error()
	}
	defer stream.CancelWrite(0)
	defer stream.CancelRead(0)
	_, err = stream.Write(append(request.Append(nil), data...))
	stored := false
	for end := time.Now().Add(30 * time.Second); err == nil; {
		select {
		case <-stream.Context().Done():
			err = context.Cause(stream.Context())
			continue
		case <-time.After(100 * time.Millisecond):
		}
		switch status, statusErr := to.Status(blob); {
		case statusErr != nil:
			t.Fatal(statusErr)
		case stored:
			return "taken"
		case time.Now().After(end):
			return "open"
		default:
			stored = status.State == store.Complete // and is not stopped a moment later
		}
	}
	return blobstest.StreamEnd(err)
}

// TestPushHostile pushes what must not be stored: it is stopped with the right code, and the store stays as it was.
func TestPushHostile(t *testing.T) {
	data := blobstest.RandomBytes(3, 300<<10)
	hash := bao.Sum(data)
	whole := PushRequest{Get: GetRequest{Hash: hash, Ranges: WholeBlob()}}
	good := blobstest.AnswerFor(t, data, bao.All())
	change := func(f func(b []byte)) []byte { b := bytes.Clone(good); f(b); return b }
	claim := func(size uint64) []byte {
		return change(func(b []byte) { binary.LittleEndian.PutUint64(b, size) })
	}
	for name, c := range map[string]struct {
		request PushRequest
		data    []byte
		end     string
	}{
		"bit in the first pair":  {whole, change(func(b []byte) { b[8] ^= 1 }), "Reset(3)"},
		"bit in the first group": {whole, change(func(b []byte) { b[2000] ^= 1 }), "Reset(3)"},
		"bit in the middle":      {whole, change(func(b []byte) { b[150_000] ^= 1 }), "Reset(3)"},
		"bit in the last byte":   {whole, change(func(b []byte) { b[len(b)-1] ^= 1 }), "Reset(3)"},
		"size 0":                 {whole, claim(0), "Reset(3)"},
		"size of 16 MiB":         {whole, claim(16 << 20), "Reset(2)"},
		"size of 2^63":           {whole, claim(1 << 63), "Reset(2)"},
		"largest size":           {whole, claim(1<<64 - 1), "Reset(2)"},
		"one group of 2^64-1": {PushRequest{Get: GetRequest{Hash: hash, Ranges: OneBlob(bao.Span(0, 16))}},
			claim(1<<64 - 1), "Reset(3)"},
		"other hash":       {PushRequest{Get: GetRequest{Hash: bao.Sum(nil), Ranges: WholeBlob()}}, good, "Reset(3)"},
		"child of nothing": {PushRequest{Get: GetRequest{Hash: hash, Ranges: ChunkRangesSeq{}.Add(5, bao.All())}}, good, "Reset(3)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := blobstest.OpenStore(t)
			conn := blobstest.Between(t, ProviderConfig{Store: s}, 1<<20)
			if end := rawPush(t, conn, s, hash, c.request, c.data); end != c.end {
				t.Errorf("ends with %s, want %s", end, c.end)
			}
			for status, err := range s.All() {
				// What verified may stay when the last chunk proved the size; here nothing does.
				t.Errorf("left: %v, %v", status, err)
			}
			for tag := range s.Tags() {
				t.Errorf("left: tag %s", tag.Name)
			}
			// The quota is whole again, and the connection good.
			if end := rawPush(t, conn, s, hash, whole, good); end != "taken" {
				t.Errorf("after it: %s", end)
			}
			blobstest.WantBlob(t, s, data)
		})
	}
}

// TestPushOtherSize pushes the right bytes with a wrong size that fits them, then with the right one, which replaces what came first.
func TestPushOtherSize(t *testing.T) {
	s := blobstest.OpenStore(t)
	data := blobstest.RandomBytes(3, 300<<10)
	heard := &blobstest.Recorder{}
	conn := blobstest.Between(t, ProviderConfig{Store: s, Events: heard}, 1<<20)
	request := PushRequest{Get: GetRequest{Hash: bao.Sum(data), Ranges: WholeBlob()}}
	good := blobstest.AnswerFor(t, data, bao.All())
	lie := bytes.Clone(good)
	binary.LittleEndian.PutUint64(lie, 300<<10+1)
	stream, err := conn.OpenStream(blobstest.Deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = stream.Write(append(request.Append(nil), lie...))
	_ = stream.Close()
	heard.Of(t, provider.Aborted, 1)
	if end := rawPush(t, conn, s, bao.Sum(data), request, good); end != "taken" {
		t.Error(end)
	}
	blobstest.WantBlob(t, s, data)
}

// TestPushCut pushes a part and vanishes: what verified stays, and counts.
func TestPushCut(t *testing.T) {
	s := blobstest.OpenStore(t)
	data := blobstest.RandomBytes(4, 3<<20)
	hash := bao.Sum(data)
	heard := &blobstest.Recorder{}
	conn := blobstest.Between(t, ProviderConfig{Store: s, Events: heard}, 4<<20)
	stream, err := conn.OpenStream(blobstest.Deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = stream.Write(append(PushRequest{Get: GetRequest{Hash: hash, Ranges: WholeBlob()}}.Append(nil), blobstest.AnswerFor(t, data, bao.All())[:2<<20]...))
	heard.Of(t, provider.Progressed, 1)
	_ = stream.Close()
	if e := heard.Of(t, provider.Aborted, 1)[0]; e.Hash != hash || e.Err == nil || e.Bytes < 2<<20 {
		t.Errorf("%+v", e)
	}
	status, err := s.Status(hash)
	if err != nil || status.State != store.Partial || len(status.Ranges) != 2 || status.Ranges[1] < 1024 {
		t.Fatalf("%+v, %v", status, err)
	}
	if _, err := s.Tag(provider.PushTag + hash.String()); err != nil {
		t.Error(err)
	}
}

// TestPushQuota fills a quota: what goes beyond is refused before a byte of it is stored, and deleting gives space back, also to a provider
// that begins anew.
func TestPushQuota(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	one, two := blobstest.RandomBytes(5, 600<<10), blobstest.RandomBytes(6, 600<<10)
	first, second := blobstest.Put(t, from, one), blobstest.Put(t, from, two)
	push := func(hash bao.Hash) error {
		conn := blobstest.Between(t, ProviderConfig{Store: to}, 1<<20)
		_, err := Push(blobstest.Deadline(t), conn, PushConfig{Store: from, StallTimeout: 20 * time.Second}, hash, ticket.Raw, nil)
		return err
	}
	if err := push(first); err != nil {
		t.Fatal(err)
	}
	blobstest.WantErr(t, push(second), ErrRefused)
	if status, err := to.Status(second); err != nil || status.State != store.Missing {
		t.Fatal(status.State, err)
	}
	if err := to.Delete(first); err != nil {
		t.Fatal(err)
	}
	if err := push(second); err != nil {
		t.Fatal(err)
	}
	blobstest.WantBlob(t, to, two)
	if _, err := to.Tag(provider.PushTag + first.String()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("tag of a blob that is gone: %v", err)
	}
	// Many at once do not get more than there is.
	conn := blobstest.Between(t, ProviderConfig{Store: to}, 1<<20)
	var running sync.WaitGroup
	for i := range 20 {
		hash := blobstest.Put(t, from, blobstest.RandomBytes(uint64(100+i), 100<<10))
		running.Go(func() {
			_, _ = Push(blobstest.Deadline(t), conn, PushConfig{Store: from, StallTimeout: 20 * time.Second}, hash, ticket.Raw, nil)
		})
	}
	running.Wait()
	var sum uint64
	for status, err := range to.All() {
		if err != nil {
			t.Fatal(err)
		}
		sum += status.Size
	}
	if sum > 1<<20 || sum < 900<<10 {
		t.Errorf("%d bytes in a quota of a mebibyte", sum)
	}
}

// TestPushRefused pushes as somebody who may not, and what policy forbids.
func TestPushRefused(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	data := blobstest.RandomBytes(7, 100_000)
	hash := blobstest.Put(t, from, data)
	heard := &blobstest.Recorder{}
	other, err := key.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg := ProviderConfig{Store: to, Events: heard, Push: provider.PushConfig{Peers: []key.EndpointID{other.ID()}, Quota: 1 << 30}}
	conn := blobstest.Dial(t, blobstest.Provide(t, cfg))
	_, err = Push(blobstest.Deadline(t), conn, PushConfig{Store: from}, hash, ticket.Raw, nil)
	blobstest.WantErr(t, err, ErrRefused)
	if e := heard.Of(t, provider.Refused, 1)[0]; e.Err == nil {
		t.Errorf("%+v", e)
	}
	blobstest.WantNothing(t, to)

	forbidding := ProviderConfig{Store: to, Policy: blobstest.PolicyFunc(func(h bao.Hash) bool { return h != hash })}
	if end := rawPush(t, blobstest.Between(t, forbidding, 1<<30), to, hash, PushRequest{Get: GetRequest{Hash: hash, Ranges: WholeBlob()}}, blobstest.AnswerFor(t, data, bao.All())); end != "Reset(1)" {
		t.Errorf("forbidden blob: %s", end)
	}
	blobstest.WantNothing(t, to)
}

// TestObserveMany has 500 observers, some of whom never read, of blobs that come at the same time, and then of connections that vanish: what each
// reader hears ends with the whole, and nobody is left.
func TestObserveMany(t *testing.T) {
	s := blobstest.OpenStore(t)
	heard := &blobstest.Recorder{}
	addr := blobstest.Provide(t, ProviderConfig{Store: s, Events: heard})
	data := blobstest.RandomBytes(8, 6<<20+1)
	hash := bao.Sum(data)
	var conns []*iroh.Conn
	var readers sync.WaitGroup
	for i := range 10 {
		conn := blobstest.Dial(t, addr)
		conns = append(conns, conn)
		for j := range 50 {
			o, err := Observe(blobstest.Deadline(t), conn, hash)
			if err != nil {
				t.Fatal(err)
			}
			if (i+j)%3 == 0 {
				continue // never reads
			}
			readers.Go(func() { available(t, o, Available.Complete) })
		}
	}
	heard.Of(t, provider.Requested, 500)
	for _, end := range []uint64{2 << 20, 4 << 20} {
		blobstest.PutPart(t, s, data, end)
	}
	blobstest.Put(t, s, data)
	readers.Wait()
	for _, conn := range conns {
		_ = conn.CloseWithError(0, "")
	}
	heard.Of(t, provider.Disconnected, 10)
	if n := len(heard.Of(t, provider.Completed, 0)) + len(heard.Of(t, provider.Aborted, 0)); n != 500 {
		t.Errorf("%d of 500 observations have ended", n)
	}
}

// ownerLeaving is an owner who deletes nothing: see provider.Leaving.
type ownerLeaving struct{ hashes sync.Map }

func (g *ownerLeaving) Left(hash bao.Hash) bool {
	_, left := g.hashes.Load(hash)
	return left
}

func (g *ownerLeaving) Stay(hash bao.Hash, mark func() error) error {
	g.hashes.Delete(hash)
	return mark()
}

// TestGivenUpIsNotThere for any request, though the store has it, until it is pushed again.
func TestGivenUpIsNotThere(t *testing.T) {
	from, to := blobstest.OpenStore(t), blobstest.OpenStore(t)
	leaving := &ownerLeaving{}
	conn := blobstest.Between(t, ProviderConfig{Store: to, Leaving: leaving}, 100<<20)
	for _, size := range []int{1000, 3<<20 + 5} {
		data := blobstest.RandomBytes(9, size)
		hash := blobstest.Put(t, from, data)
		blobstest.Put(t, to, data)
		leaving.hashes.Store(hash, nil)
		answer, end := blobstest.Exchange(t, conn, GetRequest{Hash: hash, Ranges: WholeBlob()}.Append(nil), true, 30*time.Second)
		if missing, want := blobstest.Exchange(t, conn, GetRequest{Hash: bao.Sum([]byte("nobody has it")), Ranges: WholeBlob()}.Append(nil), true, 30*time.Second); len(answer) != len(missing) || end != want {
			t.Errorf("%d bytes: get: %d bytes and %s", size, len(answer), end)
		}
		o, err := Observe(blobstest.Deadline(t), conn, hash)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if there, err := o.Next(); err != nil || there.Size != 0 {
			t.Errorf("%d bytes: %+v, %v", size, there, err)
		}
		stats, err := Push(blobstest.Deadline(t), conn, PushConfig{Store: from}, hash, ticket.Raw, nil)
		if err != nil || stats.Blobs != 1 || stats.Bytes != uint64(size) {
			t.Errorf("%d bytes: push: %+v, %v", size, stats, err)
		}
		available(t, o, func(a Available) bool { return a.Size == uint64(size) && !a.Ranges.IsEmpty() })
		if _, err := to.Tag(provider.PushTag + hash.String()); err != nil {
			t.Errorf("%d bytes: not marked: %v", size, err)
		}
	}
}
