package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeySize is the size of the key file in bytes.
const KeySize = 32

// sealVersion is the first byte of every sealed value.
const sealVersion = 1

// sealer seals values with AES-256-GCM and a random nonce each. The key in use
// and its public id are both derived from the key file, so that the id in the
// database tells nothing of the key.
type sealer struct {
	aead cipher.AEAD
	id   string
}

func newSealer(key []byte) (*sealer, error) {
	sub, err := hkdf.Key(sha256.New, key, nil, "transportd sealed values 1", KeySize)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Key(sha256.New, key, nil, "transportd key id 1", 8)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead: aead, id: hex.EncodeToString(id)}, nil
}

// place names where a sealed value lives: table, column, then what identifies
// the row. The ciphertext opens nowhere else.
type place []string

func (p place) bytes() []byte {
	out := []byte{sealVersion}
	for _, part := range p {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

func (s *sealer) seal(at place, plain []byte) []byte {
	return s.aead.Seal([]byte{sealVersion}, nil, plain, at.bytes())
}

func (s *sealer) open(at place, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, fmt.Errorf("%s.%s: %w", at[0], at[1], ErrSealBroken)
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], at.bytes())
	if err != nil {
		return nil, fmt.Errorf("%s.%s: %w", at[0], at[1], ErrSealBroken)
	}
	return plain, nil
}

// readKey reads a key file and refuses one that others may read. The error
// wraps ErrKeyMissing or ErrKeyInvalid.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrKeyMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyInvalid, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyInvalid, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is not a plain file", path, ErrKeyInvalid)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w: its mode is %04o, others must not read it (chmod 600)", path, ErrKeyInvalid, mode)
	}
	if info.Size() != KeySize {
		return nil, fmt.Errorf("%s: %w: it has %d bytes, a key has %d", path, ErrKeyInvalid, info.Size(), KeySize)
	}
	key := make([]byte, KeySize)
	if _, err := f.ReadAt(key, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyInvalid, err)
	}
	return key, nil
}

// createKey makes a key file with mode 0600. It is complete on the disk, or
// not there: a crash leaves no half key, and an existing file is never touched.
func createKey(path string) ([]byte, error) {
	key := make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	if err := writeFileOnce(path, key); err != nil {
		return nil, fmt.Errorf("create the key file: %w", err)
	}
	return key, nil
}

// writeFileOnce writes a file with mode 0600, synced together with its folder.
// It fails when path exists.
func writeFileOnce(path string, data []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil { // unlike a rename, never replaces
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
