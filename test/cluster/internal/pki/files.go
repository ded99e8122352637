// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Names of the pairs that Ensure writes, besides the identities it is given.
const (
	// CAName is the one authority of the cluster.
	CAName = "ca"
	// SigningName is the ServiceAccount token key: .crt holds the public key.
	SigningName = "service-account"
)

// renewBefore is how long before its end an authority is replaced.
const renewBefore = 30 * 24 * time.Hour

// Ensure makes sure that dir holds the authority, the token signing key and a
// pair per identity, keyed by file name. What is there stays, unless the
// authority is about to expire; then everything is made anew. A file appears
// under its name only when complete, so an interrupted call can be repeated.
func Ensure(dir string, identities map[string]Identity, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	authority, err := ensureAuthority(dir, now)
	if err != nil {
		return err
	}
	if err := ensurePair(dir, SigningName, NewSigningKey); err != nil {
		return err
	}
	for name, identity := range identities {
		if err := ensurePair(dir, name, func() (Pair, error) { return authority.Issue(identity, now) }); err != nil {
			return err
		}
	}
	return nil
}

func ensureAuthority(dir string, now time.Time) (*Authority, error) {
	if pair, err := Read(dir, CAName); err == nil {
		authority, err := LoadAuthority(pair)
		if err == nil && now.Add(renewBefore).Before(authority.cert.NotAfter) {
			return authority, nil
		}
	}
	// Whatever an older authority signed is worthless now.
	if err := removePairs(dir); err != nil {
		return nil, err
	}
	authority, err := NewAuthority("kubernetes-ca", now)
	if err != nil {
		return nil, err
	}
	return authority, write(dir, CAName, authority.Pair())
}

func removePairs(dir string) error {
	for _, pattern := range []string{"*.crt", "*.key", "*.conf"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func ensurePair(dir, name string, make func() (Pair, error)) error {
	_, err := Read(dir, name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	pair, err := make()
	if err != nil {
		return err
	}
	return write(dir, name, pair)
}

// Read returns the pair stored under a name.
func Read(dir, name string) (Pair, error) {
	cert, err := os.ReadFile(CertFile(dir, name))
	if err != nil {
		return Pair{}, err
	}
	key, err := os.ReadFile(KeyFile(dir, name))
	if err != nil {
		return Pair{}, err
	}
	return Pair{Cert: cert, Key: key}, nil
}

// CertFile and KeyFile are where a pair lies.
func CertFile(dir, name string) string { return filepath.Join(dir, name+".crt") }

// KeyFile is the private half of CertFile.
func KeyFile(dir, name string) string { return filepath.Join(dir, name+".key") }

// write puts the certificate last: a pair without one counts as absent.
func write(dir, name string, pair Pair) error {
	if err := WriteFile(KeyFile(dir, name), pair.Key, 0o600); err != nil {
		return err
	}
	return WriteFile(CertFile(dir, name), pair.Cert, 0o644)
}

// WriteFile replaces a file in one step, so that nobody reads half of it.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
