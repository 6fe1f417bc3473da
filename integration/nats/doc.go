// Package nats has no code of its own: its tests let the bridge and a Rust node meet across NATs, in network namespaces that
// they make, through a real iroh-relay and by a real iroh-dns-server.
//
//	relay     name server     (public hosts)
//	  |            |                |
//	--+---- 203.0.113.0/24 ----+----+----+--
//	                           |         |
//	                        router    router      masquerade
//	                           |         |
//	                      10.1.0.0/24  10.2.0.0/24
//	                           |         |
//	                         host      host
//
// Every lab has these addresses, and none has a way out. Where there are no namespaces the tests say so and are skipped; with CI
// set they fail.
package nats
