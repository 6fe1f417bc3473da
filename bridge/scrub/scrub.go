// Package scrub looks whether what is linked is there and right, and mends links and the block index from the layouts.
//
// A link is right when its layout, its files' blobs and its hash sequence hash to their names, each block made of them to
// its CID, and each row of the index gives that block. Rows can be written again, and links that the register has and the
// mapping has not can be linked again; bytes cannot be mended here. Sizes are bytes.
//
// # Trust
//
// The register is believed in what is linked, and nothing else: a layout that is not in it makes no link. Bytes are not
// believed, except by [Scrubber.Audit], which looks no further than a start does.
package scrub

import (
	"context"
	"log/slog"

	"github.com/ipfs/go-cid"

	"github.com/iroh-ipfs/bridge/bridge/recording"
	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/store"
	"github.com/iroh-ipfs/bridge/mapping"
)

// A Scrubber looks at links. All fields are required.
type Scrubber struct {
	Store    *store.Store
	Mapping  mapping.Store
	Register *recording.Register
	Source   Source
	// Hold keeps purges away until release is called.
	Hold   func(ctx context.Context) (release func(), err error)
	Logger *slog.Logger
}

// Source reads what is here.
type Source interface {
	// ReadBlock puts a block together, unverified; foreign says that its bytes come from a file that is not ours.
	ReadBlock(b mapping.Block) (data []byte, foreign bool, err error)
	// CheckBlock compares a block's bytes with its CID.
	CheckBlock(c cid.Cid, data []byte) error
	// Explain says, for people, what an error of the store about a blob means.
	Explain(hash bao.Hash, err error) error
}

// Progress hears what is looked at, and how many bytes of it are done.
type Progress interface {
	Item(name string, size int64)
	Bytes(n uint64)
}

// silent is a Progress that nobody listens to.
type silent struct{}

func (silent) Item(string, int64) {}
func (silent) Bytes(uint64)       {}

// Finding is what verify says of one link, or of what is kept without one.
type Finding struct {
	CID      string   `json:"cid"`
	Hash     string   `json:"hash,omitempty" doc:"BLAKE3 hash of what is kept and has no CID"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems,omitempty" doc:"what does not hold, with the names of the blobs and blocks"`
	Repaired bool     `json:"repaired,omitempty" doc:"the block index was rebuilt, and holds now"`
	Restored bool     `json:"restored,omitempty" doc:"the mapping database had lost the link, and it is back"`
}

// maxProblems bounds what is said of one link; the rest is only counted.
const maxProblems = 20
