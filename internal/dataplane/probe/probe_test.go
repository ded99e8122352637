// SPDX-License-Identifier: Apache-2.0

package probe_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/balancer"
	"github.com/kong/kong-istio-gateway/internal/dataplane/probe"
)

func address(t *testing.T, url string) netip.AddrPort {
	t.Helper()
	_, hostport, _ := strings.Cut(url, "://")
	return netip.MustParseAddrPort(hostport)
}

func TestProbe(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host != "up.test" || r.Header.Get("X-Probe") != "1" || !r.Close:
			w.WriteHeader(http.StatusTeapot)
		case r.Header["User-Agent"] != nil && r.URL.Path != "/agent", r.URL.Path == "/agent" && r.UserAgent() != "probe":
			w.WriteHeader(http.StatusTeapot)
		case r.URL.RequestURI() == "/agent":
		case r.URL.RequestURI() == "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case r.URL.RequestURI() != "/health?deep=1":
			w.WriteHeader(http.StatusNotFound)
		}
	})
	plain, secure := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	defer plain.Close()
	defer secure.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	nobody := httptest.NewServer(answer)
	nobody.Close()
	for _, c := range []struct {
		name, url, kind, path string
		verify                bool
		status                int
		fails                 bool
	}{
		{name: "plain", url: plain.URL, kind: "http", path: "/health?deep=1", status: 200},
		{name: "another path", url: plain.URL, kind: "http", path: "/", status: 404},
		{name: "a redirect is an answer", url: plain.URL, kind: "http", path: "/moved", status: 302},
		{name: "User-Agent", url: plain.URL, kind: "http", path: "/agent", status: 200},
		{name: "TLS", url: secure.URL, kind: "https", path: "/health?deep=1", status: 200},
		{name: "TLS, verified", url: secure.URL, kind: "https", path: "/", verify: true, fails: true},
		{name: "plain text to TLS", url: secure.URL, kind: "http", path: "/", status: 400},
		{name: "connect", url: plain.URL, kind: "tcp"},
		{name: "connect to nobody", url: nobody.URL, kind: "tcp", fails: true},
		{name: "no answer", url: "http://" + silent.Addr().String(), kind: "http", path: "/", fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			if c.name != "no answer" {
				ctx = t.Context()
			}
			defer cancel()
			headers := map[string][]string{"x-probe": {"1"}}
			if c.path == "/agent" {
				headers["user-agent"] = []string{"probe"}
			}
			status, err := probe.New(&net.Dialer{})(ctx, &balancer.Question{
				Addr: address(t, c.url), Type: c.kind, Host: "up.test", Path: c.path, Headers: headers,
				ServerName: "up.test", Verify: c.verify,
			})
			if status != c.status || (err != nil) != c.fails {
				t.Errorf("got %d, %v", status, err)
			}
		})
	}
}

func TestProbeShowsItsCertificate(t *testing.T) {
	var names []string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		names = append(names, r.TLS.PeerCertificates[0].DNSNames...)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	q := &balancer.Question{Addr: address(t, s.URL), Type: "https", Host: "up.test", Path: "/", ServerName: "up.test"}
	if _, err := probe.New(&net.Dialer{})(t.Context(), q); err == nil {
		t.Error("without a certificate it is let in")
	}
	q.Certificate = &s.TLS.Certificates[0]
	if status, err := probe.New(&net.Dialer{})(t.Context(), q); err != nil || status != http.StatusOK || len(names) == 0 {
		t.Errorf("%d, %v, names %v", status, err, names)
	}
}
