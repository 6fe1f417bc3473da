//go:build !linux

package meta

import "os"

// IdentOf reads size and modification time from what stat returned; systems
// other than Linux are not asked for more.
func IdentOf(info os.FileInfo) Ident {
	return Ident{Size: info.Size(), Mtime: info.ModTime().UnixNano()}
}
