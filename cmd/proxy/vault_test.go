// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/asynctest"
	"github.com/kong/kong-istio-gateway/internal/dataplane/vault"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

// serverPair writes a certificate and its key where a vault finds them.
func serverPair(t *testing.T, dir, name string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"a.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "tls.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

// Secrets that are exchanged in a mounted directory reach a plugin and a
// listener that run, and nothing that is shown or logged has them.
func TestSecretsAreFollowed(t *testing.T) {
	const first, second = "first-secret-word", "second-secret-word"
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "logs", "word"), first+"\n")
	serverPair(t, filepath.Join(root, "tls"), "one")
	var word atomic.Pointer[string]
	logs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got := r.Header.Get("X-Word")
		word.Store(&got)
	}))
	defer logs.Close()
	config := filepath.Join(t.TempDir(), "kong.yml")
	writeFile(t, config, `_format_version: "3.0"
vaults:
- {name: file, prefix: mounted, config: {directory: logs, ttl: 0.05}}
services:
- name: s
  host: 127.0.0.1
  port: 1
  routes: [{name: r, paths: [/]}]
plugins:
- {name: request-termination, config: {status_code: 200, message: fine}}
- name: http-log
  config:
    http_endpoint: `+logs.URL+`
    headers: {X-Word: "{vault://mounted/word}"}
certificates:
- cert: "{vault://file/tls/tls.crt?ttl=0.05}"
  key: "{vault://file/tls/tls.key?ttl=0.05}"
  snis: [{name: a.test}]
`)
	o, err := parseOptions([]string{"--declarative-config", config, "--proxy-listen", "127.0.0.1:0, 127.0.0.1:0 ssl", "--status-listen", "off"},
		func(name string) (string, bool) {
			value, ok := map[string]string{"KONG_VAULT_FILE_ROOT": root}[name]
			return value, ok
		})
	if err != nil {
		t.Fatal(err)
	}
	a := startWith(t, o)
	shows := func(want string) func() bool {
		return func() bool {
			a.get()
			got := word.Load()
			return got != nil && *got == want
		}
	}
	certificate := func(want string) func() bool {
		return func() bool {
			dialer := tls.Dialer{Config: &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}} //nolint:gosec // it is looked at
			c, err := dialer.DialContext(t.Context(), "tcp", a.engine.Addresses()[1].String())
			if err != nil {
				return false
			}
			defer func() { _ = c.Close() }()
			return c.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName == want
		}
	}
	until(t, "the first word", shows(first))
	until(t, "the first certificate", certificate("one"))
	writeFile(t, filepath.Join(root, "logs", "word"), second+"\n")
	until(t, "the second word", shows(second))
	serverPair(t, filepath.Join(root, "tls"), "two")
	until(t, "the second certificate", certificate("two"))
	// A secret that is away leaves the last one at work.
	if err := os.Remove(filepath.Join(root, "logs", "word")); err != nil {
		t.Fatal(err)
	}
	until(t, "a warning", func() bool { return strings.Contains(a.logged.String(), "secrets cannot be refreshed") })
	if !shows(second)() {
		until(t, "the last word", shows(second))
	}
	if log := a.logged.String(); strings.Contains(log, first) || strings.Contains(log, second) || strings.Contains(log, "BEGIN") {
		t.Errorf("the log shows a secret: %s", log)
	}
}

