//go:build !linux

package downloader

import "io/fs"

// allocated is at most how many bytes a file takes on disk: holes are counted, so that a test may be too strict, but never too lax.
func allocated(info fs.FileInfo) int64 { return info.Size() }
