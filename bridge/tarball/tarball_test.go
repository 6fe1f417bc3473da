package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
)

// dag is blocks by CID.
type dag map[cid.Cid][]byte

func (d dag) Block(_ context.Context, c cid.Cid) ([]byte, error) {
	data, ok := d[c]
	if !ok {
		return nil, fmt.Errorf("no block %s", c)
	}
	return data, nil
}

func (dag) Prefetch([]cid.Cid) {}

func (d dag) put(t *testing.T, codec uint64, data []byte) cid.Cid {
	t.Helper()
	c, err := cid.V1Builder{Codec: codec, MhType: mh.SHA2_256}.Sum(data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := blocks.NewBlockWithCid(data, c)
	if err != nil {
		t.Fatal(err)
	}
	d[b.Cid()] = b.RawData()
	return b.Cid()
}

// field is a length-delimited field of protobuf.
func field(number byte, data []byte) []byte {
	return append(binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(data))), data...)
}

// link is an entry of a directory.
type link struct {
	name string
	to   cid.Cid
}

// folder makes a directory block by hand, since no builder takes every name, and none that is in no order.
func (d dag) folder(t *testing.T, meta []byte, links ...link) cid.Cid {
	t.Helper()
	var block []byte
	for _, l := range links {
		block = append(block, field(2, slices.Concat(field(1, l.to.Bytes()), field(2, []byte(l.name)), []byte{0x18, 1}))...)
	}
	return d.put(t, cid.DagProtobuf, append(block, field(1, append([]byte{8, 1}, meta...))...))
}

// symlink makes a symlink's block.
func (d dag) symlink(t *testing.T, target string) cid.Cid {
	t.Helper()
	return d.put(t, cid.DagProtobuf, field(1, append([]byte{8, 4}, field(2, []byte(target))...)))
}

// write walks a DAG into a writer.
func (d dag) write(t *testing.T, root cid.Cid, folder bool) ([]byte, *Writer, error) {
	t.Helper()
	var out bytes.Buffer
	v := New(t.Context(), &out, folder)
	err := unixfs.Walk(t.Context(), root, d, v, unixfs.Limits{})
	if err == nil {
		err = v.Close()
	}
	return out.Bytes(), v, err
}

// entries reads a stream to its end.
func entries(t *testing.T, stream []byte) (list []*tar.Header, bodies map[string]string) {
	t.Helper()
	bodies = map[string]string{}
	r := tar.NewReader(bytes.NewReader(stream))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return list, bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, h)
		bodies[h.Name] = string(body)
	}
}

func TestFolder(t *testing.T) {
	d := dag{}
	long := strings.Repeat("ü", 100)
	hello, empty := d.put(t, cid.Raw, []byte("hello")), d.put(t, cid.Raw, nil)
	// mode (field 7) 0o4750, time (field 8) 1700000000 s and 500 ns (a fixed 32)
	meta := slices.Concat([]byte{0x38}, binary.AppendUvarint(nil, 0o4750),
		field(8, slices.Concat([]byte{8}, binary.AppendUvarint(nil, 1700000000), []byte{0x15, 0xf4, 1, 0, 0})))
	root := d.folder(t, nil,
		link{"a", d.folder(t, meta, link{"x", hello}, link{"y", d.symlink(t, "../../elsewhere")})},
		link{"b", d.folder(t, nil)}, link{"c", empty}, link{long, hello})
	stream, v, err := d.write(t, root, true)
	if err != nil {
		t.Fatal(err)
	}
	if v.Written() != int64(len(stream)) || len(stream)%512 != 0 {
		t.Errorf("%d bytes written, %d counted", len(stream), v.Written())
	}
	list, bodies := entries(t, stream)
	var got []string
	for _, h := range list {
		got = append(got, fmt.Sprintf("%c %s %o %d %q", h.Typeflag, h.Name, h.Mode, h.ModTime.UnixNano(), h.Linkname))
	}
	want := []string{
		`5 a/ 4750 1700000000000000500 ""`, `0 a/x 644 0 ""`, `2 a/y 777 0 "../../elsewhere"`, `5 b/ 755 0 ""`, `0 c 644 0 ""`,
		`0 ` + long + ` 644 0 ""`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("entries\n%q, want\n%q", got, want)
	}
	if want := map[string]string{"a/": "", "a/x": "hello", "a/y": "", "b/": "", "c": "", long: "hello"}; !maps.Equal(bodies, want) {
		t.Errorf("bodies %q", bodies)
	}
}

// TestFile: a file by itself is its bytes, in any number of leaves.
func TestFile(t *testing.T) {
	d := dag{}
	for _, text := range []string{"", "hello"} {
		stream, v, err := d.write(t, d.put(t, cid.Raw, []byte(text)), false)
		if err != nil || string(stream) != text || v.Written() != int64(len(text)) {
			t.Errorf("%q: %q, %d, %v", text, stream, v.Written(), err)
		}
	}
	one, two := d.put(t, cid.Raw, []byte("one")), d.put(t, cid.Raw, []byte("two!"))
	file := d.put(t, cid.DagProtobuf, slices.Concat(
		field(2, slices.Concat(field(1, one.Bytes()), field(2, nil), []byte{0x18, 3})),
		field(2, slices.Concat(field(1, two.Bytes()), field(2, nil), []byte{0x18, 4})),
		field(1, []byte{8, 2, 0x18, 7, 0x20, 3, 0x20, 4})))
	if stream, _, err := d.write(t, file, false); err != nil || string(stream) != "onetwo!" {
		t.Errorf("%q, %v", stream, err)
	}
}

