package postcard

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestUint has the edges of each varint type, from the postcard specification.
func TestUint(t *testing.T) {
	for _, c := range []struct {
		v    uint64
		wire string
	}{
		{0, "00"}, {1, "01"}, {127, "7f"}, {128, "8001"}, {300, "ac02"}, {16383, "ff7f"}, {16384, "808001"},
		{math.MaxUint16, "ffff03"}, {math.MaxUint32, "ffffffff0f"}, {1 << 63, "80808080808080808001"},
		{math.MaxUint64, "ffffffffffffffffff01"},
	} {
		if got := hex.EncodeToString(AppendUint(nil, c.v)); got != c.wire {
			t.Errorf("%d: %s, want %s", c.v, got, c.wire)
		}
		r := NewReader(append(unhex(t, c.wire), 0xee))
		if got := r.U64(); got != c.v || r.Err() != nil || r.Len() != 1 {
			t.Errorf("%s: %d, %v, %d left", c.wire, got, r.Err(), r.Len())
		}
		stream := bytes.NewReader(append(unhex(t, c.wire), 0xee))
		if got, err := ReadUint(stream); got != c.v || err != nil || stream.Len() != 1 {
			t.Errorf("%s from a stream: %d, %v, %d left", c.wire, got, err, stream.Len())
		}
	}
}

