// Package tarball writes what a UnixFS walk meets as a tar stream, or a single file's bytes as they are.
//
// Entries have PAX headers, which carry names and times of any length: folders before what they hold, in the walk's order,
// with names relative to the root. Modes and times that the DAG does not say are 0755, 0644, 0777 and 1970. Names were
// checked by the walk; who unpacks the stream checks them again.
package tarball

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
)

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Writer is a [unixfs.Visitor].
type Writer struct {
	ctx context.Context // of the request that the walk answers
	out *countingWriter
	tar *tar.Writer // nil for a file's bytes
}

// New makes a writer to w: of a tar stream for a folder, or else of one file's bytes.
func New(ctx context.Context, w io.Writer, folder bool) *Writer {
	v := &Writer{ctx: ctx, out: &countingWriter{w: w}}
	if folder {
		v.tar = tar.NewWriter(v.out)
	}
	return v
}

// Written is how many bytes were written so far.
func (v *Writer) Written() int64 { return v.out.n }

// Close ends a tar stream.
func (v *Writer) Close() error {
	if v.tar == nil {
		return nil
	}
	return v.tar.Close()
}

// header writes what comes before an entry's bytes. PAX records carry names and times of any length.
func (v *Writer) header(h tar.Header, meta unixfs.Meta) error {
	if v.tar == nil || h.Name == "" {
		return nil
	}
	if meta.Mode != 0 {
		h.Mode = int64(meta.Mode & 0o7777)
	}
	h.ModTime, h.Format = meta.ModTime, tar.FormatPAX
	if h.ModTime.IsZero() {
		h.ModTime = time.Unix(0, 0)
	}
	return v.tar.WriteHeader(&h)
}

// BeginDirectory writes a folder, but not the root, which is what the receiver makes.
func (v *Writer) BeginDirectory(name string, meta unixfs.Meta) error {
	if name == "" {
		return nil // the root is what the receiver makes
	}
	return v.header(tar.Header{Typeflag: tar.TypeDir, Name: path.Clean(name) + "/", Mode: 0o755}, meta)
}

// EndDirectory has nothing to write.
func (v *Writer) EndDirectory(string) error { return nil }

// BeginFile writes what comes before a file.
func (v *Writer) BeginFile(name string, size uint64, meta unixfs.Meta, _ cid.Cid) error {
	return v.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(size), Mode: 0o644}, meta)
}

// Leaf writes the next bytes of a file.
func (v *Writer) Leaf(_ unixfs.Leaf, _ uint64, payload, _ []byte) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	var err error
	if v.tar != nil {
		_, err = v.tar.Write(payload)
	} else {
		_, err = v.out.Write(payload)
	}
	return err
}

// Node has nothing to write.
func (v *Writer) Node(cid.Cid, []byte) error { return nil }

// EndFile has nothing to write.
func (v *Writer) EndFile(string, unixfs.Entry) error { return nil }

// Symlink writes a symlink; one by itself is recording.ErrContent.
func (v *Writer) Symlink(name, target string, meta unixfs.Meta) error {
	if v.tar == nil {
		return fmt.Errorf("%w: this CID is a symlink to %s, not a file", recording.ErrContent, recording.Quote(target))
	}
	return v.header(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, meta)
}
