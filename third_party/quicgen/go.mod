module github.com/iroh-ipfs/bridge/third_party/quicgen

go 1.26.0

require (
	github.com/quic-go/quic-go v0.64.1
	golang.org/x/mod v0.41.0
)
