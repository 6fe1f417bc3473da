package paths

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// Who watches an address sees and changes what comes from there, in either way of reading, and nothing else.
func TestWatch(t *testing.T) {
	for name, read := range map[string]func(c *Conn) (string, error){
		"batches": func(c *Conn) (string, error) {
			ms := messages(1)
			for {
				if _, err := c.ReadBatch(ms, 0); err != nil || ms[0].N > 0 {
					return string(ms[0].Buffers[0][:ms[0].N]), err
				}
			}
		},
		"one by one": func(c *Conn) (string, error) {
			var b [100]byte
			n, _, err := c.ReadFrom(b[:])
			return string(b[:n]), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := open(t)
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			watched, other := socket(t), socket(t)
			send := func(from *net.UDPConn, text string) {
				t.Helper()
				if _, err := from.WriteTo([]byte(text), c.LocalAddr()); err != nil {
					t.Fatal(err)
				}
			}
			want := func(text string) {
				t.Helper()
				if got, err := read(c); got != text || err != nil {
					t.Fatalf("read %q, %v, want %q", got, err, text)
				}
			}
			addr := watched.LocalAddr().(*net.UDPAddr).AddrPort()
			stop := c.Watch(netip.AddrPortFrom(netip.AddrFrom16(addr.Addr().As16()), addr.Port()), func(d []byte) int {
				d[0] = 'X'
				return len(d) - 1
			})
			stopSecond := c.Watch(addr, func(d []byte) int { return len(d) - 1 })
			send(other, "abc")
			want("abc")
			send(watched, "abc")
			want("X")
			send(watched, "ab") // nothing is left of it
			send(other, "next")
			want("next")
			stopSecond()
			send(watched, "abc")
			want("Xb")
			stop()
			send(watched, "abc")
			want("abc")
			if c.watched.list.Load() != nil {
				t.Error("somebody watches still")
			}
		})
	}
}

func socket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
