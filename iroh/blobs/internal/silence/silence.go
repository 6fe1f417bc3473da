// Package silence tells when nothing has come over a connection for so long that its other end is to be dialed anew, beside the connection.
// It is pure: it has no clock, does no I/O and starts nothing.
//
// A connection on which nothing comes may be one whose peer has moved, has come back as another process, is reached by another way, or is
// gone. QUIC finds out only after its idle timeout. A peer that is merely slow answers keep-alives, so that packets tell, and not what is
// in them. With the timeouts that there are by default, After being 10 s and Until 25 s:
//
//	0 s    the last packet
//	5 s    a keep-alive at the latest, and probes after it
//	10 s   dialed anew; if that fails again at 15 s and 20 s, or later if dialing takes longer
//	25 s   no more dials from here on
//	30 s   to 35 s: the connection ends by itself, and by then it is known whether there is another
package silence

import "time"

// maxStep is how much longer the silence has become at most when somebody looks again: it is not the peer's if we were suspended, or had
// no processor.
const maxStep = 200 * time.Millisecond

// Silence is that of one connection. The zero value never makes a dial due. It is not safe for concurrent use.
type Silence struct {
	After time.Duration // how long it lasts before the first dial; half as long between two that fail; 0 is for ever
	Until time.Duration // how long it may have lasted when the last one begins

	packets uint64
	looked  time.Time     // when
	lasts   time.Duration // since the last packet
	dialing bool
	heard   bool  // something, since the dial began
	missed  int   // dials that failed since the last packet
	vain    error // of the last of them
}

// Listen notes how many packets have come. It is to be called twice in [maxStep], or more often.
func (s *Silence) Listen(packets uint64, now time.Time) {
	s.lasts += min(now.Sub(s.looked), maxStep)
	if s.looked = now; packets != s.packets {
		s.packets, s.lasts, s.heard, s.missed, s.vain = packets, 0, true, 0, nil
	}
}

// Begin tells whether a dial is due, which then has begun.
func (s *Silence) Begin() bool {
	due := s.After + time.Duration(s.missed)*s.After/2
	s.dialing, s.heard = s.After > 0 && s.lasts >= due && s.lasts < s.Until, false
	return s.dialing
}

// End notes how the dial has ended, and tells whether it is silent still.
func (s *Silence) End(err error) (lasts bool) {
	if s.dialing = false; err != nil && !s.heard {
		s.missed++
		s.vain = err
	}
	return !s.heard
}

// Dialing tells whether a dial is under way.
func (s *Silence) Dialing() bool { return s.dialing }

// Vain is why the last dial failed; nil if none has since the last packet.
func (s *Silence) Vain() error { return s.vain }
