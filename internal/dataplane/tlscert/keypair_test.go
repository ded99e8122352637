// SPDX-License-Identifier: Apache-2.0

package tlscert

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestLoadKeyPairs(t *testing.T) {
	rsaCert, rsaPrivate := issue(t, rsaKey(), "rsa", false)
	ecCert, ecPrivate := issue(t, ecKey(t), "ec", false)
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte(rsaPrivate), 0o600); err != nil {
		t.Fatal(err)
	}
	inBase64 := base64.StdEncoding.EncodeToString([]byte(ecPrivate))
	for name, c := range map[string]struct {
		certs, keys []string
		problem     string
		order       string
	}{
		"none":             {},
		"one":              {certs: []string{rsaCert}, keys: []string{path}, order: "rsa"},
		"two":              {certs: []string{rsaCert, ecCert}, keys: []string{path, inBase64}, order: "ec rsa"},
		"no key":           {certs: []string{rsaCert}, problem: "x_ssl_cert_key: must be set when x_ssl_cert is"},
		"no certificate":   {keys: []string{path}, problem: "x_ssl_cert: must be set when x_ssl_cert_key is"},
		"counts":           {certs: []string{rsaCert, ecCert}, keys: []string{path}, problem: "x_ssl_cert: holds 2 certificates, x_ssl_cert_key 1 keys"},
		"missing file":     {certs: []string{ecCert}, keys: []string{"/nowhere/key.pem"}, problem: "x_ssl_cert_key, entry 1: file /nowhere/key.pem: no such file"},
		"not a key":        {certs: []string{ecCert}, keys: []string{ecCert}, problem: "x_ssl_cert_key, entry 1: not a PEM private key"},
		"other key":        {certs: []string{ecCert}, keys: []string{rsaPrivate}, problem: "x_ssl_cert_key, entry 1: it is not the key of x_ssl_cert"},
		"key for cert":     {certs: []string{ecPrivate}, keys: []string{ecPrivate}, problem: "x_ssl_cert, entry 1: not a PEM certificate"},
		"garbage":          {certs: []string{ecCert, "zzz"}, keys: []string{ecPrivate, ecPrivate}, problem: "x_ssl_cert, entry 2: neither a file"},
		"key, not a path":  {certs: []string{ecCert}, keys: []string{strings.ReplaceAll(inBase64, "L", "%")}, problem: "x_ssl_cert_key, entry 1: neither a file"},
		"broken in chain":  {certs: []string{ecCert + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, keys: []string{ecPrivate}, problem: "certificate 2 of the chain"},
		"encrypted":        {certs: []string{ecCert}, keys: []string{"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}, problem: "encrypted; store it without a passphrase"},
		"broken key block": {certs: []string{ecCert}, keys: []string{"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, problem: "x_ssl_cert_key, entry 1"},
	} {
		t.Run(name, func(t *testing.T) {
			loaded, err := LoadKeyPairs("x_", c.certs, c.keys)
			if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
				t.Errorf("got %v, want %q", err, c.problem)
			}
			if err != nil && (strings.Contains(err.Error(), "PRIVATE KEY-----\n") || len(err.Error()) > 250) {
				t.Errorf("the error may hold a key: %v", err)
			}
			var order []string
			for _, l := range loaded {
				order = append(order, l.Leaf.Subject.CommonName)
			}
			if got := strings.Join(order, " "); got != c.order {
				t.Errorf("got %q, want %q", got, c.order)
			}
		})
	}
}

// Problems name the field, and never hold the key.
func TestProblemFields(t *testing.T) {
	cert, key := issue(t, ecKey(t), "a", false)
	_, otherKey := issue(t, ecKey(t), "b", false)
	rsaCert, rsaPrivate := issue(t, rsaKey(), "r", false)
	for field, c := range map[string]entity.Certificate{
		"cert":     {Cert: key, Key: key},
		"key":      {Cert: cert, Key: otherKey},
		"cert_alt": {Cert: cert, Key: key, CertAlt: "x", KeyAlt: rsaPrivate},
		"key_alt":  {Cert: cert, Key: key, CertAlt: rsaCert, KeyAlt: key},
	} {
		c.ID = "the-id"
		_, problems := NewSet(nil, []*entity.Certificate{&c}, nil)
		if len(problems) != 1 || problems[0].Field != field {
			t.Errorf("%s: %v", field, problems)
			continue
		}
		text := problems[0].String()
		if !strings.Contains(text, "the-id") || strings.Contains(text, strings.Split(key, "\n")[1]) {
			t.Errorf("%s", text)
		}
	}
}

func TestLoadRoots(t *testing.T) {
	ca, _ := issue(t, ecKey(t), "ca", true)
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte(ca+ca), 0o600); err != nil {
		t.Fatal(err)
	}
	if pool, err := LoadRoots("n", []string{"system"}); pool != nil || err != nil {
		t.Errorf("system: %v, %v", pool, err)
	}
	if pool, err := LoadRoots("n", []string{path}); err != nil || len(pool.Subjects()) != 1 { //nolint:staticcheck // no system pool here
		t.Errorf("a file: %v", err)
	}
	if pool, err := LoadRoots("n", []string{"system", ca}); pool == nil || err != nil {
		t.Errorf("both: %v", err)
	}
	for _, bad := range []string{"/nowhere", "zzz", "-----BEGIN nothing"} {
		if _, err := LoadRoots("lua_ssl_trusted_certificate", []string{ca, bad}); err == nil || !strings.HasPrefix(err.Error(), "lua_ssl_trusted_certificate, entry 2: ") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestNames(t *testing.T) {
	n := Names{}
	if n.Has("a.test") || n.Has("") {
		t.Error("the empty set has names")
	}
	for _, name := range []string{"One.test", "*.wild.test", "right.*"} {
		n = n.With(name, 1)
	}
	for name, want := range map[string]bool{
		"one.test": true, "ONE.test.": true, "a.Wild.test": true, "a.b.wild.test": false, "right.org": true, "right.co.uk": false, "": false, "two.test": false, ".": false,
	} {
		if n.Has(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
	n = n.With("*", 1)
	if !n.Has("two.test") || !n.Has("") {
		t.Error("* does not stand for all")
	}
}