// TestSymlinkAlone is neither a file nor a folder, and its target comes from a stranger.
func TestSymlinkAlone(t *testing.T) {
	d := dag{}
	_, v, err := d.write(t, d.symlink(t, "\x1b[31m/etc/passwd"), false)
	if !errors.Is(err, recording.ErrContent) || v.Written() != 0 || !strings.Contains(err.Error(), `\x1b[31m/etc/passwd`) {
		t.Errorf("%d bytes, %v", v.Written(), err)
	}
}

// hostileParts can be no name in a folder.
func hostileParts() []string {
	return []string{
		"", ".", "..", "/", "//", "///", "./", "../", "/.", "/..", "..//", "a/..", "a/.", "../a", "./a", "a/../b", "a/./b", "a//b", "a/",
		"/a", "//a", "a/b", "a/b/c", "a/../../b", "../../../../etc/passwd", "/etc/passwd", "a/b/../../../c", "a/..//b", ".././a", "...//a",
		"a/b//", "C:/a", "z:/../a", "d:/", "./\\", "a/b\\c", "../\\", "\xff/..", "a\xc0\xaf/..", "\xed\xa0\x80/a", "\xc0\xae\xc0\xae/a",
		"\x00", "a\x00", "a\x00b", "\x00a", "\x00/a", "a/\x00/b", "a/b\x00.txt", "\x00..", "..\x00", ".\x00", "/\x00", "a\x00/../b", "\\\x00", "C:\x00",
		"\xff\x00", "\n/..", "\x1b[31m/a", " /", "/ ", "~/a", strings.Repeat("x", 4097), strings.Repeat("../", 1366),
	}
}

// TestHostileNames: a directory with such a name is refused, the name is in the error, and no entry of that name, nor any after it, is in
// the stream.
func TestHostileNames(t *testing.T) {
	parts := hostileParts()
	if len(parts) < 60 {
		t.Fatalf("only %d names", len(parts))
	}
	d := dag{}
	hello := d.put(t, cid.Raw, []byte("hello"))
	for _, name := range parts {
		for kind, to := range map[string]cid.Cid{"file": hello, "folder": d.folder(t, nil), "symlink": d.symlink(t, "target")} {
			bad := d.folder(t, nil, link{name, to}, link{"zzz", hello})
			stream, _, err := d.write(t, d.folder(t, nil, link{"good", hello}, link{"sub", bad}), true)
			shown := strings.TrimSuffix(fmt.Sprintf("%q", name[:min(len(name), 32)]), `"`)
			if !errors.Is(err, unixfs.ErrName) || !strings.Contains(err.Error(), shown) {
				t.Errorf("%s %.40q: %v", kind, name, err)
				continue
			}
			r := tar.NewReader(bytes.NewReader(stream)) // of what was written before the error
			for h, err := r.Next(); err == nil; h, err = r.Next() {
				if h.Name != "good" && h.Name != "sub/" {
					t.Errorf("%s %.40q: the stream has %q", kind, name, h.Name)
				}
			}
		}
	}
}

// TestNULIsNotWritten: what no walk delivers could not be written either.
func TestNULIsNotWritten(t *testing.T) {
	v := New(t.Context(), io.Discard, true)
	if err := v.BeginFile("a\x00b", 1, unixfs.Meta{}, cid.Undef); err == nil || !strings.Contains(err.Error(), `a\x00b`) {
		t.Errorf("a file: %v", err)
	}
	if err := v.Symlink("a", "b\x00c", unixfs.Meta{}); err == nil || !strings.Contains(err.Error(), `b\x00c`) {
		t.Errorf("a target: %v", err)
	}
}

// TestWrongSize: a file that is shorter or longer than its header says is an error, and not a stream that says something else.
func TestWrongSize(t *testing.T) {
	for _, size := range []uint64{4, 6} {
		v := New(t.Context(), io.Discard, true)
		err := v.BeginFile("a", size, unixfs.Meta{}, cid.Undef)
		if err == nil {
			err = v.Leaf(unixfs.Leaf{}, 0, []byte("hello"), nil)
		}
		if err == nil {
			err = v.Close()
		}
		if err == nil {
			t.Errorf("5 bytes in the place of %d", size)
		}
	}
}

// TestEndsWithTheRequest: nothing more is written for somebody who has gone.
func TestEndsWithTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	v := New(ctx, &out, false)
	if err := v.Leaf(unixfs.Leaf{}, 0, []byte("one"), nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := v.Leaf(unixfs.Leaf{}, 3, []byte("two"), nil); !errors.Is(err, context.Canceled) || out.String() != "one" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// TestFailedWrite keeps the reason.
func TestFailedWrite(t *testing.T) {
	broken := errors.New("broken pipe")
	r, w := io.Pipe()
	r.CloseWithError(broken)
	v := New(t.Context(), w, true)
	err := v.BeginDirectory("a", unixfs.Meta{ModTime: time.Unix(1, 0)})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
