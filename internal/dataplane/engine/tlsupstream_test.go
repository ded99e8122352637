// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// authority is a root with intermediates below it.
type authority struct {
	root string // PEM
	// chain is a leaf for up.test, and the intermediates between it and root.
	chain tls.Certificate
}

func newAuthority(t testing.TB, intermediates int) authority {
	t.Helper()
	key := ecKey(t)
	a := authority{root: selfSigned(t, "root", key.Public(), key)}
	block, _ := pem.Decode([]byte(a.root))
	issuer, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var issued [][]byte
	issue := func(name string, ca bool) *ecdsa.PrivateKey {
		template, own := leafTemplate(name), ecKey(t)
		template.IsCA = ca
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		issued = append([][]byte{der}, issued...)
		if issuer, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		return own
	}
	for i := range intermediates {
		key = issue(fmt.Sprintf("intermediate %d", i), true)
	}
	a.chain = tls.Certificate{PrivateKey: issue("up.test", false)}
	a.chain.Certificate = issued
	return a
}

// tlsUpstream notes what its clients show.
type tlsUpstream struct {
	port string
	mu   sync.Mutex
	// handshakes and resumed count connections, clients are the names on their
	// certificates.
	handshakes, resumed int
	clients             []string
}

func serveChain(t testing.TB, chain tls.Certificate) *tlsUpstream {
	t.Helper()
	u := &tlsUpstream{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ //nolint:gosec // a test server
		Certificates: []tls.Certificate{chain}, ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(cs tls.ConnectionState) error {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.handshakes++
			if cs.DidResume {
				u.resumed++
			}
			for _, c := range cs.PeerCertificates {
				u.clients = append(u.clients, c.Subject.CommonName)
			}
			return nil
		},
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, u.port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return u
}

func (u *tlsUpstream) seen() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	defer func() { u.clients = nil }()
	return strings.Join(u.clients, ",")
}

// Verification follows the service, and the settings where the service says
// nothing; the depth counts intermediates.
func TestUpstreamVerification(t *testing.T) {
	const caID = "11111111-1111-4111-8111-111111111111"
	a := newAuthority(t, 2)
	up := serveChain(t, a.chain)
	trusting := func(s *engine.TLSSettings) { s.Trusted = []string{a.root} }
	for _, c := range []struct {
		name, service string
		settings      func(*engine.TLSSettings)
		status        int
	}{
		{"unset", "", nil, 200},
		{"false", ", tls_verify: false", func(s *engine.TLSSettings) { s.Verify = true }, 200},
		{"true, nobody trusted", ", tls_verify: true", nil, 502},
		{"true, trusted by the service", ", tls_verify: true, ca_certificates: [" + caID + "]", nil, 200},
		{"true, trusted by the settings", ", tls_verify: true", trusting, 200},
		{"true, trusted by nginx's setting", ", tls_verify: true", func(s *engine.TLSSettings) { s.Trusted, s.ProxyTrusted = nil, a.root }, 200},
		{"depth 2", ", tls_verify: true, tls_verify_depth: 2", trusting, 200},
		{"depth 1", ", tls_verify: true, tls_verify_depth: 1", trusting, 502},
		{"depth without verification", ", tls_verify: false, tls_verify_depth: 0", nil, 200},
		{"global", "", func(s *engine.TLSSettings) { s.Verify, s.VerifyDepth = true, 2; trusting(s) }, 200},
		{"global, nobody trusted", "", func(s *engine.TLSSettings) { s.Verify, s.VerifyDepth = true, 2 }, 502},
		{"global, default depth", "", func(s *engine.TLSSettings) { s.Verify = true; trusting(s) }, 502},
		{"global depth, own of the service", ", tls_verify_depth: 5", func(s *engine.TLSSettings) { s.Verify = true; trusting(s) }, 200},
	} {
		config := fmt.Sprintf("ca_certificates: [{id: %s, cert: %q}]\nservices:\n- {name: s, url: \"https://up.test:%s\", retries: 0%s, routes: [{paths: [/]}]}\n", caID, a.root, up.port, c.service)
		r := startRig(t, config, rigOptions{settings: func(s *engine.Settings) {
			if c.settings != nil {
				c.settings(&s.TLS)
			}
		}})
		if got, body := r.get("/"); got.StatusCode != c.status {
			t.Errorf("%s: got %d %q", c.name, got.StatusCode, body)
		}
	}
}

