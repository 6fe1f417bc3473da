package arch

import (
	"go/version"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// floors are the first releases without a known advisory. Where one was mended on several branches, the newest counts.
var floors = map[string]struct{ version, advisory string }{
	"github.com/ipfs/boxo":               {"v0.6.0", "CVE-2023-25568 unbounded wantlists"},
	"github.com/ipfs/go-bitswap":         {"v0.12.0", "CVE-2023-25568 unbounded wantlists"},
	"github.com/ipfs/go-unixfs":          {"v0.4.3", "CVE-2023-23625 HAMT decoding panic"},
	"github.com/ipfs/go-unixfsnode":      {"v1.5.2", "CVE-2023-23631 HAMT decoding panic"},
	"github.com/ipfs/go-bitfield":        {"v1.1.0", "CVE-2023-23626 bad size panics"},
	"github.com/ipfs/go-merkledag":       {"v0.8.1", "CVE-2022-23495 panic on odd nodes"},
	"github.com/ipld/go-codec-dagpb":     {"v1.3.1", "CVE-2022-2584 panic on invalid blocks"},
	"github.com/ipld/go-ipld-prime":      {"v0.23.0", "CVE-2026-35480, CVE-2026-42328 allocation and recursion"},
	"github.com/ipld/go-car":             {"v0.4.0", "GHSA-9x4h-8wgm-8xfg malformed CAR"},
	"github.com/ipld/go-car/v2":          {"v2.4.0", "GHSA-9x4h-8wgm-8xfg malformed CAR"},
	"github.com/libp2p/go-libp2p":        {"v0.29.1", "CVE-2022-23492, CVE-2023-39533, CVE-2023-40583"},
	"github.com/quic-go/quic-go":         {"v0.59.1", "CVE-2023-46239 to CVE-2026-40898"},
	"github.com/quic-go/webtransport-go": {"v0.11.1", "CVE-2026-21434, CVE-2026-57497"},
	"filippo.io/edwards25519":            {"v1.1.1", "CVE-2026-26958 invalid results"},
}

// mustHave are the modules that the bridge cannot do without; their absence means that the test reads the wrong file.
var mustHave = []string{"github.com/ipfs/boxo", "github.com/libp2p/go-libp2p", "github.com/quic-go/quic-go", "github.com/ipld/go-ipld-prime"}

// goFloor has every fix of the standard library that is known of.
const goFloor = "go1.26.6"

func readMod(t *testing.T, path ...string) *modfile.File {
	t.Helper()
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(append([]string{tree.root}, path...)...)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse(name, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

func TestDependencyFloors(t *testing.T) {
	mod := readMod(t, "go.mod")
	found := map[string]bool{}
	for _, require := range mod.Require {
		path, have := require.Mod.Path, require.Mod.Version
		found[path] = true
		if floor, ok := floors[path]; ok && semver.Compare(have, floor.version) < 0 {
			t.Errorf("%s %s is below %s: %s", path, have, floor.version, floor.advisory)
		}
	}
	for _, path := range mustHave {
		if !found[path] {
			t.Errorf("go.mod does not name %s", path)
		}
	}
}

func TestFloorsAreComparable(t *testing.T) {
	for path, floor := range floors {
		if !semver.IsValid(floor.version) {
			t.Errorf("%s: %q is no version", path, floor.version)
		}
	}
}

func TestOnlyQUICIsReplaced(t *testing.T) {
	for _, r := range readMod(t, "go.mod").Replace {
		if r.Old.Path != "github.com/quic-go/quic-go" || r.New.Path != "./third_party/quic-go" {
			t.Errorf("go.mod replaces %s by %s", r.Old.Path, r.New.Path)
		}
	}
}

func TestGeneratorPinsTheSameQUIC(t *testing.T) {
	pinned := func(mod *modfile.File) string {
		for _, require := range mod.Require {
			if require.Mod.Path == "github.com/quic-go/quic-go" {
				return require.Mod.Version
			}
		}
		return "none"
	}
	ours, generator := pinned(readMod(t, "go.mod")), pinned(readMod(t, "third_party", "quicgen", "go.mod"))
	if ours != generator {
		t.Errorf("go.mod has quic-go %s, the generator %s", ours, generator)
	}
}

func TestGoIsNotOlderThanItsFixes(t *testing.T) {
	have, _, _ := strings.Cut(runtime.Version(), " ")
	if !version.IsValid(have) {
		t.Skipf("not a release of Go: %s", have)
	}
	if version.Compare(have, goFloor) < 0 {
		t.Errorf("%s is older than %s, which has the known fixes of the standard library", have, goFloor)
	}
}

func TestGeneratedCopyIsNotCommitted(t *testing.T) {
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(tree.root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/third_party/quic-go/", "/bin/", "target/"} {
		if !strings.Contains("\n"+string(data), "\n"+want+"\n") {
			t.Errorf(".gitignore has no line %q", want)
		}
	}
}
