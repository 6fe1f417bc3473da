package disk

import (
	"errors"
	"fmt"
	"os"
)

// spoolBuffer is what a Spool collects before it writes to its file.
const spoolBuffer = 256 << 10

// Spool is bytes that come without a known end: in memory as long as they are
// few, then in a temporary file. The zero value with a Folder is ready.
type Spool struct {
	Folder *Folder

	size uint64
	buf  []byte
	file *os.File
	err  error
}

// Write adds bytes. After an error only Remove is left.
func (s *Spool) Write(p []byte) (n int, err error) {
	for n < len(p) && s.err == nil {
		k := min(len(p)-n, spoolBuffer-len(s.buf))
		s.buf = append(s.buf, p[n:n+k]...)
		n += k
		s.size += uint64(k)
		if len(s.buf) == spoolBuffer {
			s.err = s.spill()
		}
	}
	return n, s.err
}

// Size returns how many bytes were written.
func (s *Spool) Size() uint64 { return s.size }

func (s *Spool) spill() (err error) {
	if err := s.Folder.Take(len(s.buf), false); err != nil {
		return err
	}
	if s.file == nil {
		if s.file, err = s.Folder.Create(".data"); err != nil {
			return err
		}
	}
	if _, err := s.file.Write(s.buf); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	s.buf = s.buf[:0]
	return nil
}

// Finish ends the spool and gives away what it holds: a file, or else the
// bytes.
func (s *Spool) Finish() (*os.File, []byte, error) {
	if s.file != nil && s.err == nil {
		s.err = s.spill()
	}
	if s.err != nil {
		return nil, nil, s.err
	}
	f, b := s.file, s.buf
	s.file, s.buf = nil, nil
	return f, b, nil
}

// Remove gives up what the spool holds. From then on the other methods return
// over, unless there was an error before.
func (s *Spool) Remove(over error) error {
	if s.err == nil {
		s.err = over
	}
	f := s.file
	s.file, s.buf = nil, nil
	if f == nil {
		return nil
	}
	return errors.Join(f.Close(), Remove(f.Name()))
}
