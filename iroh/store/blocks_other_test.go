//go:build !linux

package store

import "os"

func blocksOf(info os.FileInfo) int64 { return (info.Size() + 511) / 512 }
