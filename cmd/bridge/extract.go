package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/iroh-ipfs/bridge/bridge"
	"github.com/iroh-ipfs/bridge/bridge/api"
)

// write puts content at out: a file, a folder, or, as "-", a file on stdout. Everything is written beside out first
// and moved there when it is whole, so that a failure leaves nothing.
func (a *app) write(r api.Reading, out string) error {
	if out == "-" {
		if r.Folder() {
			return fmt.Errorf("%w: this is a folder; name a folder to write it to with -o", errUsage)
		}
		_, err := r.WriteTo(a.stdout)
		return err
	}
	if out == "" {
		out = r.Describe().CID
	}
	info, err := os.Stat(out)
	switch {
	case err == nil && info.IsDir() && !r.Folder():
		out = filepath.Join(out, r.Describe().CID) // as cp does
		if _, err := os.Lstat(out); err == nil {
			return fmt.Errorf("%w: %s is there already", bridge.ErrInvalid, out)
		}
	case err == nil && r.Folder():
		return fmt.Errorf("%w: %s is there already; name a folder that is not", bridge.ErrInvalid, out)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(out)), ".bridge-get-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	whole := filepath.Join(tmp, "content")
	if r.Folder() {
		err = writeFolder(r, whole)
	} else {
		err = writeFile(r, whole)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(whole, out); err != nil {
		return err
	}
	if a.json {
		c := r.Describe()
		return json.NewEncoder(a.stdout).Encode(written{CID: c.CID, Hash: c.Hash, Format: c.Format, Path: out})
	}
	fmt.Fprintln(a.stderr, "wrote", printable(out))
	return nil
}

// written is what get prints with --json.
type written struct {
	CID    string `json:"cid"`
	Hash   string `json:"hash,omitempty"` // a folder inside other content has none
	Format string `json:"format"`
	Path   string `json:"path"`
}

func writeFile(r api.Reading, name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = r.WriteTo(f)
	return errors.Join(err, f.Close())
}

// writeFolder unpacks a tar stream while it comes.
func writeFolder(r api.Reading, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	pr, pw := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		_, err := r.WriteTo(pw)
		pw.CloseWithError(err)
		sent <- err
	}()
	err = extract(pr, root)
	pr.CloseWithError(err)
	if sendErr := <-sent; sendErr != nil && !errors.Is(sendErr, io.ErrClosedPipe) {
		return sendErr // why the stream ended, rather than that it did
	}
	return err
}

// extract writes a tar stream's entries below root. Names come from strangers: root keeps them inside, links are made
// last so that nothing is written through one, and times and modes of folders are set when nothing more goes into them.
func extract(stream io.Reader, root *os.Root) error {
	var links, folders []*tar.Header
	t := tar.NewReader(stream)
	for {
		h, err := t.Next()
		if err == io.EOF {
			// The writer must be able to end the stream.
			_, err := io.Copy(io.Discard, stream)
			return errors.Join(err, finish(root, links, folders))
		}
		if err != nil {
			return fmt.Errorf("the stream broke off: %w", err)
		}
		if h.Typeflag == tar.TypeDir {
			h.Name = strings.TrimSuffix(h.Name, "/")
		}
		if err := checkEntry(h.Name); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			folders = append(folders, h)
			if err := root.MkdirAll(h.Name, 0o755); err != nil {
				return err
			}
		case tar.TypeSymlink:
			links = append(links, h)
		case tar.TypeReg:
			if err := extractFile(t, root, h); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the stream holds an entry of type %q", h.Typeflag)
		}
	}
}

// maxPart is what file systems in use take for one part of a path. A longer one is refused by name, and not by whatever such a
// system says.
const maxPart = 255

// checkEntry refuses a name that leads out of the folder, or that means another path than it says: no stream of ours has one.
func checkEntry(name string) error {
	switch {
	case path.Clean(name) != name || name == ".":
		return fmt.Errorf("%w: refusing the name %.200q, which is not a clean path", bridge.ErrContent, name)
	case !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsRune(name, 0):
		return fmt.Errorf("%w: refusing the name %.200q, which leads out of the folder", bridge.ErrContent, name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxPart {
			return fmt.Errorf("%w: refusing the name %.80q…, which has a part of more than %d bytes", bridge.ErrContent, name, maxPart)
		}
	}
	return nil
}

func extractFile(t *tar.Reader, root *os.Root, h *tar.Header) error {
	if dir := path.Dir(h.Name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, t)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return attributes(root, h)
}

// attributes sets what the stream says beyond the bytes; a time of zero says nothing.
func attributes(root *os.Root, h *tar.Header) error {
	if err := root.Chmod(h.Name, h.FileInfo().Mode().Perm()); err != nil {
		return err
	}
	if h.ModTime.Unix() == 0 {
		return nil
	}
	return root.Chtimes(h.Name, h.ModTime, h.ModTime)
}

// finish makes the links, when all the folders that they are in are there, so that none is made through another one.
func finish(root *os.Root, links, folders []*tar.Header) error {
	for _, h := range links {
		if err := root.MkdirAll(path.Dir(h.Name), 0o755); err != nil {
			return err
		}
	}
	for _, h := range links {
		if err := root.Symlink(h.Linkname, h.Name); err != nil {
			return err
		}
	}
	for i := len(folders) - 1; i >= 0; i-- {
		if err := attributes(root, folders[i]); err != nil {
			return err
		}
	}
	return nil
}
