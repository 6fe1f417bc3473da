package bao

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"lukechampine.com/blake3/guts"
)

const benchSize = 16 << 20

// BenchmarkGuts is the speed that the others are measured against: nothing but
// guts.CompressBuffer over whole chunk groups.
func BenchmarkGuts(b *testing.B) {
	data := content(benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		for off := 0; off < benchSize; off += GroupSize {
			guts.CompressBuffer((*[GroupSize]byte)(data[off:]), GroupSize, &guts.IV, uint64(off/ChunkSize), 0)
		}
	}
}

func BenchmarkHashPiece(b *testing.B) {
	data := content(benchSize)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		for off := 0; off < benchSize; off += PieceSize {
			HashPiece(data[off:off+PieceSize], uint64(off), benchSize)
		}
	}
}

func BenchmarkTree(b *testing.B) {
	data := content(benchSize)
	var pieces []Piece
	for off := 0; off < benchSize; off += PieceSize {
		pieces = append(pieces, HashPiece(data[off:off+PieceSize], uint64(off), benchSize))
	}
	ob := &bufferAt{b: make([]byte, OutboardSize(benchSize))}
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		t := NewTree(benchSize, ob)
		for _, p := range pieces {
			if err := t.Add(p); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkSum(b *testing.B) {
	for _, size := range []int{1024, 4096, GroupSize, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := content(uint64(size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				Sum(data)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range []uint64{4096, GroupSize, 1 << 20, benchSize} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := content(size)
			root, outboard := build(b, data)
			var e Encoder
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Encode(io.Discard, root, size, bytes.NewReader(data), bytes.NewReader(outboard), All()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecoder(b *testing.B) {
	for _, size := range []uint64{4096, GroupSize, 1 << 20, benchSize} {
		data := content(size)
		root, outboard := build(b, data)
		var enc bytes.Buffer
		if err := Encode(&enc, root, size, bytes.NewReader(data), bytes.NewReader(outboard), All()); err != nil {
			b.Fatal(err)
		}
		for _, into := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/into=%t", size, into), func(b *testing.B) {
				dst := make([]byte, GroupSize)
				var d Decoder
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					d.Reset(bytes.NewReader(enc.Bytes()), root, size, All())
					var err error
					for err == nil {
						if into {
							_, err = d.NextInto(dst)
						} else {
							_, err = d.Next()
						}
					}
					if err != io.EOF {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRatio does each operation in turn with BenchmarkGuts's loop over the same
// bytes and reports the speed of the fastest round as a part of that loop's, so
// that what else the machine does cancels out. 1 MiB stays in a cache, 16 MiB does
// not.
func BenchmarkRatio(b *testing.B) {
	for _, size := range []uint64{1 << 20, 16 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { benchRatio(b, size) })
	}
}

func benchRatio(b *testing.B, size uint64) {
	data := content(size)
	root, outboard := build(b, data)
	var enc bytes.Buffer
	var e Encoder
	encode := func(w io.Writer) error {
		return e.Encode(w, root, size, bytes.NewReader(data), bytes.NewReader(outboard), All())
	}
	if err := encode(&enc); err != nil {
		b.Fatal(err)
	}
	var d Decoder
	dst := make([]byte, GroupSize)
	decode := func(next func() (Item, error)) error {
		d.Reset(bytes.NewReader(enc.Bytes()), root, size, All())
		for {
			if _, err := next(); err != nil {
				if err == io.EOF {
					return nil
				}
				return err
			}
		}
	}
	ob := &bufferAt{b: make([]byte, OutboardSize(size))}
	ops := []struct {
		name string
		run  func() error
	}{
		{"guts", func() error {
			for off := uint64(0); off < size; off += GroupSize {
				guts.CompressBuffer((*[GroupSize]byte)(data[off:]), GroupSize, &guts.IV, off/ChunkSize, 0)
			}
			return nil
		}},
		{"hash", func() error {
			t := NewTree(size, ob)
			for off := uint64(0); off < size; off += PieceSize {
				if err := t.Add(HashPiece(data[off:off+PieceSize], off, size)); err != nil {
					return err
				}
			}
			return nil
		}},
		{"encode", func() error { return encode(io.Discard) }},
		{"verify", func() error { return encode(nil) }},
		{"decode", func() error { return decode(d.Next) }},
		{"into", func() error { return decode(func() (Item, error) { return d.NextInto(dst) }) }},
	}
	best := make([]time.Duration, len(ops))
	for b.Loop() {
		for i, op := range ops {
			began := time.Now()
			if err := op.run(); err != nil {
				b.Fatal(op.name, err)
			}
			if took := time.Since(began); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	for i, op := range ops[1:] {
		b.ReportMetric(100*float64(best[0])/float64(best[i+1]), "%"+op.name)
	}
	b.ReportMetric(float64(size)/best[0].Seconds()/1e6, "guts-MB/s")
}

// BenchmarkEncodeScattered asks for every other chunk: each group is hashed chunk
// by chunk.
func BenchmarkEncodeScattered(b *testing.B) {
	const size = 1 << 20
	data := content(size)
	root, outboard := build(b, data)
	var r Ranges
	for c := uint64(0); c < size/ChunkSize; c += 2 {
		r = append(r, c, c+1)
	}
	var e Encoder
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Encode(io.Discard, root, size, bytes.NewReader(data), bytes.NewReader(outboard), r); err != nil {
			b.Fatal(err)
		}
	}
}
