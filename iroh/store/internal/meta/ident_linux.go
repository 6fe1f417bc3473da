package meta

import (
	"os"
	"syscall"
)

// IdentOf reads size, times and inode from what stat returned.
func IdentOf(info os.FileInfo) Ident {
	id := Ident{Size: info.Size(), Mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id.Ctime = st.Ctim.Nano()
		id.Inode = st.Ino
	}
	return id
}
