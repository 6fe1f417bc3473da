package pebble_test

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/layout"
	"github.com/iroh-ipfs/bridge/mapping/pebble"
)

// A file of two blocks is laid out, indexed and looked up. In a bridge the
// layout is kept as a blob.
func Example() {
	ctx := context.Background()
	name := func(codec uint64, data string) cid.Cid {
		m, err := mh.Sum([]byte(data), mh.SHA2_256, -1)
		if err != nil {
			panic(err) // SHA-256 is always there
		}
		return cid.NewCidV1(codec, m)
	}
	blob := [32]byte{1} // the BLAKE3 hash of "hello world"
	root := name(cid.DagProtobuf, "the root's bytes")

	var records bytes.Buffer
	w := layout.NewWriter(&records)
	fmt.Println(w.Leaf(name(cid.Raw, "hello "), 0, 6, nil, nil))
	fmt.Println(w.Leaf(name(cid.Raw, "world"), 6, 5, nil, nil))
	fmt.Println(w.Node(root, []byte("the root's bytes")))
	fmt.Println(w.File(blob, 11, root))
	fmt.Println(w.Close(mapping.Link{CID: root, Hash: blob, Format: mapping.FormatBlob, Size: 11, Blocks: 3}))

	dir, err := os.MkdirTemp("", "mapping")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s, err := pebble.Open(dir, pebble.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	tx, err := s.Begin(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tx.Abort()
	link, err := layout.Replay(layout.NewReader(bytes.NewReader(records.Bytes()), int64(records.Len()), layout.Limits{}), tx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tx.Commit(ctx, link))

	b, err := s.Block(ctx, name(cid.Raw, "world").Hash())
	fmt.Println(b.Blob == blob, b.Offset, b.Length, err)
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// <nil>
	// <nil>
	// <nil>
	// true 6 5 <nil>
}
