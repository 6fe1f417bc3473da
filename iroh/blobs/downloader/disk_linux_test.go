package downloader

import (
	"io/fs"
	"syscall"
)

// allocated is how many bytes a file takes on disk; a hole takes none.
func allocated(info fs.FileInfo) int64 { return info.Sys().(*syscall.Stat_t).Blocks * 512 }
