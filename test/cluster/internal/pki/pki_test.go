// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

var identities = map[string]Identity{
	"server": {CommonName: "api", Server: true, DNSNames: []string{"kubernetes"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}},
	"admin":  {CommonName: "admin", Organizations: []string{"system:masters"}, Client: true},
}

func TestEnsureIssuesWhatIsAsked(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	if err := Ensure(dir, identities, now); err != nil {
		t.Fatal(err)
	}
	ca, err := Read(dir, CAName)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Cert)
	tests := []struct {
		name  string
		usage x509.ExtKeyUsage
		host  string
		ok    bool
	}{
		{"server", x509.ExtKeyUsageServerAuth, "127.0.0.1", true},
		{"server", x509.ExtKeyUsageServerAuth, "kubernetes", true},
		{"server", x509.ExtKeyUsageServerAuth, "example.com", false},
		{"server", x509.ExtKeyUsageClientAuth, "", false},
		{"admin", x509.ExtKeyUsageClientAuth, "", true},
		{"admin", x509.ExtKeyUsageServerAuth, "", false},
	}
	for _, tt := range tests {
		pair, err := Read(dir, tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		cert, err := ParseCertificate(pair.Cert)
		if err != nil {
			t.Fatal(err)
		}
		_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: tt.host, KeyUsages: []x509.ExtKeyUsage{tt.usage}, CurrentTime: now})
		if (err == nil) != tt.ok {
			t.Errorf("%s for %q, usage %d: %v, want ok %t", tt.name, tt.host, tt.usage, err, tt.ok)
		}
	}
	info, err := os.Stat(KeyFile(dir, CAName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("CA key has mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestEnsureIsIdempotent(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	read := func() map[string]string {
		out := map[string]string{}
		paths, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.Base(path)] = string(data)
		}
		return out
	}
	ensure := func(at time.Time) map[string]string {
		t.Helper()
		if err := Ensure(dir, identities, at); err != nil {
			t.Fatal(err)
		}
		return read()
	}
	first := ensure(now)
	for name, content := range ensure(now.Add(time.Hour)) {
		if first[name] != content {
			t.Errorf("%s changed although it was there", name)
		}
	}
	// An interruption left a key without its certificate.
	if err := os.Remove(CertFile(dir, "admin")); err != nil {
		t.Fatal(err)
	}
	repaired := ensure(now)
	if repaired["server.crt"] != first["server.crt"] {
		t.Error("repairing one pair changed another")
	}
	if _, err := tls.X509KeyPair([]byte(repaired["admin.crt"]), []byte(repaired["admin.key"])); err != nil {
		t.Errorf("repaired pair: %v", err)
	}
	for name, content := range ensure(now.Add(Lifetime)) {
		if first[name] == content {
			t.Errorf("%s was kept although its authority is about to expire", name)
		}
	}
}

func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	if err := Ensure(dir, identities, time.Now()); err != nil {
		t.Fatal(err)
	}
	pair, err := Read(dir, "admin")
	if err != nil {
		t.Fatal(err)
	}
	data, err := Kubeconfig("local", "https://127.0.0.1:1", pair.Cert, pair)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:1" || string(config.KeyData) != string(pair.Key) {
		t.Errorf("kubeconfig does not say what it was given: %s", config.Host)
	}
}
