// Package netns makes small networks for tests out of network namespaces: hosts, segments that join them, and routers
// with a NAT. It works by the programs ip and nft, on Linux, as root; elsewhere [New] says [ErrUnsupported].
//
// A [Lab] is everything that one test makes. Its namespaces have names that no other lab has, and all of its interfaces
// are made inside of them, so that the machine's own network is never touched and never reached: a lab has no way out.
// A file that the lab holds locked says that it is in use; what a killed process left is removed by the next lab.
//
// A segment has addresses of IPv4 or of IPv6. Impaired links are not made here, since not every kernel can (netem): put a
// proxy of package fault on a host.
package netns
