// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// sessions is a client that keeps its sessions.
type sessions struct {
	t      testing.TB
	config *tls.Config
}

func newSessions(t testing.TB, version uint16) *sessions {
	return &sessions{t, &tls.Config{ //nolint:gosec // its own certificate
		InsecureSkipVerify: true, ServerName: "a.test", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}}
}

// visit sends a request and reports whether a session was resumed, and the
// answer.
func (s *sessions) visit(address, name string) (resumed bool, body string) {
	s.t.Helper()
	s.config.ServerName = name
	c, err := tls.Dial("tcp", address, s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	_, body = wrap(s.t, c).send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").answer("GET")
	return c.ConnectionState().DidResume, body
}

// Sessions outlive configurations, and end where tickets are off.
func TestSessionsAreResumedAfterReload(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := startRig(t, service(up.URL, "certificates:\n"+certificate(t, "one", "a.test")), rigOptions{})
		client := newSessions(t, version)
		for i, want := range []bool{false, true, true} {
			if resumed, _ := client.visit(r.secure, "a.test"); resumed != want {
				t.Errorf("%s, visit %d: resumed is %t", tls.VersionName(version), i+1, resumed)
			}
			r.apply(service(up.URL, "certificates:\n"+certificate(t, "two", "a.test")))
		}
		off := startRig(t, service(up.URL, ""), rigOptions{settings: func(s *engine.Settings) { s.TLS.SessionTickets = false }})
		client = newSessions(t, version)
		for range 2 {
			if resumed, _ := client.visit(off.secure, "a.test"); resumed {
				t.Errorf("%s: resumed with ssl_session_tickets off", tls.VersionName(version))
			}
		}
	}
}

// presenting is a client that shows a certificate when asked, and counts that.
func presenting(t testing.TB, version uint16, asked *atomic.Int32) *sessions {
	s := newSessions(t, version)
	cert, key := keyPair(t, "client")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	s.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked.Add(1)
		return &pair, nil
	}
	return s
}

// answerChain answers with the names of the client's certificates.
func answerChain(x plugin.Exchange) {
	var names []string
	if state := x.Client().TLS; state != nil {
		for _, c := range state.PeerCertificates {
			names = append(names, c.Subject.CommonName)
		}
	}
	x.Exit(plugin.Reply{Status: 200, Body: []byte("chain:" + strings.Join(names, ","))})
}

// Clients are asked for a certificate, which nobody verifies, where a plugin
// needs it: for the SNIs of its route, for all of them if the route has none.
// The chain reaches plugins after a full handshake as after a resumed one.
func TestClientCertificates(t *testing.T) {
	probe := probes{"certs": func() *plugin.Phases {
		return &plugin.Phases{Access: answerChain, Needs: plugin.Needs{ClientCertificate: true}}
	}}
	const route = "services:\n- {name: s, url: \"http://127.0.0.1:1\", routes: [{name: r, protocols: [https], paths: [/]%s%s}]%s}\n%s"
	const use = ", plugins: [{name: certs}]"
	for name, c := range map[string]struct {
		config string
		asked  map[string]bool
	}{
		"route with SNIs":    {fmt.Sprintf(route, ", snis: [a.test, b.test]", use, "", ""), map[string]bool{"a.test": true, "b.test": true, "c.test": false}},
		"route without SNIs": {fmt.Sprintf(route, "", use, "", ""), map[string]bool{"a.test": true, "c.test": true}},
		"service":            {fmt.Sprintf(route, ", snis: [a.test]", "", use, ""), map[string]bool{"a.test": true, "c.test": false}},
		"global":             {fmt.Sprintf(route, "", "", "", "plugins: [{name: certs}]\n"), map[string]bool{"a.test": true, "c.test": true}},
		"nobody":             {fmt.Sprintf(route, "", "", "", ""), map[string]bool{"a.test": false}},
		"disabled":           {fmt.Sprintf(route, "", ", plugins: [{name: certs, enabled: false}]", "", ""), map[string]bool{"a.test": false}},
	} {
		r := startRig(t, c.config, rigOptions{plugins: probe})
		for sni, want := range c.asked {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				var asked atomic.Int32
				client := presenting(t, version, &asked)
				for _, again := range []bool{false, true} {
					resumed, body := client.visit(r.secure, sni)
					if resumed != again || (asked.Load() > 0) != want || want && body != "chain:client" {
						t.Errorf("%s, %s, %s: resumed %t, asked %d times, got %q", name, sni, tls.VersionName(version), resumed, asked.Load(), body)
					}
				}
			}
		}
		// Who has none is served all the same.
		for sni := range c.asked {
			if _, body := newSessions(t, 0).visit(r.secure, sni); c.asked[sni] && body != "chain:" {
				t.Errorf("%s, %s: without a certificate: %q", name, sni, body)
			}
		}
	}
}

