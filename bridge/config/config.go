// Package config is the bridge's one typed configuration: its defaults, its file and its environment.
//
// A value is looked for in this order, and the first that has it wins:
//
//	flag > environment (BRIDGE_SECTION_KEY) > file (<data folder>/config.toml) > default
//
// The file is TOML; a key it does not know is an error that names the line, since a misspelt limit that is silently
// ignored is worse than a daemon that does not start. Lists in the environment are separated by commas.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// FileName is the configuration file's name within the data folder.
const FileName = "config.toml"

// Config is everything that an operator can set. The zero value is not usable: begin with [Default].
type Config struct {
	// Local keeps the bridge off the public networks: no public bootstrap peers, relays or name services.
	Local bool `toml:"local"`

	Iroh      Iroh      `toml:"iroh"`
	Relay     Relay     `toml:"relay"`
	Discovery Discovery `toml:"discovery"`
	Push      Push      `toml:"push"`
	Provider  Provider  `toml:"provider"`
	Libp2p    Libp2p    `toml:"libp2p"`
	API       API       `toml:"api"`
	Import    Import    `toml:"import"`
}

// Libp2p configures the IPFS node.
type Libp2p struct {
	// Listen holds multiaddrs.
	Listen []string `toml:"listen"`
	// Bootstrap holds full multiaddrs (with /p2p/); empty means the public ones, or none when Local.
	Bootstrap []string `toml:"bootstrap"`
	// PortMapping asks the router for the ports, by UPnP or NAT-PMP: Auto, On or Off.
	PortMapping string `toml:"port_mapping"`
}

// API configures the HTTP API that the command line uses.
type API struct {
	// Listen is a TCP address, host:port. Only loopback addresses are accepted unless AllowRemote is set.
	Listen string `toml:"listen"`
	// AllowRemote accepts a Listen address that other machines reach. The token is then all that guards the API.
	AllowRemote bool `toml:"allow_remote"`
	// Hosts lists further values of the Host header that are accepted; IP literals and localhost always are.
	Hosts []string `toml:"hosts"`
}

// Import bounds what one import may bring in, against DAGs that are small to publish and huge to walk.
type Import struct {
	// MaxBytes bounds the file bytes of one DAG; MaxBlocks its blocks, counted as often as they occur.
	MaxBytes  uint64 `toml:"max_bytes"`
	MaxBlocks uint64 `toml:"max_blocks"`
	// MaxRepeatedBytes and MaxRepeatedBlocks bound blocks that come again and again in one DAG, as the zeros of a sparse
	// file do. A DAG with many different blocks may have 64 times as much of them.
	MaxRepeatedBytes  uint64 `toml:"max_repeated_bytes"`
	MaxRepeatedBlocks uint64 `toml:"max_repeated_blocks"`
}

// Default returns the configuration of a bridge that nobody configured. Its ports differ from those of a Kubo on the
// same machine.
func Default() Config {
	return Config{
		Iroh:      Iroh{Listen: "0.0.0.0:4022", PortMapping: Auto},
		Discovery: Discovery{Pkarr: Public, DNSOrigin: Public, MDNS: Auto, Publish: PublishRelay},
		Libp2p: Libp2p{Listen: []string{
			"/ip4/0.0.0.0/tcp/4021", "/ip4/0.0.0.0/udp/4021/quic-v1",
			"/ip6/::/tcp/4021", "/ip6/::/udp/4021/quic-v1",
		}, PortMapping: Auto},
		API:    API{Listen: "127.0.0.1:5021"},
		Import: Import{MaxBytes: 1 << 44, MaxBlocks: 1 << 26, MaxRepeatedBytes: 4 << 30, MaxRepeatedBlocks: 1_000_000},
	}
}

// Load returns the defaults overlaid with the data folder's file, if there is one, and the environment. lookup is
// [os.LookupEnv] outside of tests.
func Load(dataDir string, lookup func(string) (string, bool)) (Config, error) {
	c := Default()
	path := filepath.Join(dataDir, FileName)
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return c, fmt.Errorf("config: %w", err)
	default:
		defer f.Close()
		dec := toml.NewDecoder(f).DisallowUnknownFields()
		if err := dec.Decode(&c); err != nil {
			return c, fmt.Errorf("config: %s: %w", path, describe(err))
		}
	}
	if err := overlay(reflect.ValueOf(&c).Elem(), "BRIDGE", lookup); err != nil {
		return c, err
	}
	return c, nil
}

// describe turns the TOML library's multi-line report into one sentence with the key and the line.
func describe(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		first := strict.Errors[0]
		row, _ := first.Position()
		return fmt.Errorf("line %d: unknown key %q", row, strings.Join(first.Key(), "."))
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		row, col := decode.Position()
		return fmt.Errorf("line %d, column %d: %w", row, col, err)
	}
	return err
}

// overlay sets every field whose variable is in the environment. The variable's name is the path of toml keys.
func overlay(v reflect.Value, prefix string, lookup func(string) (string, bool)) error {
	for i := range v.NumField() {
		field := v.Field(i)
		name := prefix + "_" + strings.ToUpper(v.Type().Field(i).Tag.Get("toml"))
		if field.Kind() == reflect.Struct {
			if err := overlay(field, name, lookup); err != nil {
				return err
			}
			continue
		}
		text, ok := lookup(name)
		if !ok {
			continue
		}
		if err := set(field, text); err != nil {
			return fmt.Errorf("config: environment variable %s: %w", name, err)
		}
	}
	return nil
}

func set(field reflect.Value, text string) error {
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not a boolean; use 1 or 0", text)
		}
		field.SetBool(b)
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		field.SetUint(n)
	case reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		field.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		field.SetFloat(n)
	case reflect.Slice:
		var list []string
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		field.Set(reflect.ValueOf(list))
	default:
		return fmt.Errorf("settings of kind %s cannot be set here", field.Kind())
	}
	return nil
}

// Validate says what is wrong with the configuration, before anything is opened.
func (c Config) Validate() error {
	if _, err := net.ResolveUDPAddr("udp", c.Iroh.Listen); err != nil {
		return fmt.Errorf("config: iroh.listen %q: %w", c.Iroh.Listen, err)
	}
	for _, a := range c.Iroh.Announce {
		if _, err := netip.ParseAddrPort(a); err != nil {
			return fmt.Errorf("config: iroh.announce %q is not an ip:port", a)
		}
	}
	if err := c.validateIroh(); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(c.API.Listen)
	if err != nil {
		return fmt.Errorf("config: api.listen %q: %w", c.API.Listen, err)
	}
	if !c.API.AllowRemote && !isLoopback(host) {
		return fmt.Errorf("config: api.listen %q is reachable from other machines; use 127.0.0.1, or set api.allow_remote = true and guard the token", c.API.Listen)
	}
	if i := c.Import; i.MaxBytes == 0 || i.MaxBlocks == 0 || i.MaxRepeatedBytes == 0 || i.MaxRepeatedBlocks == 0 {
		return errors.New("config: the limits of an import must be above 0")
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// DataDir returns the platform's folder for the bridge's data.
func DataDir(lookup func(string) (string, bool)) (string, error) {
	if dir, ok := lookup("XDG_DATA_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "iroh-ipfs-bridge"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("config: no data folder is known here; name one with --data or BRIDGE_DATA: %w", err)
	}
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "iroh-ipfs-bridge"), nil
	case "windows":
		return filepath.Join(home, "AppData", "Local", "iroh-ipfs-bridge"), nil
	}
	return filepath.Join(home, ".local", "share", "iroh-ipfs-bridge"), nil
}
