package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

func observeVectors(t testing.TB) (items [][]byte) {
	t.Helper()
	b, err := os.ReadFile("testdata/observe.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []hexBytes
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, item := range v {
		items = append(items, item)
	}
	return items
}

// TestObserveVectors compares the items of the real crate in both directions.
func TestObserveVectors(t *testing.T) {
	want := []ObserveItem{{}, {100000, bao.All()}, {100000, bao.Span(16, 32)}, {1 << 20, bao.Ranges{0, 16, 512}}}
	vectors := observeVectors(t)
	if len(vectors) != len(want) {
		t.Fatalf("%d vectors", len(vectors))
	}
	stream := bufio.NewReader(iotest.OneByteReader(bytes.NewReader(slices.Concat(vectors...))))
	for i, item := range want {
		if got := item.Append(nil); !bytes.Equal(got, vectors[i]) {
			t.Errorf("%v is written as %x, want %x", item, got, vectors[i])
		}
		if got, err := ReadObserveItem(stream); err != nil || !reflect.DeepEqual(got, item) {
			t.Errorf("%x is read as %v, %v", vectors[i], got, err)
		}
		for n := range vectors[i] {
			_, err := ReadObserveItem(bufio.NewReader(bytes.NewReader(vectors[i][:n])))
			if n == 0 && err != io.EOF || n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut to %d bytes: %v", n, err)
			}
		}
	}
	if _, err := ReadObserveItem(stream); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestObserveRefuses(t *testing.T) {
	for name, in := range map[string][]byte{
		"boundaries fall":        {5, 1, 3, 4, 5, 5},
		"more than there are":    {3, 1, 200, 4},
		"endless varint":         {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"longer than any may be": postcard.AppendUint(nil, MaxObserveItem+1),
		"empty":                  {0},
	} {
		if item, err := ReadObserveItem(bufio.NewReader(bytes.NewReader(in))); !errors.Is(err, ErrObserveItem) {
			t.Errorf("%s: read as %v, %v", name, item, err)
		}
	}
}

// TestObserveSplit cuts items of every length near the limit: each fits, and together they say the same.
func TestObserveSplit(t *testing.T) {
	for _, count := range []int{0, 1, MaxObserveBoundaries - 1, MaxObserveBoundaries, MaxObserveBoundaries + 1, 3*MaxObserveBoundaries + 7} {
		ranges := make(bao.Ranges, count)
		for i := range ranges {
			ranges[i] = 1<<63 + uint64(i)
		}
		var sum bao.Ranges
		for _, part := range (ObserveItem{1 << 62, ranges}).Split() {
			encoded := part.Append(nil)
			if len(encoded) > MaxObserveItem {
				t.Errorf("%d boundaries: item of %d bytes", count, len(encoded))
			}
			got, err := ReadObserveItem(bufio.NewReader(bytes.NewReader(encoded)))
			if err != nil {
				t.Fatal(err)
			}
			sum = sum.Union(got.Ranges)
		}
		if !sum.Equal(ranges) {
			t.Errorf("%d boundaries: parts differ from the whole", count)
		}
	}
}

// TestPushStream reads a push request from the front of a stream and leaves the data.
func TestPushStream(t *testing.T) {
	request := PushRequest{GetRequest{bao.Sum([]byte("x")), oneBlob(bao.Ranges{0, 10, 100, 110})}}
	encoded := request.Append(nil)[1:]
	r := bufio.NewReader(io.MultiReader(iotest.OneByteReader(bytes.NewReader(encoded)), bytes.NewReader([]byte("data"))))
	var held int64
	got, err := ReadPush(r, func(n int64) error { held = n; return nil })
	rest, _ := io.ReadAll(r)
	if err != nil || !reflect.DeepEqual(got, request) || string(rest) != "data" || held != int64(len(encoded)-1) {
		t.Fatalf("%v, %v, rest %q, held %d", got, err, rest, held)
	}
	no := errors.New("no")
	if _, err := ReadPush(bufio.NewReader(bytes.NewReader(encoded)), func(int64) error { return no }); err != no {
		t.Errorf("held against its will: %v", err)
	}
	for n := range encoded {
		if _, err := ReadPush(bufio.NewReader(bytes.NewReader(encoded[:n])), func(int64) error { return nil }); err == nil {
			t.Errorf("cut to %d bytes: no error", n)
		}
	}
	for name, in := range map[string][]byte{
		"too long":   postcard.AppendUint(nil, MaxRequest+1),
		"no varint":  bytes.Repeat([]byte{0xff}, 11),
		"short body": append([]byte{3}, 1, 2, 3),
	} {
		_, err := ReadPush(bufio.NewReader(bytes.NewReader(in)), func(int64) error { return nil })
		if !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzObserveItem(f *testing.F) {
	for _, item := range observeVectors(f) {
		f.Add(item)
	}
	f.Add([]byte{5, 1, 3, 4, 5, 5})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReader(bytes.NewReader(in))
		for {
			item, err := ReadObserveItem(r)
			if err != nil {
				if !errors.Is(err, ErrObserveItem) && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("error of another kind: %v", err)
				}
				return
			}
			again, err := ReadObserveItem(bufio.NewReader(bytes.NewReader(item.Append(nil))))
			if err != nil || again.Size != item.Size || !again.Ranges.Equal(item.Ranges) {
				t.Fatalf("%v is read again as %v, %v", item, again, err)
			}
		}
	})
}

func FuzzPushStream(f *testing.F) {
	for _, vector := range loadVectors(f).List {
		if len(vector.Hex) > 0 && vector.Hex[0] == byte(TypePush) {
			f.Add([]byte(vector.Hex[1:]))
		}
	}
	for _, size := range []uint64{0, 1, 33, MaxRequest, MaxRequest + 1, 1 << 63} {
		f.Add(append(postcard.AppendUint(nil, size), make([]byte, 40)...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var held int64
		request, err := ReadPush(bufio.NewReader(bytes.NewReader(in)), func(n int64) error { held = n; return nil })
		if held > MaxRequest {
			t.Fatalf("%d bytes held", held)
		}
		if err != nil {
			if !errors.Is(err, ErrRequest) && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		encoded := request.Append(nil)
		again, err := ParseRequest(encoded)
		if err != nil || !bytes.Equal(again.Append(nil), encoded) {
			t.Fatalf("%x is written as %x, which is read as %v, %v", in, encoded, again, err)
		}
	})
}