// The client certificate is that of the service, else that of its upstream
// entity, else that of the settings.
func TestUpstreamClientCertificate(t *testing.T) {
	up := serveChain(t, newAuthority(t, 0).chain)
	const ofService, ofUpstream = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
	pair := func(id, name string) string {
		cert, key := keyPair(t, name)
		return fmt.Sprintf("- {id: %s, cert: %q, key: %q}\n", id, cert, key)
	}
	certs := "certificates:\n" + pair(ofService, "of-service") + pair(ofUpstream, "of-upstream")
	own, ownKey := keyPair(t, "of-settings")
	for _, c := range []struct {
		name, service, upstream string
		client                  bool
		want                    string
	}{
		{"none", "", "", false, ""},
		{"settings", "", "", true, "of-settings"},
		{"upstream", "", ", client_certificate: " + ofUpstream, true, "of-upstream"},
		{"service", ", client_certificate: " + ofService, ", client_certificate: " + ofUpstream, true, "of-service"},
	} {
		config := certs + fmt.Sprintf("upstreams:\n- {name: up.test%s, targets: [{target: \"127.0.0.1:%s\"}]}\n", c.upstream, up.port) +
			fmt.Sprintf("services:\n- {name: s, url: \"https://up.test:1\", retries: 0%s, routes: [{paths: [/]}]}\n", c.service)
		r := startRig(t, config, rigOptions{settings: func(s *engine.Settings) {
			s.TLS.Client, s.TLS.ClientCert, s.TLS.ClientCertKey = c.client, own, ownKey
		}})
		if a, body := r.get("/"); a.StatusCode != 200 {
			t.Errorf("%s: got %d %q", c.name, a.StatusCode, body)
		}
		if got := up.seen(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if c.name == "upstream" {
			set, problems := entity.Decode([]byte("_format_version: \"3.0\"\n"+config), r.schemas)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			set.Certificates = set.Certificates[:1]
			rejected := r.Apply(set)
			found := false
			for _, x := range rejected {
				found = found || strings.Contains(x.Error(), "upstream up.test, client_certificate: no usable certificate with id "+ofUpstream)
			}
			if !found {
				t.Errorf("%v", rejected)
			}
			if a, _ := r.get("/"); a.StatusCode == 200 {
				t.Error("served without the certificate that was asked for")
			}
		}
	}
}

// Connections to one upstream resume its sessions, also after a reload, but not
// under other TLS settings.
func TestUpstreamSessionsAreResumed(t *testing.T) {
	up := serveChain(t, newAuthority(t, 0).chain)
	const id = "11111111-1111-4111-8111-111111111111"
	cert, key := keyPair(t, "gateway")
	config := fmt.Sprintf("certificates: [{id: %s, cert: %q, key: %q}]\nservices:\n- {name: s, url: \"https://up.test:%s\", routes: [{paths: [/]}]}\n", id, cert, key, up.port)
	r := startRig(t, config, rigOptions{settings: func(s *engine.Settings) { s.UpstreamKeepalivePoolSize = 0 }})
	visit := func(handshakes, resumed int) {
		t.Helper()
		if a, body := r.get("/"); a.StatusCode != 200 {
			t.Fatalf("got %d %q", a.StatusCode, body)
		}
		up.mu.Lock()
		defer up.mu.Unlock()
		if up.handshakes != handshakes || up.resumed != resumed {
			t.Errorf("%d handshakes, %d resumed; want %d, %d", up.handshakes, up.resumed, handshakes, resumed)
		}
	}
	visit(1, 0)
	visit(2, 1)
	r.apply(config + "consumers: [{username: c}]\n")
	visit(3, 2)
	r.apply(strings.Replace(config, "routes:", "client_certificate: "+id+", routes:", 1))
	visit(4, 2)
	visit(5, 3)
}
