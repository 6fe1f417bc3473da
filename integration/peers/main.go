// Command peers builds the real peers that the tests need, once, and prints where they are.
//
//	go run ./integration/peers [-only kubo,rust,sendme,iroh-relay,iroh-dns-server,npm,b3sum] [-lenient] [-path]
//
// It fails when one cannot be built; with -lenient, and unless CI is set, peers that need cargo or Node.js are left out
// with a warning where that is not installed. With -path it prints the paths alone. See [peer.Cache] for where they are kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/iroh-ipfs/bridge/integration/peer"
)

func main() {
	only := flag.String("only", "kubo,rust,sendme,iroh-relay,iroh-dns-server,npm", "which peers, separated by commas")
	lenient := flag.Bool("lenient", false, "warn instead of failing where cargo or Node.js is missing and CI is not set")
	bare := flag.Bool("path", false, "print only the paths")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for kind := range strings.SplitSeq(*only, ",") {
		path, err := peer.Cache{}.Path(ctx, peer.Kind(kind))
		switch {
		case err == nil && *bare:
			fmt.Println(path)
		case err == nil:
			fmt.Printf("%-10s %s\n", kind, path)
		case (errors.Is(err, peer.ErrNoCargo) || errors.Is(err, peer.ErrNoNode)) && *lenient && os.Getenv("CI") == "":
			fmt.Fprintf(os.Stderr, "WARNING: %v; every test that needs %s is left out\n", err, kind)
		default:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