// From the moment that clients are to be asked, sessions from before are not
// resumed: they would have no certificate.
func TestClientCertificatesAfterReload(t *testing.T) {
	probe := probes{"certs": func() *plugin.Phases {
		return &plugin.Phases{Access: answerChain, Needs: plugin.Needs{ClientCertificate: true}}
	}}
	const config = "services:\n- {name: s, url: \"http://127.0.0.1:1\", retries: 0, connect_timeout: 100, routes: [{name: r, paths: [/]}]}\n"
	r := startRig(t, config, rigOptions{plugins: probe})
	var asked atomic.Int32
	client := presenting(t, 0, &asked)
	client.visit(r.secure, "a.test")
	if resumed, _ := client.visit(r.secure, "a.test"); !resumed || asked.Load() > 0 {
		t.Fatalf("before: resumed %t, asked %d times", resumed, asked.Load())
	}
	r.apply(config + "plugins: [{name: certs}]\n")
	for i, want := range []bool{false, true} {
		if resumed, body := client.visit(r.secure, "a.test"); resumed != want || body != "chain:client" || asked.Load() != 1 {
			t.Errorf("visit %d: resumed %t, asked %d times, got %q", i+1, resumed, asked.Load(), body)
		}
	}
}

// A certificate phase may choose the certificate and ask the client for one;
// it may take its time without holding up other handshakes.
func TestCertificatePhase(t *testing.T) {
	cert, key := keyPair(t, "chosen")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	slow := make(chan struct{})
	var waiting atomic.Int32
	probe := probes{"phase": func() *plugin.Phases {
		return &plugin.Phases{
			Access: answerChain,
			Certificate: func(ctx context.Context, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if _, bounded := ctx.Deadline(); !bounded {
					t.Error("the phase has no deadline")
				}
				switch hello.ServerName {
				case "slow.test":
					waiting.Add(1)
					<-slow
				case "ask.test":
					if !plugin.AskClientCertificate(ctx) {
						t.Error("cannot ask")
					}
				case "chosen.test":
					return &pair, nil
				case "broken.test":
					return nil, io.ErrUnexpectedEOF
				}
				return nil, nil
			},
		}
	}}
	const config = "services:\n- {name: s, url: \"http://127.0.0.1:1\", routes: [{name: r, paths: [/]}]}\nplugins: [{name: phase}]\n"
	r := startRig(t, config, rigOptions{plugins: probe})
	var held sync.WaitGroup
	const many = 16
	for range many {
		held.Go(func() { newSessions(t, 0).visit(r.secure, "slow.test") })
	}
	until(t, "the phases to wait", func() bool { return waiting.Load() == many })
	if got := shownTo(t, r.secure, "chosen.test"); got != "chosen" {
		t.Errorf("got %q", got)
	}
	if got := shownTo(t, r.secure, "other.test"); got != "localhost" {
		t.Errorf("got %q", got)
	}
	var asked atomic.Int32
	client := presenting(t, 0, &asked)
	if _, body := client.visit(r.secure, "other.test"); asked.Load() != 0 || body != "chain:" {
		t.Errorf("asked %d times, got %q", asked.Load(), body)
	}
	if _, body := client.visit(r.secure, "ask.test"); asked.Load() != 1 || body != "chain:client" {
		t.Errorf("asked %d times, got %q", asked.Load(), body)
	}
	if c, err := tls.Dial("tcp", r.secure, &tls.Config{InsecureSkipVerify: true, ServerName: "broken.test"}); err == nil { //nolint:gosec // a test
		_ = c.Close()
		t.Error("a failed phase did not end the handshake")
	}
	close(slow)
	held.Wait()
}

// While certificates change, requests go on and no handshake fails; a handshake
// after the change sees the new certificate.
func TestCertificateChangeUnderLoad(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	configs := map[string]string{}
	for _, name := range []string{"one", "two"} {
		configs[name] = service(up.URL, "certificates:\n"+certificate(t, name, "a.test"))
	}
	r := startRig(t, configs["one"], rigOptions{})
	stop := make(chan struct{})
	var load sync.WaitGroup
	var handshakes, requests atomic.Int64
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	for range 2 {
		load.Go(func() {
			for running() {
				if got := shownTo(t, r.secure, "a.test"); got != "one" && got != "two" {
					t.Errorf("shown %q", got)
				}
				handshakes.Add(1)
			}
		})
		open := wrap(t, secured(t, r.secure, "a.test"))
		load.Go(func() {
			for running() {
				if a, body := open.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer("GET"); a.StatusCode != 200 || body != "ok" {
					t.Errorf("got %d %q", a.StatusCode, body)
				}
				requests.Add(1)
			}
		})
	}
	for i := range 40 {
		name := []string{"two", "one"}[i%2]
		r.apply(configs[name])
		if got := shownTo(t, r.secure, "a.test"); got != name {
			t.Errorf("after the change to %s: %q", name, got)
		}
	}
	close(stop)
	load.Wait()
	if handshakes.Load() == 0 || requests.Load() < 40 {
		t.Errorf("%d handshakes and %d requests are no load", handshakes.Load(), requests.Load())
	}
}
