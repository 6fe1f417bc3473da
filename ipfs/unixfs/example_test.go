package unixfs_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/ipfs/unixfs"
)

// blocks keeps everything in memory, which a real sink would not: a leaf is a range of a file that is somewhere already.
type blocks map[string][]byte

func (b blocks) Leaf(l unixfs.Leaf, offset uint64) error {
	fmt.Printf("leaf at %d: %d bytes of the file and %d around them\n", offset, l.Size, l.BlockSize-l.Size)
	return nil
}

func (b blocks) Node(c cid.Cid, block []byte) error {
	fmt.Printf("node of %d bytes\n", len(block))
	b[c.KeyString()] = block
	return nil
}

func (b blocks) Block(_ context.Context, c cid.Cid) ([]byte, error) { return b[c.KeyString()], nil }

func (b blocks) Prefetch([]cid.Cid) {}

// printer shows what a walk delivers.
type printer struct{}

func (printer) BeginDirectory(path string, _ unixfs.Meta) error {
	fmt.Printf("folder %q\n", path)
	return nil
}
func (printer) EndDirectory(string) error { return nil }
func (printer) BeginFile(path string, size uint64, _ unixfs.Meta, _ cid.Cid) error {
	fmt.Printf("file %q of %d bytes\n", path, size)
	return nil
}
func (printer) Leaf(_ unixfs.Leaf, offset uint64, payload, _ []byte) error {
	fmt.Printf("  at %d: %.10q...\n", offset, payload)
	return nil
}
func (printer) Node(cid.Cid, []byte) error                { return nil }
func (printer) EndFile(string, unixfs.Entry) error        { return nil }
func (printer) Symlink(string, string, unixfs.Meta) error { return nil }

func Example() {
	profile, err := unixfs.ProfileByName("unixfs-v0-2015")
	if err != nil {
		panic(err)
	}
	b := blocks{}

	// A file, chunk by chunk.
	text := strings.NewReader(strings.Repeat("All work and no play makes Jack a dull boy.\n", 7000))
	file := unixfs.NewFile(profile, b)
	for chunk := make([]byte, profile.ChunkSize); text.Len() > 0; {
		n, _ := text.Read(chunk)
		leaf, err := profile.Leaf(chunk[:n]) // pure: many chunks can be hashed at one time
		if err != nil {
			panic(err)
		}
		b[leaf.CID.KeyString()] = append(append(append([]byte{}, leaf.Prefix...), chunk[:n]...), leaf.Suffix...)
		if err := file.Add(leaf); err != nil {
			panic(err)
		}
	}
	entry, err := file.Finish()
	if err != nil {
		panic(err)
	}

	// A folder with the file in it.
	folder := unixfs.NewDirectory(profile, b)
	if err := folder.Add("novel.txt", entry); err != nil {
		panic(err)
	}
	root, err := folder.Finish()
	if err != nil {
		panic(err)
	}
	fmt.Println(root.CID)

	// And back.
	if err := unixfs.Walk(context.Background(), root.CID, b, printer{}, unixfs.Limits{}); err != nil {
		panic(err)
	}

	// Output:
	// leaf at 0: 262144 bytes of the file and 14 around them
	// leaf at 262144: 45856 bytes of the file and 14 around them
	// node of 104 bytes
	// node of 57 bytes
	// QmeZ6Tdp3Tvp6bniDBwKxGQ4r6FvFU2uVoXMSZq9qVRFgM
	// folder ""
	// file "novel.txt" of 308000 bytes
	//   at 0: "All work a"...
	//   at 262144: "ll boy.\nAl"...
}
