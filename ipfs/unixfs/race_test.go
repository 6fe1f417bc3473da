//go:build race

package unixfs

// bombLimits keeps the walks of TestBombs short where every access to memory is watched.
var bombLimits = Limits{Repeats: 100_000}
