package paths

import "time"

const (
	// generation is how many endpoints can send to us through relays before those that were silent meanwhile are
	// forgotten. Against relays, or peers with many keys, that make us remember everybody.
	generation = 4096

	// maxHeld bounds the first packets that are kept for a moment; more are not kept. Against floods of them.
	maxHeld = 256
)

// holdFirst is how long the first packets of a connection wait for their twins on a direct path.
const holdFirst = 50 * time.Millisecond
