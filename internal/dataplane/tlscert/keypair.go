// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// keyPair parses a certificate chain and its key. The error is about one of the
// two fields, and never holds a part of the key.
func keyPair(cert, key, certField, keyField string) (c *tls.Certificate, field string, err error) {
	if err := checkChain(cert); err != nil {
		return nil, certField, err
	}
	if err := checkKey(key); err != nil {
		return nil, keyField, err
	}
	parsed, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, keyField, fmt.Errorf("it is not the key of %s: %s", certField, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &parsed, "", nil
}

// checkChain parses every certificate of a chain.
func checkChain(text string) error {
	n := 0
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		n++
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d of the chain: %w", n, err)
		}
	}
	if n == 0 {
		return errors.New("not a PEM certificate (-----BEGIN CERTIFICATE-----)")
	}
	return nil
}

// checkKey finds what X509KeyPair would be vague about.
func checkKey(text string) error {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return errors.New("not a PEM private key (-----BEGIN PRIVATE KEY-----)")
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return errors.New("the private key is encrypted; store it without a passphrase")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil
		}
	}
}

// LoadKeyPairs reads certificates as Kong's settings ssl_cert and ssl_cert_key
// give them: files, PEM, or PEM in base64, one key for each certificate in the
// same order. prefix stands before the settings' names, for example "client_".
// They are returned in the order of preference: ECDSA first, as it costs less.
func LoadKeyPairs(prefix string, certs, keys []string) ([]*tls.Certificate, error) {
	certName, keyName := prefix+"ssl_cert", prefix+"ssl_cert_key"
	switch {
	case len(certs) > 0 && len(keys) == 0:
		return nil, fmt.Errorf("%s: must be set when %s is", keyName, certName)
	case len(certs) == 0 && len(keys) > 0:
		return nil, fmt.Errorf("%s: must be set when %s is", certName, keyName)
	case len(certs) != len(keys):
		return nil, fmt.Errorf("%s: holds %d certificates, %s %d keys; give one key for each", certName, len(certs), keyName, len(keys))
	}
	loaded := make([]*tls.Certificate, len(certs))
	for i := range certs {
		cert, err := readPEM(certs[i])
		if err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", certName, i+1, err)
		}
		key, err := readPEM(keys[i])
		if err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", keyName, i+1, err)
		}
		var field string
		if loaded[i], field, err = keyPair(cert, key, certName, keyName); err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", field, i+1, err)
		}
	}
	slices.SortStableFunc(loaded, func(a, b *tls.Certificate) int { return cmp.Compare(cost(a), cost(b)) })
	return loaded, nil
}

func cost(c *tls.Certificate) int {
	if isECDSA(c) {
		return 0
	}
	return 1
}

// LoadRoots reads certificate authorities as Kong's lua_ssl_trusted_certificate
// gives them: files, PEM, PEM in base64, or "system" for those of the system.
// name is that of the setting. It returns nil, which crypto/tls takes for the
// system's, when nothing else is asked for.
func LoadRoots(name string, entries []string) (*x509.CertPool, error) {
	if !slices.ContainsFunc(entries, func(e string) bool { return e != "system" }) {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if slices.Contains(entries, "system") {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("%s: system: %w", name, err)
		}
	}
	for i, e := range entries {
		if e == "system" {
			continue
		}
		text, err := readPEM(e)
		if err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", name, i+1, err)
		}
		if !pool.AppendCertsFromPEM([]byte(text)) {
			return nil, fmt.Errorf("%s, entry %d: holds no certificate in PEM form", name, i+1)
		}
	}
	return pool, nil
}

// readPEM returns the text of an entry that is a path, PEM, or PEM in base64.
// The error names a path only when it is one: anything else may be a key.
func readPEM(entry string) (string, error) {
	if strings.Contains(entry, "-----BEGIN ") {
		return entry, nil
	}
	if decoded, err := base64.StdEncoding.DecodeString(entry); err == nil && strings.Contains(string(decoded), "-----BEGIN ") {
		return string(decoded), nil
	}
	data, err := os.ReadFile(entry)
	if err == nil {
		return string(data), nil
	}
	if strings.HasPrefix(entry, "/") && len(entry) < 256 && !strings.ContainsAny(entry, "=+\n") {
		return "", fmt.Errorf("file %s: %w", entry, errors.Unwrap(err))
	}
	return "", errors.New("neither a file that can be read, nor PEM, nor PEM in base64")
}
