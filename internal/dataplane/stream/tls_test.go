// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/pipeline"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
)

// secureEcho is an upstream with TLS that says which name it was asked for,
// which certificate it was shown, and what it got.
func secureEcho(t testing.TB, cert tls.Certificate) string {
	return upstream(t, func(c *net.TCPConn) {
		secured := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert})
		if secured.HandshakeContext(context.Background()) != nil {
			return
		}
		state := secured.ConnectionState()
		shown := ""
		if len(state.PeerCertificates) > 0 {
			shown = state.PeerCertificates[0].Subject.CommonName
		}
		got, _ := io.ReadAll(secured)
		_, _ = fmt.Fprintf(secured, "name=%s shown=%s got=%s", state.ServerName, shown, got)
		_ = secured.CloseWrite()
	})
}

// handshake opens TLS to a listener; name may be empty.
func (r *rig) handshake(i int, name string) (*tls.Conn, error) {
	c := tls.Client(r.dial(i), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	return c, c.HandshakeContext(r.t.Context())
}

func TestTerminatedTLS(t *testing.T) {
	r := start(t, nil, "ssl")
	r.config(route("tls", echo(t), ""))
	for _, name := range []string{"Some.Name.test", ""} {
		c, err := r.handshake(0, name)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "default.test" {
			t.Errorf("certificate of %q", got)
		}
		if got := talk(t, c, "ping"); got != "hello ping 4 bytes" {
			t.Errorf("got %q", got)
		}
		s := r.session()
		if s.ServerName != strings.ToLower(name) || s.UsedProtocol != "tls" || s.ClientFacts.TLS == nil || s.FromClient != 4 || s.ToClient != 18 {
			t.Errorf("session %+v", s)
		}
	}
}

// A large transfer over TLS goes through unharmed in both directions.
func TestTerminatedTLSBulk(t *testing.T) {
	const size = 8 << 20
	r := start(t, nil, "ssl")
	r.config(route("tls", upstream(t, func(c *net.TCPConn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) }), ""))
	c, err := r.handshake(0, "a.test")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		block := make([]byte, 100_000)
		for left := size; left > 0; left -= len(block) {
			block = block[:min(left, len(block))]
			_, _ = c.Write(block)
		}
		_ = c.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, c); n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestPassthrough(t *testing.T) {
	one, two := certificate(t, "one.test"), certificate(t, "two.test")
	first, second := netip.MustParseAddrPort(secureEcho(t, one)), netip.MustParseAddrPort(secureEcho(t, two))
	plain := netip.MustParseAddrPort(echo(t))
	r := start(t, nil, "ssl")
	r.config(fmt.Sprintf(`
plugins: [{name: probe}]
services:
- {name: first, host: 127.0.0.1, port: %d, protocol: tls_passthrough, routes: [{name: one, protocols: [tls_passthrough], snis: [one.test]}]}
- {name: second, host: 127.0.0.1, port: %d, protocol: tls, routes: [{name: two, protocols: [tls_passthrough], snis: ["*.two.test"]}]}
- {name: third, host: 127.0.0.1, port: %d, protocol: tcp, routes: [{name: terminated, protocols: [tls], snis: [here.test]}]}
`, first.Port(), second.Port(), plain.Port()))
	for name, want := range map[string][3]string{
		"one.test":   {"one.test", "name=one.test shown= got=x", "one"},
		"a.two.test": {"two.test", "name=a.two.test shown= got=x", "two"},
		"here.test":  {"default.test", "hello x 1 bytes", "terminated"},
	} {
		c, err := r.handshake(0, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want[0] {
			t.Errorf("%s: certificate of %q", name, got)
		}
		if got := talk(t, c, "x"); got != want[1] {
			t.Errorf("%s: got %q", name, got)
		}
		_ = c.Close() // that TLS is over is the two sides' secret
		s := r.session()
		if s.ServerName != name || s.MatchedRoute.Name != want[2] || (s.UsedProtocol == "tls_passthrough") != (s.ClientFacts.TLS == nil) {
			t.Errorf("%s: %+v", name, s)
		}
		if s.UsedProtocol == "tls_passthrough" && (s.FromClient != s.ToUpstream || s.FromClient < 200 || s.ToClient != s.FromUpstream) {
			t.Errorf("%s: %d %d %d %d", name, s.FromClient, s.ToUpstream, s.FromUpstream, s.ToClient)
		}
	}
	for _, name := range []string{"other.test", "two.test", ""} {
		if _, err := r.handshake(0, name); err == nil {
			t.Errorf("%q is served", name)
		}
	}
}

// A ClientHello may come in pieces, over any number of packets.
func TestPassthroughInPieces(t *testing.T) {
	cert := certificate(t, "one.test")
	r := start(t, nil, "ssl")
	r.config(strings.Replace(route("tls_passthrough", secureEcho(t, cert), ""), "destinations: [{port: PORT0}]", "snis: [one.test]", 1))
	c := tls.Client(&slow{TCPConn: r.dial(0)}, &tls.Config{ServerName: "one.test", InsecureSkipVerify: true})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := talk(t, c, "x"); got != "name=one.test shown= got=x" {
		t.Errorf("got %q", got)
	}
}

// slow writes a few bytes at a time.
type slow struct{ *net.TCPConn }

func (s *slow) Write(b []byte) (int, error) {
	for i := 0; i < len(b); i += 40 {
		if _, err := s.TCPConn.Write(b[i:min(len(b), i+40)]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestUpstreamTLS(t *testing.T) {
	cert := certificate(t, "backend.test")
	authority := pemOf(cert)
	own := certificate(t, "client.test")
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddrPort(secureEcho(t, cert))
	const ca, client = "0d25a3ae-9f43-4ba2-9a6a-9a4ba0a6a2f5", "11c2ba0e-3b0c-4f3e-8b55-3ba1a1d0a6a1"
	for _, c := range []struct{ name, service, route, want string }{
		{"unverified", "host: 127.0.0.1", "", "name= shown= got=x"},
		{"by name", "host: backend.test", "", "name=backend.test shown= got=x"},
		{"verified", "host: backend.test, tls_verify: true, ca_certificates: [" + ca + "]", "", "name=backend.test shown= got=x"},
		{"another name", "host: other.test, tls_verify: true, ca_certificates: [" + ca + "]", "", ""},
		{"another authority", "host: backend.test, tls_verify: true", "", ""},
		{"client certificate", "host: backend.test, client_certificate: " + client, "", "name=backend.test shown=client.test got=x"},
		{"host_header", "host: named.test", "", "name=header.test shown= got=x"},
		{"preserve_host", "host: named.test", "preserve_host: true, ", "name=asked.test shown= got=x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, "ssl")
			r.config(fmt.Sprintf(`
plugins: [{name: probe}]
upstreams: [{name: named.test, host_header: "header.test:443", targets: [{target: "backend.test:%d"}]}]
ca_certificates: [{id: %s, cert: %q}]
certificates: [{id: %s, cert: %q, key: %q}]
services:
- {name: s, port: %d, protocol: tls, retries: 0, %s, routes: [{name: r, %s protocols: [tls], destinations: [{port: PORT0}]}]}
`, address.Port(), ca, authority, client, pemOf(own), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
				address.Port(), c.service, c.route))
			secured, err := r.handshake(0, "asked.test")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if c.want == "" {
				closedSilently(t, secured)
			} else {
				got = talk(t, secured, "x")
			}
			if s := r.session(); got != c.want || (c.want == "") != (s.EndStatus == 502) {
				t.Errorf("got %q, status %d, want %q", got, s.EndStatus, c.want)
			}
		})
	}
}

func pemOf(c tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}

// Global plugins may have a certificate.
func TestCertificatePhase(t *testing.T) {
	own := certificate(t, "plugin.test")
	r := start(t, nil, "ssl")
	in := plugin.Registration{Name: "probe", Configure: func(plugin.Config) (*plugin.Phases, error) {
		return &plugin.Phases{Certificate: func(_ context.Context, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "plugin.test" {
				return &own, nil
			}
			return nil, nil
		}}, nil
	}}
	var err error
	if r.options.Catalog, err = pipeline.NewCatalog(&plugintest.Host{}, r.schemas, in); err != nil {
		t.Fatal(err)
	}
	r.config(route("tls", echo(t), ""))
	for name, want := range map[string]string{"plugin.test": "plugin.test", "other.test": "default.test"} {
		c, err := r.handshake(0, name)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%s: certificate of %q", name, got)
		}
	}
}

func TestProxyProtocol(t *testing.T) {
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb"
	for _, c := range []struct {
		name, header, trusted, want string
	}{
		{"version 1", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", "127.0.0.0/8", "192.0.2.1:12345"},
		{"version 2", v2, "127.0.0.0/8", "192.0.2.1:12345"},
		{"not trusted", v2, "10.0.0.0/8", "peer"},
		{"local", "PROXY UNKNOWN\r\n", "127.0.0.0/8", "peer"},
		{"none", "GET / HTTP/1.1\r\n\r\n", "127.0.0.0/8", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(s *Settings) { s.TrustedIPs = []netip.Prefix{netip.MustParsePrefix(c.trusted)} }, "proxy_protocol", "ssl proxy_protocol")
			up := netip.MustParseAddrPort(echo(t))
			r.config(fmt.Sprintf(`
plugins: [{name: probe}]
services: [{name: s, host: 127.0.0.1, port: %d, protocol: tcp, routes: [{name: r, protocols: [tcp, tls], destinations: [{port: PORT0}, {port: PORT1}]}]}]
`, up.Port()))
			for i := range 2 {
				socket := r.dial(i)
				if _, err := io.WriteString(socket, c.header); err != nil {
					t.Fatal(err)
				}
				if c.want == "" {
					closedSilently(t, socket)
					continue
				}
				var got string
				if i == 0 {
					got = talk(t, socket, "x")
				} else {
					secured := tls.Client(socket, &tls.Config{InsecureSkipVerify: true})
					got = talk(t, secured, "x")
				}
				if got != "hello x 1 bytes" {
					t.Fatalf("got %q", got)
				}
				want := c.want
				if want == "peer" {
					want = socket.LocalAddr().String()
				}
				if f := r.session().ClientFacts; netip.AddrPortFrom(f.IP, f.Port).String() != want || f.Peer.String() != socket.LocalAddr().String() {
					t.Errorf("client %+v, want %s", f, want)
				}
			}
			if c.want == "" {
				until(t, "the sessions count", func() bool { return r.Stats().Totals().Ended[TCP][1] == 2 })
			}
		})
	}
}

// Plugins and routes see the client that a trusted peer speaks for.
func TestProxyProtocolSource(t *testing.T) {
	r := start(t, func(s *Settings) {
		s.TrustedIPs = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}, "proxy_protocol")
	up := netip.MustParseAddrPort(echo(t))
	r.config(fmt.Sprintf(`
plugins: [{name: probe}, {name: ip-restriction, config: {deny: [192.0.2.66]}}]
services: [{name: s, host: 127.0.0.1, port: %d, protocol: tcp, routes: [{name: r, protocols: [tcp], sources: [{ip: 192.0.2.0/24}]}]}]
`, up.Port()))
	for ip, want := range map[string]int{"192.0.2.1": 200, "192.0.2.66": 403, "198.51.100.1": 500} {
		c := r.dial(0)
		_, _ = fmt.Fprintf(c, "PROXY TCP4 %s 198.51.100.2 1 2\r\n", ip)
		if want == 200 {
			if got := talk(t, c, "x"); got != "hello x 1 bytes" {
				t.Errorf("got %q", got)
			}
		} else {
			closedSilently(t, c)
		}
		if want == 500 {
			until(t, "the session counts", func() bool { return r.Stats().Totals().Ended[TCP][3] == 1 })
			continue
		}
		if s := r.session(); s.EndStatus != want {
			t.Errorf("%s: status %d, want %d", ip, s.EndStatus, want)
		}
	}
}

func TestPortMaps(t *testing.T) {
	up := netip.MustParseAddrPort(echo(t))
	r := start(t, func(s *Settings) {
		s.PortMaps = map[uint16]uint16{}
		for port := range uint16(65535) { // which one it will be is not known yet
			s.PortMaps[port] = 70
		}
	}, "")
	r.config(fmt.Sprintf(`
plugins: [{name: probe}]
services: [{name: s, host: 127.0.0.1, port: %d, protocol: tcp, routes: [{name: r, protocols: [tcp], destinations: [{port: 70}]}]}]
`, up.Port()))
	if got := talk(t, r.dial(0), "x"); got != "hello x 1 bytes" {
		t.Errorf("got %q", got)
	}
	if s := r.session(); s.ClientFacts.ForwardedPort != 70 {
		t.Errorf("port %d", s.ClientFacts.ForwardedPort)
	}
}

// What is no ClientHello is closed at once, and what does not come after
// preread_timeout.
func TestPrereadIsBounded(t *testing.T) {
	r := start(t, func(s *Settings) {
		s.PrereadTimeout, s.PrereadBufferSize = 300*time.Millisecond, 1<<10
	}, "ssl")
	r.config(strings.Replace(route("tls_passthrough", echo(t), ""), "destinations: [{port: PORT0}]", "snis: [a.test]", 1))
	for name, c := range map[string]struct {
		text    string
		at      time.Duration // not before
		minimal bool
	}{
		"nothing":                 {"", 200 * time.Millisecond, false},
		"half a record":           {"\x16\x03\x01\x00", 200 * time.Millisecond, false},
		"HTTP":                    {"GET / HTTP/1.1\r\n", 0, false},
		"more than the buffer":    {"\x16\x03\x01\x20\x00\x01\x00\x1f\xfc" + strings.Repeat("x", 2000), 0, false},
		"an end in the middle":    {"\x16\x03\x01\x00", 0, true},
		"a record of another use": {"\x17\x03\x03\x00\x01x", 0, false},
	} {
		socket := r.dial(0)
		begin := time.Now()
		_, _ = io.WriteString(socket, c.text)
		if c.minimal {
			_ = socket.CloseWrite()
		}
		closedSilently(t, socket)
		took := time.Since(begin)
		if took < c.at || c.at == 0 && took > 250*time.Millisecond+patience/4 {
			t.Errorf("%s: closed after %s", name, took)
		}
	}
	totals := r.Stats().Totals()
	until(t, "all count as bad requests", func() bool { totals = r.Stats().Totals(); return totals.Ended[TCP][1] == 6 })
}
