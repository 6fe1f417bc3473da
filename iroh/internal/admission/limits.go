package admission

// Limits of what peers do who proved no more than that they can send UDP.
const (
	// MaxHalfOpen bounds handshakes under way, each some 40 KiB of memory. Against floods of Initials from many
	// addresses.
	MaxHalfOpen = 256

	// RetryHalfOpen is how many handshakes may be under way before new sources must prove their address by a Retry
	// first, and retryHalfOpenPerSource the same for one source. Against floods from forged addresses: without a Retry
	// such a flood could use up the share of somebody else.
	RetryHalfOpen          = 64
	retryHalfOpenPerSource = 8

	// MaxHalfOpenPerSource bounds handshakes under way from one source: an IPv4 address or an IPv6 /64. Against one
	// host that starts handshakes and never finishes them.
	MaxHalfOpenPerSource = 32

	// maxConns bounds accepted connections in all, maxConnsPerSource those of one source. Keys cost nothing, so a
	// limit for each key would stop nobody.
	maxConns          = 1024
	maxConnsPerSource = 256

	// maxConnsPerRelay, maxHalfOpenPerRelay and retryHalfOpenPerRelay are the same for one relay, through which many honest
	// peers may come: half of everything. Against a flood through a relay that keeps those out who come directly.
	maxConnsPerRelay      = maxConns / 2
	maxHalfOpenPerRelay   = MaxHalfOpen / 2
	retryHalfOpenPerRelay = RetryHalfOpen / 2
)
