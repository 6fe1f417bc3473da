package store

import (
	"os"
	"syscall"
)

func blocksOf(info os.FileInfo) int64 { return info.Sys().(*syscall.Stat_t).Blocks }
