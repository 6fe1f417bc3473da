package admission

// Limits of what peers do who proved no more than that they can send UDP.
const (
	// MaxConns bounds connections in all, from their first Initial on, and MaxConnsPerSource those of one source: an IPv4 address
	// or an IPv6 /64, behind which there may be a whole office. Keys cost nothing, so a limit for each key would stop nobody. A
	// handshake under way costs some 40 KiB and counts like a connection: whoever has proven that packets reach its address
	// gains nothing by not finishing it.
	MaxConns          = 1024
	MaxConnsPerSource = 256

	// RetryHalfOpen is how many handshakes may be under way before whoever comes next must prove its address by a Retry
	// first, and RetryHalfOpenPerSource the same for one source. Against floods of Initials from forged addresses: such a flood
	// could use up everything, or the share of somebody else. It gets this far, and no further.
	RetryHalfOpen          = 64
	RetryHalfOpenPerSource = 8

	// maxConnsPerRelay and retryHalfOpenPerRelay are the same for one relay, through which many honest peers may come: half of
	// everything. Against a flood through a relay that keeps those out who come directly.
	maxConnsPerRelay      = MaxConns / 2
	retryHalfOpenPerRelay = RetryHalfOpen / 2
)
