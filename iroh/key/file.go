package key

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maxFileSize bounds what is read as a key file. A longer file is something else,
// named by mistake, and must not be pulled into memory.
const maxFileSize = 256

// ErrPermissions says that others than its owner may read a key file.
var ErrPermissions = errors.New("key: file is readable by others; its mode must be 0600")

// LoadOrCreate returns the secret key in the file at path: a key in a text form
// and a line break. If there is no file, it makes a key and a file with mode 0600;
// the file appears whole or not at all, and of several processes that do this at
// once all get the same key. A file that its group or others may read is refused
// with [ErrPermissions] (not on Windows, whose modes say nothing), one that holds
// something else with [ErrSecretKey].
func LoadOrCreate(path string) (SecretKey, error) {
	k, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	k, err = GenerateSecretKey()
	if err != nil {
		return SecretKey{}, err
	}
	if err = create(path, k); errors.Is(err, fs.ErrExist) {
		return load(path) // another process was faster
	}
	if err != nil {
		return SecretKey{}, fmt.Errorf("key: %w", err)
	}
	return k, nil
}

func load(path string) (SecretKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return SecretKey{}, fmt.Errorf("key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return SecretKey{}, fmt.Errorf("key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return SecretKey{}, fmt.Errorf("key: %s is not a regular file", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return SecretKey{}, fmt.Errorf("%w: %s", ErrPermissions, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize))
	if err != nil {
		return SecretKey{}, fmt.Errorf("key: %w", err)
	}
	k, err := ParseSecretKey(strings.TrimRight(string(text), "\r\n"))
	if err != nil {
		return SecretKey{}, fmt.Errorf("%w: %s", err, path)
	}
	return k, nil
}

// create writes the key to a file beside path and gives that the name, which fails
// with fs.ErrExist if the name is taken.
func create(path string, k SecretKey) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(k.private().Seed()) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err = os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		// Some file systems have no links. A rename could replace a file that
		// another process has just made, so look first.
		if _, serr := os.Lstat(path); serr == nil {
			return fs.ErrExist
		}
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the new name survive a power cut.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
