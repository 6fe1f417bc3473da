package pebble

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/iroh-ipfs/bridge/mapping"
	"github.com/iroh-ipfs/bridge/mapping/mappingtest"
)

func openTest(t testing.TB, dir string) mapping.Store { return openConfig(t, dir, Config{}) }

func openConfig(t testing.TB, dir string, cfg Config) *Store {
	t.Helper()
	s, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	defer goleak.VerifyNone(t)
	mappingtest.Test(t, func(t *testing.T) mapping.Store { return openTest(t, t.TempDir()) })
}

func TestReopen(t *testing.T) { mappingtest.Reopen(t, openTest) }

func TestModel(t *testing.T) { mappingtest.Model(t, openTest) }
