package bridge

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
	"github.com/iroh-ipfs/bridge/mapping"
)

// Export is content about to be handed out: a file's bytes, or a folder as a tar stream.
type Export struct {
	content Content
	folder  bool

	b    *Bridge
	ctx  context.Context // of the request that this export answers
	root cid.Cid
}

// Folder says that WriteTo writes a tar stream; a file's bytes are written as they are.
func (e *Export) Folder() bool { return e.folder }

// Describe names the content.
func (e *Export) Describe() Content { return e.content }

// Close lets go of the content.
func (e *Export) Close() error { return nil }

// Open finds content by CID, hash or ticket. What a ticket names is first exposed if it is not here.
func (b *Bridge) Open(ctx context.Context, text string, p Progress) (*Export, error) {
	t, err := parseTarget(text)
	if err != nil {
		return nil, err
	}
	l, err := b.find(ctx, t)
	if errors.Is(err, ErrNotFound) && t.ticket != nil {
		if _, err := b.Expose(ctx, ExposeRequest{Ticket: text}, p); err != nil {
			return nil, err
		}
		l, err = b.find(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	return &Export{content: b.describe(l), folder: l.Format != mapping.FormatBlob, b: b, ctx: ctx, root: l.CID}, nil
}

// WriteTo writes the content, every block of it verified against its CID just before. It may be called once.
func (e *Export) WriteTo(w io.Writer) (int64, error) {
	count := &countingWriter{w: w}
	v := &exporter{ctx: e.ctx, out: count}
	if e.folder {
		v.tar = tar.NewWriter(count)
	}
	limits := unixfs.Limits{Depth: recording.MaxDepth, Blocks: e.b.cfg.Import.MaxBlocks, Bytes: e.b.cfg.Import.MaxBytes}
	err := unixfs.Walk(e.ctx, e.root, localDAG{e.b}, v, limits)
	if err == nil && v.tar != nil {
		err = v.tar.Close()
	}
	if err != nil {
		return count.n, fmt.Errorf("reading %s: %w", e.root, err)
	}
	return count.n, nil
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// exporter turns a walk into a tar stream, or one file's bytes.
type exporter struct {
	ctx context.Context
	out io.Writer
	tar *tar.Writer
}

// header writes what comes before an entry's bytes. PAX records carry names and times of any length.
func (v *exporter) header(h tar.Header, meta unixfs.Meta) error {
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

func (v *exporter) BeginDirectory(name string, meta unixfs.Meta) error {
	if name == "" {
		return nil // the root is what the receiver makes
	}
	return v.header(tar.Header{Typeflag: tar.TypeDir, Name: path.Clean(name) + "/", Mode: 0o755}, meta)
}

func (v *exporter) EndDirectory(string) error { return nil }

func (v *exporter) BeginFile(name string, size uint64, meta unixfs.Meta, _ cid.Cid) error {
	return v.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(size), Mode: 0o644}, meta)
}

func (v *exporter) Leaf(_ unixfs.Leaf, _ uint64, payload, _ []byte) error {
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

func (v *exporter) Node(cid.Cid, []byte) error { return nil }

func (v *exporter) EndFile(string, unixfs.Entry) error { return nil }

func (v *exporter) Symlink(name, target string, meta unixfs.Meta) error {
	if v.tar == nil {
		return fmt.Errorf("%w: this CID is a symlink to %s, not a file", ErrInvalid, recording.Quote(target))
	}
	return v.header(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, meta)
}
