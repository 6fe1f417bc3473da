package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func none(string) (string, bool) { return "", false }

func env(kv map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := kv[k]; return v, ok }
}

func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDefaultsAreValidAndLoadedWithoutAFile(t *testing.T) {
	c, err := Load(t.TempDir(), none)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Error(diff)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	dir := write(t, "local = true\n[iroh]\nlisten = \"127.0.0.1:1\"\n[libp2p]\nlisten = [\"/ip4/127.0.0.1/tcp/1\"]\n"+
		"[provider.peer]\nconnections = 3\nbyte_rate = 5\n[push]\nquota = 9\n")
	c, err := Load(dir, env(map[string]string{
		"BRIDGE_IROH_LISTEN": "127.0.0.1:2", "BRIDGE_LIBP2P_BOOTSTRAP": "/a, /b", "BRIDGE_IMPORT_MAX_BLOCKS": "7",
		"BRIDGE_RELAY_URLS": "https://relay.example qad=7,default", "BRIDGE_PROVIDER_PEER_BYTE_RATE": "-1",
		"BRIDGE_PROVIDER_ALL_REQUEST_RATE": "0.5", "BRIDGE_DISCOVERY_MDNS": "off",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Local = true
	want.Iroh.Listen = "127.0.0.1:2"
	want.Libp2p.Listen = []string{"/ip4/127.0.0.1/tcp/1"}
	want.Libp2p.Bootstrap = []string{"/a", "/b"}
	want.Import.MaxBlocks = 7
	want.Relay = Relay{URLs: []string{"https://relay.example qad=7", "default"}}
	want.Provider = Provider{Peer: Limit{Connections: 3, ByteRate: -1}, All: Limit{RequestRate: 0.5}}
	want.Push.Quota = 9
	want.Discovery.MDNS = Off
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsNameTheirPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		env  map[string]string
		want string
	}{
		"unknown key":   {file: "[iroh]\nlissten = \"x\"\n", want: `line 2: unknown key "iroh.lissten"`},
		"wrong type":    {file: "local = 3\n", want: "line 1"},
		"broken syntax": {file: "[iroh\n", want: "line 1"},
		"bad boolean":   {env: map[string]string{"BRIDGE_LOCAL": "maybe"}, want: "BRIDGE_LOCAL"},
		"bad number":    {env: map[string]string{"BRIDGE_IMPORT_MAX_BYTES": "-1"}, want: "BRIDGE_IMPORT_MAX_BYTES"},
		"bad rate":      {env: map[string]string{"BRIDGE_PROVIDER_ALL_REQUEST_RATE": "NaN"}, want: "not a number"},
		"bad limit":     {env: map[string]string{"BRIDGE_PROVIDER_PEER_REQUESTS": "1.5"}, want: "not a whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, tc.file), env(tc.env))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"remote api":           func(c *Config) { c.API.Listen = "0.0.0.0:5021" },
		"named api host":       func(c *Config) { c.API.Listen = "example.org:5021" },
		"no port":              func(c *Config) { c.Iroh.Listen = "127.0.0.1" },
		"bad announce":         func(c *Config) { c.Iroh.Announce = []string{"localhost:1"} },
		"unbounded bytes":      func(c *Config) { c.Import.MaxBytes = 0 },
		"relay and none":       func(c *Config) { c.Relay.URLs = []string{Disabled, Public} },
		"no relay":             func(c *Config) { c.Relay.URLs = []string{"relay.example"} },
		"relay's port":         func(c *Config) { c.Relay.URLs = []string{"https://relay.example qad=65536"} },
		"relay and query":      func(c *Config) { c.Relay.URLs = []string{"https://relay.example/?x"} },
		"no pkarr":             func(c *Config) { c.Discovery.Pkarr = "on" },
		"no origin":            func(c *Config) { c.Discovery.DNSOrigin = "" },
		"origin":               func(c *Config) { c.Discovery.DNSOrigin = "a b..c" },
		"no server":            func(c *Config) { c.Discovery.DNSServers = []string{"127.0.0.1"} },
		"no switch":            func(c *Config) { c.Discovery.MDNS = "yes" },
		"no mapping":           func(c *Config) { c.Iroh.PortMapping = "" },
		"no mapping of libp2p": func(c *Config) { c.Libp2p.PortMapping = "yes" },
		"all published":        func(c *Config) { c.Discovery.Publish = "all" },
		"no pusher":            func(c *Config) { c.Push.Peers = []string{"everybody"} },
	} {
		t.Run(name, func(t *testing.T) {
			c := Default()
			change(&c)
			if err := c.Validate(); err == nil {
				t.Error("accepted")
			}
		})
	}
	for name, change := range map[string]func(*Config){
		"relay":        func(c *Config) { c.Relay.URLs = []string{"http://user:hunter2@relay.example"} },
		"broken relay": func(c *Config) { c.Relay.URLs = []string{"http://user:hunter2@[relay"} },
		"pkarr":        func(c *Config) { c.Discovery.Pkarr = "ftp://user:hunter2@relay.example" },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "relay") {
			t.Errorf("%s with a password: %v", name, err)
		}
	}
	c := Default()
	c.API.Listen, c.API.AllowRemote = "0.0.0.0:5021", true
	if err := c.Validate(); err != nil {
		t.Error("a remote API was asked for in so many words:", err)
	}
}

func TestDataDirHonoursXDG(t *testing.T) {
	dir, err := DataDir(env(map[string]string{"XDG_DATA_HOME": "/x"}))
	if err != nil || dir != filepath.Join("/x", "iroh-ipfs-bridge") {
		t.Errorf("got %q, %v", dir, err)
	}
}

// TestLocalIsNobodyPublic: what nobody named is not there, and what was named is.
func TestLocalIsNobodyPublic(t *testing.T) {
	c := Default()
	c.Local = true
	type reach struct {
		Relays            []string
		Pkarr, DNS        string
		MDNS, PortMapping bool
	}
	of := func(c Config) reach {
		return reach{c.RelayURLs(), c.Service(c.Discovery.Pkarr, "pub"), c.Service(c.Discovery.DNSOrigin, "pub"),
			c.Switched(c.Discovery.MDNS), c.Switched(c.Iroh.PortMapping)}
	}
	if diff := cmp.Diff(reach{Relays: []string{}}, of(c)); diff != "" {
		t.Error(diff)
	}
	c.Relay.URLs = []string{"default", "http://127.0.0.1:1"}
	c.Discovery = Discovery{Pkarr: "http://127.0.0.1:2", DNSOrigin: "example", MDNS: On}
	c.Iroh.PortMapping = On
	want := reach{[]string{"http://127.0.0.1:1"}, "http://127.0.0.1:2", "example", true, true}
	if diff := cmp.Diff(want, of(c)); diff != "" {
		t.Error(diff)
	}
	c = Default()
	if diff := cmp.Diff(reach{[]string{Public}, "pub", "pub", true, true}, of(c)); diff != "" {
		t.Error(diff)
	}
	c.Relay.URLs = []string{Disabled}
	c.Discovery = Discovery{Pkarr: Disabled, DNSOrigin: Disabled, MDNS: Off}
	c.Iroh.PortMapping = Off
	if diff := cmp.Diff(reach{Relays: []string{}}, of(c)); diff != "" {
		t.Error(diff)
	}
}
