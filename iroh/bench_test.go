package iroh

import (
	"io"
	"testing"
)

// BenchmarkTransfer sends 200 MB from one endpoint to another over loopback, on one stream.
func BenchmarkTransfer(b *testing.B) {
	const size = 200_000_000
	server, client := endpoint(b, "127.0.0.1"), endpoint(b, "127.0.0.1")
	dialed, accepted := pair(b, client, server)
	chunk := make([]byte, 1<<20)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		go func() {
			s, err := accepted.AcceptStream(deadline(b))
			if err != nil {
				b.Error(err)
				return
			}
			defer s.Close()
			for left := size; left > 0; {
				n, err := s.Write(chunk[:min(left, len(chunk))])
				if err != nil {
					b.Error(err)
					return
				}
				left -= n
			}
		}()
		s, err := dialed.OpenStream(deadline(b))
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 256<<10)
		got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, buf)
		if err != nil || got != size {
			b.Fatalf("%d bytes, err %v", got, err)
		}
	}
}
