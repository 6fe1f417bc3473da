//go:build !race

package unixfs

// bombLimits are the default ones.
var bombLimits = Limits{}
