package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/mappingtest"
)

// manifestDisk is a disk that fails the manifests while it is told to: writes with half of the bytes written, and the
// making of files; or, if sync is set, syncs.
type manifestDisk struct {
	vfs.FS
	fails *atomic.Bool
	tries *atomic.Int64
	err   error
	sync  bool
}

func (d manifestDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	base := filepath.Base(name)
	ours := strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker.manifest")
	if ours && !d.sync && d.fails.Load() {
		d.tries.Add(1)
		return nil, d.err
	}
	f, err := d.FS.Create(name, c)
	if err != nil || !ours {
		return f, err
	}
	return manifestFile{f, d}, nil
}

func (d manifestDisk) Unwrap() vfs.FS { return d.FS }

type manifestFile struct {
	vfs.File
	d manifestDisk
}

func (f manifestFile) Write(p []byte) (int, error) {
	if f.d.sync || !f.d.fails.Load() {
		return f.File.Write(p)
	}
	f.d.tries.Add(1)
	n, err := f.File.Write(p[:len(p)/2])
	return n, errors.Join(err, f.d.err)
}

func (f manifestFile) Sync() error {
	if f.d.sync && f.d.fails.Load() {
		return f.d.err
	}
	return f.File.Sync()
}

func (f manifestFile) SyncData() error { return f.Sync() }

// commitRows commits links, each with some rows, until one fails or there are n.
func commitRows(s *Store, from, n uint64) (uint64, error) {
	for l := from; l < from+n; l++ {
		tx, err := s.Begin(context.Background())
		if err != nil {
			return l, err
		}
		for i := range uint64(rebuildRows) {
			if err := tx.Block(mappingtest.Leaf(l*rebuildRows + i)); err != nil {
				return l, errors.Join(err, tx.Abort())
			}
		}
		if err := tx.Commit(context.Background(), mappingtest.Link(l)); err != nil {
			return l, err
		}
	}
	return from + n, nil
}

// keepCommitting commits links, one after the other, until the function that it returns is called, which returns how many
// there are. What the disk refuses is tried again.
func keepCommitting(t *testing.T, s *Store, from uint64) (end func() uint64) {
	stop, done := make(chan struct{}), make(chan uint64, 1)
	go func() {
		n := from
		defer func() { done <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			var err error
			if n, err = commitRows(s, n, 1); errors.Is(err, mapping.ErrClosed) {
				return
			} else if errors.Is(err, ErrFailed) {
				time.Sleep(time.Millisecond)
			} else if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return func() uint64 { close(stop); return <-done }
}

// begins tries transactions until the error of one is as wanted. One that comes just before the disk is known to be full
// waits for room, and the next one is tried meanwhile.
func begins(t *testing.T, s *Store, want func(error) bool) {
	t.Helper()
	tried := make(chan error, 30_000) // as many as can be tried
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		go func() {
			tx, err := s.Begin(context.Background())
			if err == nil {
				err = tx.Abort()
			}
			tried <- err
		}()
		select {
		case err := <-tried:
			if want(err) {
				return
			}
			time.Sleep(time.Millisecond)
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("no transaction begins as wanted")
}

func refusedForRoom(err error) bool {
	return errors.Is(err, ErrFailed) && errors.Is(err, syscall.ENOSPC)
}

// TestManifestFindsTheDiskFull: the store refuses writes, reads, and goes on by itself when there is room. Who is in the
// middle of a write may wait for it.
func TestManifestFindsTheDiskFull(t *testing.T) {
	d := manifestDisk{vfs.Default, new(atomic.Bool), new(atomic.Int64), fmt.Errorf("write: %w", syscall.ENOSPC), false}
	dir := filepath.Join(t.TempDir(), "db")
	s := openConfig(t, dir, crashConfig(d))
	there, err := commitRows(s, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.fails.Store(true)
		end := keepCommitting(t, s, there)
		begins(t, s, refusedForRoom)
		if _, err := s.Link(context.Background(), mappingtest.Link(0).CID); err != nil {
			t.Errorf("reading: %v", err)
		}
		d.fails.Store(false)
		begins(t, s, func(err error) bool { return err == nil })
		there = end()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openConfig(t, dir, Config{Existing: true})
	for l := range there {
		if _, err := s.Link(context.Background(), mappingtest.Link(l).CID); err != nil {
			t.Errorf("link %d of %d: %v", l, there, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseFindsTheDiskFull gives up after a while.
func TestCloseFindsTheDiskFull(t *testing.T) {
	d := manifestDisk{vfs.Default, new(atomic.Bool), new(atomic.Int64), fmt.Errorf("write: %w", syscall.ENOSPC), false}
	s := openConfig(t, filepath.Join(t.TempDir(), "db"), crashConfig(d))
	d.fails.Store(true)
	end := keepCommitting(t, s, 0)
	begins(t, s, refusedForRoom)
	begun := time.Now()
	if err := s.Close(); !errors.Is(err, ErrFailed) || time.Since(begun) > 4*closeWait {
		t.Errorf("close: %v after %v", err, time.Since(begun))
	}
	d.fails.Store(false) // what waits ends
	time.Sleep(5 * retryDelay)
	end()
}

// manifestChild works on a disk that fails the manifest, from the start or from then on.
func manifestChild(dir string) {
	d := manifestDisk{vfs.Default, new(atomic.Bool), new(atomic.Int64), fmt.Errorf("sync: %w", syscall.EIO), true}
	if os.Getenv("MAPPING_CRASH_MANIFEST") == "full" {
		d.err, d.sync = fmt.Errorf("write: %w", syscall.ENOSPC), false
		d.fails.Store(true)
	}
	c := crashConfig(d)
	c.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := Open(dir, c)
	if err == nil {
		d.fails.Store(true)
		_, err = commitRows(s, 0, 1000)
	}
	fmt.Println("went on:", err)
	time.Sleep(10 * time.Second)
	os.Exit(0)
}

// TestManifestCannotBeWritten: the process ends with status 1 and a line that says what to do; nothing acknowledged is lost.
func TestManifestCannotBeWritten(t *testing.T) {
	for how, what := range map[string]string{"failing": "MANIFEST sync failed", "full": "no space left"} {
		t.Run(how, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "db")
			flushed(t, dir)
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), "MAPPING_CRASH_DIR="+dir, "MAPPING_CRASH_MANIFEST="+how)
			var said bytes.Buffer
			c.Stderr, c.Stdout = &said, io.Discard
			err := c.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("the process ended with %v", err)
			}
			if text := said.String(); !strings.Contains(text, "see to the disk") || !strings.Contains(text, what) || strings.Contains(text, "goroutine ") {
				t.Errorf("it said %s", text)
			}
			s := openConfig(t, dir, Config{Existing: true})
			if n := wrong(t, s); n != 0 {
				t.Errorf("%d rows are missing", n)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
