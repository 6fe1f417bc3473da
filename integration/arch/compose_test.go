package arch

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// adminPorts administer a node: whoever reaches one owns it (GHSA-fx5p-f64h-93xc was a default compose file).
var adminPorts = []uint32{5021, 5001, 8080}

// peerPorts are meant for everyone.
var peerPorts = []uint32{4021, 4022, 4001}

func compose(t *testing.T, text string) *types.Project {
	t.Helper()
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  tree.root,
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(text)}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("bridge", true) })
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func composeFile(t *testing.T) string {
	t.Helper()
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(tree.root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// exposed lists what a project publishes beyond the host's loopback although it must not: administration ports, and any
// port that is not known to be meant for everyone.
func exposed(p *types.Project) []string {
	var bad []string
	for name, service := range p.Services {
		if service.NetworkMode == "host" {
			bad = append(bad, name+" uses the host's network")
		}
		for _, port := range service.Ports {
			addr, err := netip.ParseAddr(port.HostIP)
			local := err == nil && addr.IsLoopback()
			if !local && !slices.Contains(peerPorts, port.Target) {
				bad = append(bad, name+" publishes "+port.Published+" on "+port.HostIP)
			}
		}
	}
	return bad
}

func TestComposePublishesNoAdministration(t *testing.T) {
	p := compose(t, composeFile(t))
	for _, bad := range exposed(p) {
		t.Error(bad)
	}
	published := map[uint32]bool{}
	for _, service := range p.Services {
		for _, port := range service.Ports {
			published[port.Target] = true
		}
	}
	for _, port := range slices.Concat(adminPorts, peerPorts) {
		if !published[port] {
			t.Errorf("port %d is not published at all: the check above means nothing", port)
		}
	}
}

// TestComposeCheckSeesTheMistakes breaks the file in the ways that the check is there for.
func TestComposeCheckSeesTheMistakes(t *testing.T) {
	text := composeFile(t)
	for _, change := range [][2]string{
		{"127.0.0.1:5021:5021/tcp", "5021:5021/tcp"},
		{"127.0.0.1:5021:5021/tcp", "0.0.0.0:5021:5021/tcp"},
		{"127.0.0.1:5001:5001/tcp", "5001:5001"},
		{"127.0.0.1:8080:8080/tcp", "192.0.2.1:8080:8080/tcp"},
		{"4022:4022/udp", "5021-5022:5021-5022"},
		{"image: ipfs/kubo:v0.43.0", "image: ipfs/kubo:v0.43.0\n    network_mode: host"},
	} {
		broken := strings.Replace(text, change[0], change[1], 1)
		if broken == text {
			t.Errorf("the file has no %q", change[0])
		}
		if strings.Contains(change[1], "network_mode") {
			broken = dropPorts(broken)
		}
		if len(exposed(compose(t, broken))) == 0 {
			t.Errorf("%q passes", change[1])
		}
	}
}

// dropPorts removes Kubo's published ports, which a service on the host's network cannot have.
func dropPorts(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "4001:4001") || strings.Contains(line, "5001:5001") || strings.Contains(line, "8080:8080") {
			continue
		}
		out = append(out, line)
	}
	kept := strings.Join(out, "")
	i := strings.LastIndex(kept, "    ports:\n")
	return kept[:i] + strings.TrimPrefix(kept[i:], "    ports:\n")
}

func TestComposeServices(t *testing.T) {
	p := compose(t, composeFile(t))
	bridge, kubo := p.Services["bridge"], p.Services["kubo"]
	if bridge.Name == "" || kubo.Name == "" {
		t.Fatalf("services %v, want bridge and kubo", p.ServiceNames())
	}
	for _, service := range p.Services {
		if service.HealthCheck == nil || len(service.HealthCheck.Test) < 2 || service.HealthCheck.Disable {
			t.Errorf("%s has no health check", service.Name)
		}
		if service.Privileged {
			t.Errorf("%s is privileged", service.Name)
		}
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges", service.Name)
		}
		if len(service.Volumes) == 0 || service.Volumes[0].Type != types.VolumeTypeVolume {
			t.Errorf("%s keeps its data in no volume", service.Name)
		}
	}
	if bridge.Build == nil || !bridge.ReadOnly || !slices.Contains(bridge.CapDrop, "ALL") {
		t.Error("the bridge is not built here, or runs with more rights than it needs")
	}
	version := ""
	for _, require := range readMod(t, "integration", "peer", "kubo", "go.mod").Require {
		if require.Mod.Path == "github.com/ipfs/kubo" {
			version = require.Mod.Version
		}
	}
	if kubo.Image != "ipfs/kubo:"+version {
		t.Errorf("compose has %s, the tests use %s", kubo.Image, version)
	}
}
