package blobs

import "github.com/iroh-ipfs/bridge/iroh/blobs/provider"

// The serving side: see package provider.
type (
	// Provider serves the blobs of a store.
	Provider = provider.Provider
	// ProviderConfig is what a provider needs.
	ProviderConfig = provider.Config
	// Policy decides who may have what.
	Policy = provider.Policy
	// Acceptor is what a provider uses of a connection; *iroh.Conn has it.
	Acceptor = provider.Acceptor
)

// NewProvider returns a provider for the blobs of cfg.Store.
func NewProvider(cfg ProviderConfig) *Provider { return provider.New(cfg) }
