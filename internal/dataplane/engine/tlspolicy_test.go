// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/dataplane/tlscert"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// sClient runs openssl s_client and returns what it says of the connection.
func sClient(t testing.TB, address string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", address, "-servername", "a.test"}, args...)...)
	c.Env = []string{"OPENSSL_CONF=/dev/null"}
	c.Stdin = strings.NewReader("")
	out, err := c.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("openssl s_client: %v", err)
	}
	return string(out)
}

// rsaPair is an RSA certificate for a name, and its key. The key is made once.
func rsaPair(t testing.TB, name string) (certificate, key string) {
	t.Helper()
	k := rsaKeyOnce()
	cert := selfSigned(t, name, k.Public(), k)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

var rsaKeyOnce = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// What real clients get under each policy: the suite that openssl s_client
// names, or none.
func TestPoliciesWithOpenSSL(t *testing.T) {
	off := false
	cert, key := keyPair(t, "ec")
	rsaCert, rsaPrivate := rsaPair(t, "rsa")
	type policy struct {
		name string
		tlscert.Policy
	}
	policies := []policy{
		{"modern", tlscert.Policy{CipherSuite: "modern"}},
		{"intermediate", tlscert.Policy{CipherSuite: "intermediate"}},
		{"old", tlscert.Policy{CipherSuite: "old"}},
		{"custom", tlscert.Policy{CipherSuite: "custom", Protocols: "TLSv1.2", Ciphers: "ECDHE+AES256+AESGCM:!aECDSA", PreferServerCiphers: &off}},
	}
	clients := []struct {
		name string
		args []string
		want map[string]string // by policy
	}{
		{"1.3", []string{"-tls1_3"}, map[string]string{"modern": "TLS_AES_", "intermediate": "TLS_AES_", "old": "TLS_AES_"}},
		{"1.3 ChaCha20", []string{"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, map[string]string{"modern": "TLS_CHACHA20", "intermediate": "TLS_CHACHA20", "old": "TLS_CHACHA20"}},
		{"1.2 ECDSA", []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, map[string]string{"intermediate": "ECDHE-ECDSA-AES128-GCM-SHA256", "old": "ECDHE-ECDSA-AES128-GCM-SHA256"}},
		{"1.2 RSA", []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"}, map[string]string{
			"intermediate": "ECDHE-RSA-AES256-GCM-SHA384", "old": "ECDHE-RSA-AES256-GCM-SHA384", "custom": "ECDHE-RSA-AES256-GCM-SHA384"}},
		{"1.2 DHE", []string{"-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"}, nil},
		{"1.2 CBC", []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"}, map[string]string{"old": "ECDHE-RSA-AES128-SHA"}},
		{"1.2 without forward secrecy", []string{"-tls1_2", "-cipher", "AES128-GCM-SHA256"}, map[string]string{"old": "AES128-GCM-SHA256"}},
		{"1.1", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, map[string]string{"old": "ECDHE-"}},
		{"1.0", []string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, map[string]string{"old": "ECDHE-"}},
		{"P-256", []string{"-curves", "P-256"}, map[string]string{"modern": "TLS_AES_", "intermediate": "TLS_AES_", "old": "TLS_AES_", "custom": "ECDHE-RSA-AES256"}},
		{"P-384", []string{"-curves", "P-384"}, map[string]string{"modern": "TLS_AES_", "intermediate": "TLS_AES_", "old": "TLS_AES_", "custom": "ECDHE-RSA-AES256"}},
		{"X25519", []string{"-curves", "X25519"}, map[string]string{"modern": "TLS_AES_", "intermediate": "TLS_AES_", "old": "TLS_AES_", "custom": "ECDHE-RSA-AES256"}},
		{"X448", []string{"-tls1_3", "-curves", "X448"}, nil},
	}
	for _, p := range policies {
		r := startRig(t, "", rigOptions{settings: func(s *engine.Settings) {
			s.TLS.Policy, s.TLS.Cert, s.TLS.CertKey = p.Policy, []string{rsaCert, cert}, []string{rsaPrivate, key}
		}})
		for _, c := range clients {
			want := c.want[p.name]
			if want == "" {
				want = "(NONE)"
			}
			if out := sClient(t, r.secure, c.args...); !strings.Contains(out, "Cipher is "+want) {
				t.Errorf("%s, %s: want %s, got\n%s", p.name, c.name, want, out)
			}
		}
		if warned := strings.Contains(r.log.String(), "ssl_prefer_server_ciphers"); warned != (p.PreferServerCiphers != nil) {
			t.Errorf("%s: log %q", p.name, r.log.String())
		}
	}
}

// Of two certificates, default ones as well as those of an SNI, the client gets
// the one that it can check, ECDSA if it can check both.
func TestKeyTypesWithOpenSSL(t *testing.T) {
	cert, key := keyPair(t, "ec")
	rsaCert, rsaPrivate := rsaPair(t, "rsa")
	entities := `certificates:
- {cert: ` + quoted(rsaCert) + `, key: ` + quoted(rsaPrivate) + `, cert_alt: ` + quoted(cert) + `, key_alt: ` + quoted(key) + `, snis: [{name: a.test}]}
`
	for name, r := range map[string]*rig{
		"entity": startRig(t, entities, rigOptions{}),
		"default": startRig(t, "", rigOptions{settings: func(s *engine.Settings) {
			s.TLS.Cert, s.TLS.CertKey = []string{rsaCert, cert}, []string{rsaPrivate, key}
		}}),
		"self-signed": startRig(t, "", rigOptions{}),
	} {
		for want, args := range map[string][]string{
			"Peer signature type: RSA-PSS": {"-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"},
			"Peer signature type: ECDSA":   {"-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:ECDSA+SHA256"},
			"Cipher is ECDHE-RSA-":         {"-tls1_2", "-cipher", "aRSA"},
			"Cipher is ECDHE-ECDSA-":       {"-tls1_2"},
		} {
			if out := sClient(t, r.secure, args...); !strings.Contains(out, want) {
				t.Errorf("%s, %q: want %q, got\n%s", name, args, want, out)
			}
		}
	}
}

func quoted(pem string) string { return `"` + strings.ReplaceAll(pem, "\n", `\n`) + `"` }

// selfSigned is a certificate for a name as PEM, signed by its own key.
func selfSigned(t testing.TB, name string, public, private any) string {
	t.Helper()
	template := leafTemplate(name)
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Settings that cannot be used end the start, and name themselves.
func TestTLSSettingsProblems(t *testing.T) {
	cert, key := keyPair(t, "a")
	_, otherKey := keyPair(t, "b")
	for want, change := range map[string]func(*engine.TLSSettings){
		"ssl_cert_key: must be set when ssl_cert is": func(s *engine.TLSSettings) { s.Cert = []string{cert} },
		"ssl_cert_key, entry 1: it is not the key":   func(s *engine.TLSSettings) { s.Cert, s.CertKey = []string{cert}, []string{otherKey} },
		"client_ssl_cert_key: must be set":           func(s *engine.TLSSettings) { s.Client, s.ClientCert = true, cert },
		"lua_ssl_trusted_certificate, entry 2":       func(s *engine.TLSSettings) { s.Trusted = []string{"system", "/nowhere"} },
		"nginx_proxy_proxy_ssl_trusted_certificate":  func(s *engine.TLSSettings) { s.ProxyTrusted = "/nowhere" },
		"ssl_protocols": func(s *engine.TLSSettings) { s.Policy = tlscert.Policy{CipherSuite: "custom", Protocols: "SSLv3"} },
		"ssl_ciphers":   func(s *engine.TLSSettings) { s.Policy = tlscert.Policy{CipherSuite: "custom", Ciphers: "DHE"} },
	} {
		settings := engine.DefaultSettings()
		change(&settings.TLS)
		_, err := engine.New(engine.Options{Settings: settings, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), strings.Split(key, "\n")[1]) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestReadTLSSettings(t *testing.T) {
	for _, c := range []struct {
		name, value, problem string
		check                func(*engine.TLSSettings) bool
	}{
		{"KONG_SSL_CIPHER_SUITE", "fips", "fips is not supported", nil},
		{"KONG_SSL_CIPHER_SUITE", "custom", "", func(s *engine.TLSSettings) bool { return s.Policy.CipherSuite == "custom" }},
		{"KONG_SSL_PREFER_SERVER_CIPHERS", "off", "", func(s *engine.TLSSettings) bool { return !*s.Policy.PreferServerCiphers }},
		{"KONG_SSL_CERT", "/a.pem, /b.pem", "", func(s *engine.TLSSettings) bool { return len(s.Cert) == 2 && s.Cert[1] == "/b.pem" }},
		{"KONG_SSL_SESSION_TIMEOUT", "2d", "", func(s *engine.TLSSettings) bool { return s.SessionTimeout == 48*time.Hour }},
		{"KONG_SSL_SESSION_TIMEOUT", "10m", "", func(s *engine.TLSSettings) bool { return s.SessionTimeout == 10*time.Minute }},
		{"KONG_SSL_SESSION_TIMEOUT", "8d", "RFC 8446", nil},
		{"KONG_SSL_SESSION_TIMEOUT", "0", "too short", nil},
		{"KONG_SSL_SESSION_TIMEOUT", "xd", "not a time", nil},
		{"KONG_SSL_SESSION_TICKETS", "off", "", func(s *engine.TLSSettings) bool { return !s.SessionTickets }},
		{"KONG_CLIENT_SSL", "maybe", "neither on nor off", nil},
		{"KONG_LUA_SSL_TRUSTED_CERTIFICATE", "system,/ca.pem", "", func(s *engine.TLSSettings) bool { return len(s.Trusted) == 2 }},
		{"KONG_NGINX_PROXY_PROXY_SSL_VERIFY_DEPTH", "-1", "not a count", nil},
		{"KONG_NGINX_PROXY_PROXY_SSL_VERIFY", "on", "", func(s *engine.TLSSettings) bool { return s.Verify }},
	} {
		s, err := engine.ReadSettings(func(n string) (string, bool) { return c.value, n == c.name })
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.name+": ") {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
		if err == nil && !c.check(&s.TLS) || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s=%s: %v, %+v", c.name, c.value, err, s.TLS)
		}
	}
	r := startRig(t, "", rigOptions{settings: func(s *engine.Settings) {
		*s, _ = engine.ReadSettings(func(n string) (string, bool) { return "2048", strings.HasPrefix(n, "KONG_SSL_DHPARAM") })
	}})
	if log := r.log.String(); !strings.Contains(log, "ssl_dhparam: has no effect") {
		t.Errorf("log %q", log)
	}
}

func TestALPN(t *testing.T) {
	for _, c := range []struct {
		http1 bool
		offer []string
		want  string // what is agreed on; "-" for a refused handshake
	}{
		{false, []string{"h2", "http/1.1"}, "h2"},
		{false, []string{"http/1.1"}, "http/1.1"},
		{false, nil, ""},
		{false, []string{"h3"}, "-"},
		{true, []string{"h2", "http/1.1"}, "http/1.1"},
		{true, []string{"h2"}, "-"},
		{true, nil, ""},
	} {
		r := startRig(t, "", rigOptions{http1: c.http1})
		got := "-"
		if conn, err := tls.Dial("tcp", r.secure, &tls.Config{InsecureSkipVerify: true, NextProtos: c.offer}); err == nil { //nolint:gosec // its own certificate
			got = conn.ConnectionState().NegotiatedProtocol
			_ = conn.Close()
		}
		if got != c.want {
			t.Errorf("http1 %t, offer %q: got %q, want %q", c.http1, c.offer, got, c.want)
		}
	}
}

// A certificate that cannot be used costs itself, and says which field.
func TestBadCertificatesAreNamed(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	r := startRig(t, service(up.URL, ""), rigOptions{})
	cert, _ := keyPair(t, "bad.test")
	_, otherKey := keyPair(t, "other")
	const id = "11111111-1111-4111-8111-111111111111"
	bad := &entity.Set{Certificates: []*entity.Certificate{{ID: id, Cert: cert, Key: otherKey}}}
	good, problems := entity.Decode([]byte("_format_version: \"3.0\"\ncertificates:\n"+certificate(t, "good", "good.test")), r.schemas)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	bad.Certificates, bad.SNIs = append(bad.Certificates, good.Certificates...), good.SNIs
	rejected := r.Apply(bad)
	if len(rejected) != 1 || rejected[0].Key.ID != id || rejected[0].Field != "key" || strings.Contains(rejected[0].Error(), strings.Split(otherKey, "\n")[1]) {
		t.Errorf("%v", rejected)
	}
	if got := shownTo(t, r.secure, "good.test"); got != "good" {
		t.Errorf("got %q", got)
	}
}

// A client that trickles its handshake, or stops in the middle of it, is cut
// off; meanwhile others are served.
func TestSlowHandshakesEnd(t *testing.T) {
	r := startRig(t, "", rigOptions{settings: func(s *engine.Settings) { s.ClientHeaderTimeout = 300 * time.Millisecond }})
	const many = 24 // more than handshakes may compute at once
	var gone sync.WaitGroup
	for i := range many {
		c, err := net.Dial("tcp", r.secure)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		gone.Go(func() {
			trickle := &slowly{Conn: c, whole: i%2 == 0}
			if err := tls.Client(trickle, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil { //nolint:gosec // a test
				t.Error("the handshake went on")
			}
		})
	}
	for range 4 {
		_ = secured(t, r.secure, "a.test").Close()
	}
	gone.Wait()
	until(t, "the connections to end", func() bool { return r.Connections() == 0 })
}

// slowly is a client that sends its hello whole and then nothing, or a byte of
// it at a time until it is cut off.
type slowly struct {
	net.Conn
	whole, said bool
}

func (s *slowly) Write(p []byte) (int, error) {
	if s.whole {
		if s.said {
			// Nothing after the hello: wait until the other side ends it.
			_, _ = io.Copy(io.Discard, s.Conn)
			return 0, io.ErrClosedPipe
		}
		s.said = true
		return s.Conn.Write(p)
	}
	for i := range p {
		if _, err := s.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		if err := s.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			return i, err
		}
		if _, err := s.Read(make([]byte, 1)); err != nil && !isDeadline(err) {
			return i, err
		}
	}
	return len(p), nil
}

func isDeadline(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