func TestUintRefuses(t *testing.T) {
	u16 := func(r *Reader) uint64 { return uint64(r.U16()) }
	u32 := func(r *Reader) uint64 { return uint64(r.U32()) }
	for _, c := range []struct {
		name, wire string
		read       func(*Reader) uint64
		want       error
	}{
		{"u16 one too large", "808004", u16, ErrVarint},
		{"u16 of four bytes", "80808000", u16, ErrVarint},
		{"u16 cut", "8080", u16, ErrShort},
		{"u32 one too large", "8080808010", u32, ErrVarint},
		{"u32 of six bytes", "808080808000", u32, ErrVarint},
		{"u64 one too large", "80808080808080808002", (*Reader).U64, ErrVarint},
		{"u64 of eleven bytes", "8080808080808080808000", (*Reader).U64, ErrVarint},
		{"u64 cut", "ff", (*Reader).U64, ErrShort},
		{"nothing", "", (*Reader).U64, ErrShort},
	} {
		r := NewReader(unhex(t, c.wire))
		if got := c.read(r); got != 0 || r.Err() != c.want {
			t.Errorf("%s: %d, %v; want %v", c.name, got, r.Err(), c.want)
		}
	}
	// Overlong forms within the type's bytes are taken, as the crate takes them.
	if r := NewReader(unhex(t, "8000 808000 ff80808000")); r.U64() != 0 || r.U16() != 0 || r.U32() != 127 || r.Err() != nil || r.Len() != 0 {
		t.Errorf("overlong varints: %v", r.Err())
	}
	for wire, want := range map[string]error{
		"":                       io.EOF,
		"80":                     io.ErrUnexpectedEOF,
		"80808080808080808002":   ErrVarint,
		"ffffffffffffffffff7f":   ErrVarint,
		"8080808080808080808000": ErrVarint,
	} {
		if v, err := ReadUint(bytes.NewReader(unhex(t, wire))); v != 0 || err != want {
			t.Errorf("%q from a stream: %d, %v; want %v", wire, v, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	var b []byte
	b = AppendBool(b, true)
	b = AppendBool(b, false)
	b = AppendString(b, "dir/ünï")
	b = AppendBytes(b, []byte{1, 2, 3})
	b = AppendUint(b, 2)
	b = append(b, 7, 8, 9)
	if want := "01 00 09 6469722fc3bc6ec3af 03 010203 02 07 08 09"; !bytes.Equal(b, unhex(t, want)) {
		t.Fatalf("% x, want %s", b, want)
	}
	r := NewReader(b)
	if !r.Bool() || r.Bool() || r.Text() != "dir/ünï" || !bytes.Equal(r.Bytes(), []byte{1, 2, 3}) {
		t.Errorf("values differ, %v", r.Err())
	}
	n := r.Count(1)
	pair := make([]byte, 2)
	r.Fixed(pair)
	if n != 2 || pair[0] != 7 || pair[1] != 8 || r.Err() != nil || !bytes.Equal(r.Rest(), []byte{9}) {
		t.Errorf("count %d, fixed %v, rest %v, %v", n, pair, r.Rest(), r.Err())
	}
	if r.U8() != 9 || r.U8() != 0 || r.Err() != ErrShort {
		t.Errorf("after the end: %v", r.Err())
	}
}

// TestClaims reads lengths and counts that the input cannot hold.
func TestClaims(t *testing.T) {
	huge := AppendUint(nil, math.MaxUint64)
	for name, read := range map[string]func(r *Reader) bool{
		"bytes":  func(r *Reader) bool { return r.Bytes() == nil },
		"string": func(r *Reader) bool { return r.Text() == "" },
		"count":  func(r *Reader) bool { return r.Count(1) == 0 },
		"fixed": func(r *Reader) bool {
			dst := bytes.Repeat([]byte{1}, 32)
			r.Fixed(dst)
			return bytes.Equal(dst, make([]byte, 32))
		},
	} {
		r := NewReader(append(bytes.Clone(huge), 1, 2, 3))
		if !read(r) || r.Err() != ErrShort || r.Len() != 0 {
			t.Errorf("%s: %v, %d left", name, r.Err(), r.Len())
		}
	}
	if r := NewReader([]byte{3, 0, 0, 0, 0, 0}); r.Count(2) != 0 || r.Err() != ErrShort {
		t.Errorf("three items of two bytes in five: %v", r.Err())
	}
	if r := NewReader([]byte{3, 0, 0, 0}); r.Count(0) != 3 {
		t.Errorf("items of no size are not counted as one byte: %v", r.Err())
	}
	for name, wire := range map[string]string{"bool": "02", "string": "02c328", "variant": "02 7f000001 00"} {
		r := NewReader(unhex(t, wire))
		switch name {
		case "bool":
			r.Bool()
		case "string":
			_ = r.Text()
		case "variant":
			r.AddrPort()
		}
		if r.Err() != ErrValue {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
}

// TestErrorStays checks that nothing is read after an error.
func TestErrorStays(t *testing.T) {
	r := NewReader([]byte{9, 1, 1, 1})
	r.Bool()
	if r.U8() != 0 || r.U64() != 0 || r.Bool() || r.Bytes() != nil || r.Text() != "" || r.Count(1) != 0 || r.AddrPort().IsValid() {
		t.Error("a value was read after an error")
	}
	if !errors.Is(r.Err(), ErrValue) {
		t.Errorf("the first error was replaced by %v", r.Err())
	}
	if new(Reader).U8(); new(Reader).Err() != nil {
		t.Error("the zero reader has an error")
	}
}

func TestAddrPort(t *testing.T) {
	for addr, wire := range map[string]string{
		"127.0.0.1:1024":           "00 7f000001 8008",
		"0.0.0.0:0":                "00 00000000 00",
		"[2001:db8::1]:65535":      "01 20010db8000000000000000000000001 ffff03",
		"[::ffff:1.2.3.4]:5":       "01 00000000000000000000ffff01020304 05",
		"255.255.255.255:127":      "00 ffffffff 7f",
		"[fe80::1]:128":            "01 fe800000000000000000000000000001 8001",
		"[ffff:ffff::ffff]:300":    "01 ffffffff00000000000000000000ffff ac02",
		"[::]:1":                   "01 00000000000000000000000000000000 01",
		"[64:ff9b::192.0.2.1]:443": "01 0064ff9b0000000000000000c0000201 bb03",
	} {
		ap := netip.MustParseAddrPort(addr)
		got := AppendAddrPort(nil, ap)
		if !bytes.Equal(got, unhex(t, wire)) {
			t.Errorf("%s: % x, want %s", addr, got, wire)
		}
		r := NewReader(got)
		if back := r.AddrPort(); back != ap || r.Err() != nil || r.Len() != 0 {
			t.Errorf("%s: read back as %v, %v", addr, back, r.Err())
		}
		for cut := range got {
			if r := NewReader(got[:cut]); r.AddrPort() != (netip.AddrPort{}) || r.Err() != ErrShort {
				t.Errorf("%s cut at %d: %v", addr, cut, r.Err())
			}
		}
	}
	zoned := netip.MustParseAddrPort("[fe80::1%eth0]:9")
	if got := AppendAddrPort(nil, zoned); !bytes.Equal(got, unhex(t, "01 fe800000000000000000000000000001 09")) {
		t.Errorf("zone: % x", got)
	}
	if got := AppendAddrPort(nil, netip.AddrPort{}); !bytes.Equal(got, unhex(t, "01 00000000000000000000000000000000 00")) {
		t.Errorf("no address: % x", got)
	}
}

// FuzzReader reads values in the order that script asks for. Whatever the input,
// what is read is part of it, and what was read writes the same bytes again, but
// for overlong varints.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x01\x09dir/file.\x02\x00\x7f\x00\x00\x01\x80\x08"), []byte{0, 5, 6, 8})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte{3})
	f.Add([]byte{0x80, 0x00, 3, 1, 2, 3}, []byte{1, 4})
	f.Fuzz(func(t *testing.T, input, script []byte) {
		r := NewReader(input)
		var again []byte
		for _, op := range script {
			before := r.Len()
			var v []byte
			switch op % 9 {
			case 0:
				v = AppendBool(v, r.Bool())
			case 1:
				v = AppendUint(v, uint64(r.U16()))
			case 2:
				v = AppendUint(v, uint64(r.U32()))
			case 3:
				v = AppendUint(v, r.U64())
			case 4:
				v = AppendBytes(v, r.Bytes())
			case 5:
				v = AppendString(v, r.Text())
			case 6:
				n := r.Count(2)
				if n*2 > before {
					t.Fatalf("%d items of 2 bytes in %d", n, before)
				}
				v = AppendUint(v, uint64(n))
			case 7:
				v = append(v, r.U8())
			case 8:
				v = AppendAddrPort(v, r.AddrPort())
			}
			if r.Err() != nil {
				if r.Len() != 0 {
					t.Fatalf("%d bytes left after %v", r.Len(), r.Err())
				}
				return
			}
			if used := before - r.Len(); used < len(v) {
				t.Fatalf("operation %d used %d bytes for a value of %d", op%9, used, len(v))
			}
			again = append(again, v...)
		}
		if used := input[:len(input)-r.Len()]; len(used) == len(again) && !bytes.Equal(used, again) {
			t.Fatalf("% x was written again as % x", used, again)
		}
	})
}
