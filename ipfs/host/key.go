package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/renameio/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
)

// identity returns the key that the configuration names.
func identity(cfg Config) (crypto.PrivKey, error) {
	if cfg.Key != nil {
		return cfg.Key, nil
	}
	if cfg.KeyFile == "" {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		return key, err
	}
	return LoadOrCreateKey(cfg.KeyFile)
}

// LoadOrCreateKey reads an Ed25519 key from a file that only its owner can read,
// or makes a new one there.
func LoadOrCreateKey(path string) (crypto.PrivKey, error) {
	key, err := loadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = createKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("host: key file %s: %w", path, err)
	}
	return key, nil
}

func loadKey(path string) (crypto.PrivKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("others may read it (mode %04o); chmod 600 it if nobody has", mode)
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%d bytes are no Ed25519 key", info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, errors.New("not a libp2p private key") // the cause may quote the key
	}
	if key.Type() != pb.KeyType_Ed25519 {
		return nil, fmt.Errorf("a key of type %s, not Ed25519", key.Type())
	}
	return key, nil
}

func createKey(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, renameio.WriteFile(path, b, 0o600)
}
