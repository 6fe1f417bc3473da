package bridge

import "time"

const (
	// relayPatience is how long to wait for a home relay before it is said that there is none.
	relayPatience = 3 * time.Second

	// overdueEvery is how often a daemon looks for what has been arriving for too long.
	overdueEvery = time.Hour

	// defaultProfile is how new content is laid out (IPIP-499).
	defaultProfile = "unixfs-v1-2025"
)
