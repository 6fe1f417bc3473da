// Command quicgen writes third_party/quic-go: the quic-go release that this module's go.mod and go.sum pin, with three
// changes: its TLS engine can be replaced, two queues of its server are longer, and packets can be handed to it.
//
// Why the engine: an iroh node authenticates itself with TLS raw public keys (RFC 7250), which crypto/tls does not have, and
// quic-go names *tls.QUICConn, a concrete type, in internal/handshake/crypto_setup.go. The copy names an interface
// with the eight methods that the file calls. Which engine stands behind it is decided for each connection:
//
//   - when the Rand field of the connection's tls.Config has the method
//     QUICConn(isClient bool, config *tls.QUICConfig) interface{ ...the eight methods... }
//     then whatever that method returns;
//   - otherwise crypto/tls, exactly as upstream.
//
// Rand is the one field of a tls.Config that can hold a value of any type and that both Clone and quic-go's own setup
// functions pass on untouched. It must still be a proper reader of random bytes: quic-go's server setup makes
// crypto/tls read a session ticket key from it. The engine is looked for in the config given to quic-go, not in one
// that a GetConfigForClient callback returns.
//
// Why the queues: quic-go keeps 32 complete connections that were not accepted yet and refuses the next, and keeps 8 packets
// that it answers by a Retry and drops the next. When 200 peers come at the same moment, more handshakes than that complete
// before whoever calls Accept gets a processor, and those peers, to whom the connection is complete, lose it; or they try
// again at the same moments and are dropped again, until they give up. Both queues become as long as the one of packets that
// wait for the server itself, 1,024, which is also how many connections an endpoint admits (iroh/internal/admission).
// That is 1.5 MB of packets at most.
//
// Why packets can be handed to it: what a relay brings comes by TCP, while quic-go reads one socket only. To bring the packets to
// its reader, that had to be woken from waiting for UDP each time, and handed them on to the connection one by one; with
// Transport.Deliver the goroutine that reads from the relay gives them to the connection, and wakes it once.
//
// What is trusted: the h1 hash in go.sum. The release is taken from the module cache and hashed again before it is
// copied. What is not trusted: that a release looks like the one before. Each place that is changed, and each place
// that the change relies on, is compared with what is expected, and the first difference stops the program with the
// file, the line and the expectation.
//
// A second run changes nothing and takes a few milliseconds: a stamp file in the copy holds the pinned version, a hash of
// this program and a hash of the copy.
//
// Usage, from the root of the repository:
//
//	go -C third_party/quicgen run .
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", filepath.Join("..", ".."), "root folder of the repository")
	force := flag.Bool("force", false, "write the copy even when it is up to date")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "quicgen: takes no arguments, only flags")
		os.Exit(2)
	}
	if err := run(*root, *force); err != nil {
		fmt.Fprintln(os.Stderr, "quicgen:", err)
		os.Exit(1)
	}
}

// run brings root/third_party/quic-go up to date.
func run(root string, force bool) error {
	pin, err := pinned()
	if err != nil {
		return err
	}
	if err := sameVersion(filepath.Join(root, "go.mod"), pin); err != nil {
		return err
	}
	out := filepath.Join(root, "third_party", "quic-go")
	if !force && upToDate(out, pin) {
		return nil
	}
	dir, err := download(pin)
	if err != nil {
		return err
	}
	if err := generate(dir, out, pin); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "quicgen: wrote %s from %s %s\n", out, pin.Path, pin.Version)
	return nil
}

// generate writes the changed copy of the release in dir to out. It appears there whole or not at all: it is made in
// a folder beside out, which then takes out's place.
func generate(dir, out string, pin pin) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), filepath.Base(out)+".")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := copyRelease(dir, tmp); err != nil {
		return err
	}
	if err := rewrite(tmp); err != nil {
		return fmt.Errorf("%s %s does not have the expected shape: %w", pin.Path, pin.Version, err)
	}
	if err := writeStamp(tmp, pin); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	return os.Rename(tmp, out)
}