// A file whose references lead nowhere is refused: by its text alone where that
// can be told, else when it is loaded.
func TestReferencesThatLeadNowhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kong.yml")
	writeFile(t, path, `_format_version: "3.0"
plugins:
- name: http-log
  config:
    http_endpoint: http://a.test
    headers:
      X-Word: "{vault://env/surely-not-set}"
`)
	var out, errs strings.Builder
	if err := configCommand([]string{"check", path}, &out, &errs); err != nil {
		t.Errorf("check reads no secrets: %v %s", err, errs.String())
	}
	o, err := parseOptions([]string{"--declarative-config", path, "--proxy-listen", "off"}, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	var log asynctest.Log
	p, err := newProcess(o, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f := p.source.(*file)
	f.reload(true)
	want := path + `:7: plugins[0] 'http-log': config.headers.X-Word: {vault://env/surely-not-set} cannot be resolved: the environment variable SURELY_NOT_SET is not set in the proxy`
	if len(f.problems) != 1 || f.problems[0] != want {
		t.Errorf("problems %q", f.problems)
	}
}

// With a control plane a plugin sees secrets of its own namespace, and what it
// may not see is told with the reference alone.
func TestSecretsOfAnotherNamespace(t *testing.T) {
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "theirs", "word"), "their-secret-word")
	writeFile(t, filepath.Join(root, "mine", "word"), "my-secret-word")
	path := filepath.Join(t.TempDir(), "kong.yml")
	writeFile(t, path, "_format_version: \"3.0\"\n")
	o, err := parseOptions([]string{"--declarative-config", path, "--proxy-listen", "off"}, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	o.vault = vault.Settings{Root: root, Interval: time.Minute, Isolation: true}
	var log asynctest.Log
	p, err := newProcess(o, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	plugin := func(reference string) entity.Delta {
		return entity.Delta{Put: []entity.Entity{&entity.Plugin{
			ID: entity.NewID("plugins", "p"), Name: "http-log", Tags: []string{"k8s-namespace:mine", "k8s-kind:KongPlugin"},
			Config: map[string]any{"http_endpoint": "http://a.test", "headers": map[string]any{"X-Word": reference}},
		}}}
	}
	if rejected := p.gateway.Update(plugin("{vault://file/word}")); len(rejected) > 0 {
		t.Errorf("its own secret: %v", rejected)
	}
	for _, reference := range []string{
		"{vault://file/theirs/word}", "{vault://file/../theirs/word}", "{vault://file/%2e%2e%2ftheirs%2fword}",
		"{vault://file/word?directory=../theirs}", "{vault://file/word?directory=/theirs}",
	} {
		rejected := p.gateway.Update(plugin(reference))
		if len(rejected) != 1 || rejected[0].Field != "config.headers.X-Word" || !strings.Contains(rejected[0].Reason, reference) ||
			strings.Contains(rejected[0].Reason, "their-secret") {
			t.Errorf("%s: %v", reference, rejected)
		}
	}
	if rejected := p.gateway.Update(plugin("{vault://file/word}")); len(rejected) > 0 {
		t.Errorf("its own secret again: %v", rejected)
	}
}

// What cannot run for lack of a secret is told the control plane, and told anew
// when the secret comes: namespaces are kept apart there by default.
func TestSecretsOfAFleet(t *testing.T) {
	root := t.TempDir()
	o, err := parseOptions([]string{
		"--control-plane", "127.0.0.1:1", "--gateway", "ns/edge", "--token-file", filepath.Join(root, "none"), "--control-plane-ca-dir", root, "--proxy-listen", "off",
	}, func(name string) (string, bool) {
		value, ok := map[string]string{"KONG_VAULT_FILE_ROOT": root}[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	var log asynctest.Log
	p, err := newProcess(o, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s := p.source.(*stream)
	s.applyDelta(entity.Delta{Put: []entity.Entity{
		&entity.Vault{ID: entity.NewID("vaults", "v"), Name: "file", Prefix: "mounted", Config: map[string]any{"neg_ttl": 0.1}},
		&entity.Plugin{
			ID: entity.NewID("plugins", "p"), Name: "http-log", Tags: []string{"k8s-namespace:mine", "k8s-kind:KongPlugin"},
			Config: map[string]any{"http_endpoint": "http://a.test", "headers": map[string]any{"X-Word": "{vault://mounted/word}"}},
		},
	}}, false)
	rejected := s.rejections()
	if len(rejected) != 1 || rejected[0].Field != "config.headers.X-Word" || !strings.Contains(rejected[0].Reason, "the file mine/word below "+root) {
		t.Fatalf("rejected %+v", rejected)
	}
	writeFile(t, filepath.Join(root, "word"), "everybody-s-word")
	writeFile(t, filepath.Join(root, "mine", "word"), "my-secret-word")
	until(t, "the secret", func() bool { return len(s.rejections()) == 0 })
	if strings.Contains(log.String(), "my-secret") || !strings.Contains(log.String(), "{vault://mounted/word}") {
		t.Errorf("log %s", log.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), reloadWait)
	defer cancel()
	if err := p.gateway.Drain(ctx); err != nil {
		t.Error(err)
	}
}
