package bao

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

// vector is one blob of testdata/blobs.json, which iroh-blobs 0.104.0 made: byte i
// of its content is i mod 251.
type vector struct {
	Size     uint64
	BLAKE3   Hash
	Outboard blobOfBytes `json:"preorder_outboard_no_size_header"`
	Groups   uint64      `json:"chunk_groups"`

	Responses []struct {
		Name     string
		Ranges   []string
		Response blobOfBytes
	}
}

// blobOfBytes is a byte string in the vectors: whole, or, above 4096 bytes (and
// for one outboard of 4096), its hash and its beginning.
type blobOfBytes struct {
	Hex    hexBytes
	Len    int
	BLAKE3 *Hash
	First  hexBytes `json:"first_72_hex"`
}

func (b blobOfBytes) equal(got []byte) bool {
	if len(got) != b.Len {
		return false
	}
	if b.BLAKE3 == nil {
		return bytes.Equal(got, b.Hex)
	}
	return bytes.HasPrefix(got, b.First) && Sum(got) == *b.BLAKE3
}

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func parseRanges(t testing.TB, bounds []string) Ranges {
	t.Helper()
	var r Ranges
	for _, s := range bounds {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		r = append(r, n)
	}
	return r
}

// content returns the bytes that iroh's and BLAKE3's test vectors are made of.
func content(n uint64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// build hashes data piece by piece.
func build(t testing.TB, data []byte) (Hash, []byte) {
	t.Helper()
	size := uint64(len(data))
	ob := &bufferAt{b: make([]byte, OutboardSize(size))}
	tree := NewTree(size, ob)
	for off := uint64(0); off < size; off += PieceSize {
		if err := tree.Add(HashPiece(data[off:min(off+PieceSize, size)], off, size)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root, ob.b
}

// bufferAt is an io.WriterAt of fixed size that counts its calls.
type bufferAt struct {
	b     []byte
	calls int
}

func (w *bufferAt) WriteAt(p []byte, off int64) (int, error) {
	w.calls++
	return copy(w.b[off:off+int64(len(p))], p), nil
}

func TestVectors(t *testing.T) {
	var vectors []vector
	readJSON(t, "testdata/blobs.json", &vectors)
	responses := 0
	for _, v := range vectors {
		data := content(v.Size)
		root, outboard := build(t, data)
		if root != v.BLAKE3 || Sum(data) != v.BLAKE3 {
			t.Errorf("size %d: root %v, sum %v, want %v", v.Size, root, Sum(data), v.BLAKE3)
		}
		if !v.Outboard.equal(outboard) {
			t.Errorf("size %d: outboard differs from iroh's", v.Size)
		}
		if OutboardSize(v.Size) != (v.Groups-1)*64 {
			t.Errorf("size %d: outboard of %d bytes for %d groups", v.Size, OutboardSize(v.Size), v.Groups)
		}
		for _, resp := range v.Responses {
			responses++
			ranges := parseRanges(t, resp.Ranges)
			got := bytes.NewBuffer(binary.LittleEndian.AppendUint64(nil, v.Size))
			err := Encode(got, root, v.Size, bytes.NewReader(data), bytes.NewReader(outboard), ranges)
			if err != nil {
				t.Errorf("size %d, %s: %v", v.Size, resp.Name, err)
				continue
			}
			want := resp.Response
			if !want.equal(got.Bytes()) {
				t.Errorf("size %d, %s: %d bytes differ from iroh's %d", v.Size, resp.Name, got.Len(), want.Len)
			}
			if n := EncodedSize(v.Size, ranges); n != uint64(want.Len-8) {
				t.Errorf("size %d, %s: EncodedSize %d, want %d", v.Size, resp.Name, n, want.Len-8)
			}
		}
	}
	if len(vectors) != 11 || responses != 81 {
		t.Errorf("only %d blobs and %d responses", len(vectors), responses)
	}
}
