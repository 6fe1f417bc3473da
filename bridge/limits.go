package bridge

import "time"

const (
	// relayPatience is how long to wait for a home relay before it is said that there is none.
	relayPatience = 3 * time.Second

	// defaultProfile is how new content is laid out (IPIP-499).
	defaultProfile = "unixfs-v1-2025"
)
