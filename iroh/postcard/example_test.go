package postcard_test

import (
	"fmt"
	"net/netip"

	"github.com/iroh-ipfs/bridge/iroh/postcard"
)

func Example() {
	var b []byte
	b = postcard.AppendUint(b, 300)
	b = postcard.AppendBool(b, true)
	b = postcard.AppendString(b, "relay")
	b = postcard.AppendAddrPort(b, netip.MustParseAddrPort("127.0.0.1:1024"))
	fmt.Printf("%x\n", b)

	r := postcard.NewReader(b)
	fmt.Println(r.U64(), r.Bool(), r.Text(), r.AddrPort(), r.Err())
	// Output:
	// ac02010572656c6179007f0000018008
	// 300 true relay 127.0.0.1:1024 <nil>
}
