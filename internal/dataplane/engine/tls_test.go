// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// keyPair is a certificate for a name, signed by itself.
func keyPair(t testing.TB, name string) (certificate, key string) {
	t.Helper()
	k := ecKey(t)
	raw, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return selfSigned(t, name, &k.PublicKey, k), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}))
}

func leafTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
}

func certificate(t testing.TB, name, sni string) string {
	cert, key := keyPair(t, name)
	return fmt.Sprintf("- {cert: %q, key: %q, snis: [{name: %q}]}\n", cert, key, sni)
}

func secured(t testing.TB, address, sni string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: sni}) //nolint:gosec // its own certificate
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shownTo(t testing.TB, address, sni string) string {
	c := secured(t, address, sni)
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// Certificates follow the configuration; connections do not end with them.
func TestCertificatesAreReloaded(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	r := startRig(t, service(up.URL, "certificates:\n"+certificate(t, "one", "one.test")+certificate(t, "wild", "*.wild.test")), rigOptions{})
	for sni, want := range map[string]string{"one.test": "one", "a.wild.test": "wild", "other.test": "localhost"} {
		if got := shownTo(t, r.secure, sni); got != want {
			t.Errorf("%s: got %q, want %q", sni, got, want)
		}
	}
	open := wrap(t, secured(t, r.secure, "one.test"))
	for range 2 {
		if a, body := open.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 200 || body != "ok" {
			t.Fatalf("got %d %q", a.StatusCode, body)
		}
		r.apply(service(up.URL, "certificates:\n"+certificate(t, "two", "one.test")))
	}
	if got := shownTo(t, r.secure, "one.test"); got != "two" {
		t.Errorf("after the reload: got %q", got)
	}
	if _, err := tls.Dial("tcp", r.secure, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil { //nolint:gosec // on purpose
		t.Error("TLS 1.1 was accepted")
	}
}

// Over TLS an idle client that leaves, a pipelined request and a drain work as
// over plaintext.
func TestTLSConnections(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s", r.Header.Get("X-Forwarded-Proto"), body)
	})
	r := startRig(t, service(up.URL, ""), rigOptions{})
	w := wrap(t, secured(t, r.secure, "h.test"))
	w.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000))
	if _, body := w.answer("GET"); body != "https " {
		t.Errorf("got %q", body)
	}
	if _, body := w.answer("POST"); len(body) != 100006 {
		t.Errorf("got %d bytes", len(body))
	}
	silent := dialRig(t, r.secure)
	done := make(chan error, 1)
	go func() { done <- r.drain(patience) }()
	w.ended()
	silent.ended()
	if err := <-done; err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestUpstreamTLS(t *testing.T) {
	cert, key := keyPair(t, "up.test")
	otherCert, _ := keyPair(t, "up.test")
	laterCert, _ := keyPair(t, "up.test")
	clientCert, clientKey := keyPair(t, "gateway")
	var mu sync.Mutex
	var names, clients []string
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, r.TLS.ServerName)
		if len(r.TLS.PeerCertificates) > 0 {
			clients = append(clients, r.TLS.PeerCertificates[0].Subject.CommonName)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	up.Config.ErrorLog = log.New(io.Discard, "", 0)
	up.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert} //nolint:gosec // a test server
	up.StartTLS()
	t.Cleanup(up.Close)
	_, port, _ := net.SplitHostPort(up.Listener.Addr().String())
	const caID, otherID, clientID = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
	config := fmt.Sprintf(`ca_certificates:
- {id: %q, cert: %q}
- {id: %q, cert: %q}
certificates:
- {id: %q, cert: %q, key: %q}
services:
- {name: loose, url: "https://up.test:%[8]s", retries: 0, routes: [{name: loose, paths: [/loose]}]}
- {name: strict, url: "https://up.test:%[8]s", retries: 0, tls_verify: true, ca_certificates: [%[1]q], client_certificate: %[5]q, routes: [{name: strict, paths: [/strict]}, {name: preserve, paths: [/preserve], preserve_host: true}]}
- {name: wrong, url: "https://up.test:%[8]s", retries: 0, tls_verify: true, ca_certificates: [%[3]q], routes: [{name: wrong, paths: [/wrong]}]}
`, caID, cert, otherID, otherCert, clientID, clientCert, clientKey, port)
	r := startRig(t, config, rigOptions{})
	for _, c := range []struct {
		path   string
		status int
		sni    string
	}{
		{"/loose", 200, "up.test"}, {"/strict", 200, "up.test"}, {"/wrong", 502, ""},
		// The client's Host is what is asked for, and verified.
		{"/preserve", 502, ""},
	} {
		names = nil
		a, body := r.get(c.path)
		if a.StatusCode != c.status || c.sni != "" && (len(names) != 1 || names[0] != c.sni) {
			t.Errorf("%s: got %d %q, server names %q", c.path, a.StatusCode, body, names)
		}
	}
	if len(clients) != 1 || clients[0] != "gateway" {
		t.Errorf("client certificates %q", clients)
	}
	// The CA of the same id changes: connections made under the old one are
	// not used any more.
	r.apply(strings.Replace(config, fmt.Sprintf("{id: %q, cert: %q}", caID, cert), fmt.Sprintf("{id: %q, cert: %q}", caID, laterCert), 1))
	if a, _ := r.get("/strict"); a.StatusCode != 502 {
		t.Errorf("after the CA was replaced: got %d", a.StatusCode)
	}
}
