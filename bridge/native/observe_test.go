package native

import (
	"slices"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
	"github.com/iroh-ipfs/bridge/iroh/blobs"
)

func TestObservedRanges(t *testing.T) {
	for name, tc := range map[string]struct {
		there blobs.Available
		have  uint64
		want  [][2]uint64
	}{
		"nothing":          {blobs.Available{}, 0, [][2]uint64{}},
		"all":              {blobs.Available{Size: 5000, Ranges: bao.All()}, 5000, [][2]uint64{{0, 5000}}},
		"two parts":        {blobs.Available{Size: 100000, Ranges: bao.Ranges{16, 32, 64}}, 16384 + 100000 - 65536, [][2]uint64{{16384, 32768}, {65536, 100000}}},
		"beyond the end":   {blobs.Available{Size: 5000, Ranges: bao.Ranges{50, 60}}, 0, [][2]uint64{}},
		"to the last byte": {blobs.Available{Size: 5000, Ranges: bao.Span(4, 5)}, 904, [][2]uint64{{4096, 5000}}},
	} {
		if got := observed(bao.Hash{}, "", tc.there); got.Have != tc.have || !slices.Equal(got.Ranges, tc.want) {
			t.Errorf("%s: %d in %v", name, got.Have, got.Ranges)
		}
	}
}
