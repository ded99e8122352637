// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

const (
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	header1    = "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n"
	// header2 says the same, with a value behind the addresses.
	header2 = signature2 + "\x21\x11\x00\x11" + "\xc0\x00\x02\x01" + "\xc6\x33\x64\x02" + "\x30\x39\x01\xbb" + "\x04\x00\x02ab"
	header6 = signature2 + "\x21\x21\x00\x24" + "\x20\x01\x0d\xb8" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09" +
		"\x20\x01\x0d\xb8" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x00\x07\x00\x08"
	local2 = signature2 + "\x20\x00\x00\x00"
)

// told is an upstream that answers who it was told the client is, and whether a
// header of sidecars came along.
func told(t *testing.T) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s %q", r.Header.Get("X-Real-IP"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"),
			r.Header.Get("X-Forwarded-Client-Cert"))
	}).URL
}

// believing are settings that believe PROXY headers of some peers.
func believing(trusted, header string) func(*engine.Settings) {
	return func(s *engine.Settings) {
		for p := range strings.FieldsSeq(trusted) {
			s.TrustedIPs = append(s.TrustedIPs, netip.MustParsePrefix(p))
		}
		s.RealIPHeader = header
	}
}

// ask sends the request of an HTTP/1 client behind a load balancer.
func (w *wire) ask(first, more string) string {
	w.t.Helper()
	_, body := w.send(first + "GET / HTTP/1.1\r\nHost: h\r\n" + more + "\r\n").answer("GET")
	return body
}

func TestProxyProtocol(t *testing.T) {
	const loopback, client = "127.0.0.1/32", "127.0.0.1/32 192.0.2.0/24"
	const forged = "X-Real-IP: 203.0.113.9\r\nX-Forwarded-Client-Cert: me\r\n"
	for _, c := range []struct {
		name, trusted, realIP string
		first, more           string
		want                  string
	}{
		{"version 1", loopback, "proxy_protocol", header1, "", `192.0.2.1 192.0.2.1 http ""`},
		{"version 2 with a value", loopback, "proxy_protocol", header2, "", `192.0.2.1 192.0.2.1 http ""`},
		{"IPv6", loopback, "proxy_protocol", header6, "", `2001:db8::9 2001:db8::9 http ""`},
		{"a health check", loopback, "proxy_protocol", local2, "", `127.0.0.1 127.0.0.1 http ""`},
		{"of an unknown protocol", loopback, "proxy_protocol", "PROXY UNKNOWN 1 2 3\r\n", "", `127.0.0.1 127.0.0.1 http ""`},
		{"a peer that is not trusted", "10.0.0.0/8", "proxy_protocol", header1, "", `127.0.0.1 127.0.0.1 http ""`},
		{"another real_ip_header", loopback, "X-Real-IP", header1, "X-Real-IP: 203.0.113.9\r\n", `203.0.113.9 203.0.113.9 http ""`},
		{"what the client says of itself", loopback, "proxy_protocol", header1, forged, `192.0.2.1 192.0.2.1 http ""`},
		{"what another one says of itself", "192.0.2.0/24", "proxy_protocol", header1, forged, `127.0.0.1 127.0.0.1 http ""`},
		{"what the load balancer says", loopback, "proxy_protocol", local2, forged, `127.0.0.1 127.0.0.1 http "me"`},
		{"what a trusted client says", client, "proxy_protocol", header1, forged, `192.0.2.1 192.0.2.1 http "me"`},
		{"a list so far", loopback, "proxy_protocol", header1, "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n", `192.0.2.1 203.0.113.9, 127.0.0.1 https ""`},
	} {
		r := startRig(t, service(told(t), ""), rigOptions{proxied: true, settings: believing(c.trusted, c.realIP)})
		w := dialRig(t, r.plain)
		for i, first := range []string{c.first, ""} {
			if got := w.ask(first, c.more); got != c.want {
				t.Errorf("%s, request %d: got %s, want %s", c.name, i+1, got, c.want)
			}
		}
		until(t, "the access log", func() bool { return strings.Contains(r.access.String(), "\n") })
		if line := r.access.String(); !strings.HasPrefix(line, strings.Fields(c.want)[0]+" ") {
			t.Errorf("%s: access log %s", c.name, line)
		}
	}
}

// The header may come in pieces of any size, and nothing behind it is lost.
func TestProxyProtocolInPieces(t *testing.T) {
	r := startRig(t, service(told(t), ""), rigOptions{proxied: true, settings: believing("127.0.0.1/32", "proxy_protocol")})
	for _, header := range []string{header1, header2} {
		for _, cut := range []int{1, 5, 12, 16, len(header) - 1, len(header), len(header) + 1} {
			w := dialRig(t, r.plain)
			text := header + "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
			w.send(text[:cut])
			until(t, "the first piece", func() bool { return r.Connections() > 0 })
			_, body := w.send(text[cut:]).answer("GET")
			if want := `192.0.2.1 192.0.2.1 http ""`; body != want {
				t.Errorf("cut at %d: got %s", cut, body)
			}
			_ = w.Close()
			until(t, "its end", func() bool { return r.Connections() == 0 })
		}
	}
}

// What is no PROXY header ends the connection without an answer: who sent it
// would otherwise be taken for the load balancer.
func TestProxyProtocolMalformed(t *testing.T) {
	r := startRig(t, service(told(t), ""), rigOptions{proxied: true, settings: believing("127.0.0.1/32", "proxy_protocol")})
	for name, first := range map[string]string{
		"a request":       "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"a wrong address": "PROXY TCP4 192.0.2.256 198.51.100.2 12345 443\r\n",
		"a line too long": "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n",
		"a third version": signature2 + "\x31\x11\x00\x00",
		"too large":       signature2 + "\x21\x11\xff\xff",
	} {
		for _, address := range []string{r.plain, r.secure} {
			if !dialRig(t, address).send(first).refused() {
				t.Errorf("%s to %s: an answer came", name, address)
			}
		}
	}
}

// A client that says nothing, or half of a header, is given up, and makes room
// before.
func TestProxyProtocolSlow(t *testing.T) {
	r := startRig(t, service(told(t), ""), rigOptions{proxied: true, settings: func(s *engine.Settings) {
		s.ClientHeaderTimeout = 300 * time.Millisecond
	}})
	for _, first := range []string{"", "PROXY TCP4 192."} {
		if !dialRig(t, r.plain).send(first).refused() {
			t.Error("an answer came")
		}
	}
	const limit = 2
	r = startRig(t, service(told(t), ""), rigOptions{proxied: true, settings: func(s *engine.Settings) { s.WorkerConnections = limit }})
	var slow []*wire
	for _, first := range []string{"PROXY TCP4 192.", header1} {
		slow = append(slow, dialRig(t, r.plain).send(first))
	}
	until(t, "the slow ones", func() bool { return r.Connections() == limit })
	for range 2 {
		w := dialRig(t, r.plain)
		if got := w.ask(header1, ""); !strings.HasPrefix(got, "127.0.0.1 ") {
			t.Errorf("got %s at the limit", got)
		}
	}
	for _, w := range slow {
		if !w.refused() {
			t.Error("a slow connection was served")
		}
	}
}

// The header comes before TLS, and HTTP/2 works behind it in both ways.
func TestProxyProtocolBeforeTLS(t *testing.T) {
	r := startRig(t, service(told(t), ""), rigOptions{proxied: true, settings: believing("127.0.0.1/32", "proxy_protocol")})
	for _, first := range []string{header1, header2} {
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				_, err = io.WriteString(c, first)
			}
			return c, err
		}
		transport := func(http2 bool) *http.Transport {
			protocols := &http.Protocols{}
			protocols.SetHTTP1(!http2)
			protocols.SetHTTP2(http2)
			protocols.SetUnencryptedHTTP2(http2)
			out := &http.Transport{DialContext: dial, Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			t.Cleanup(out.CloseIdleConnections)
			return out
		}
		for _, http2 := range []bool{false, true} {
			for scheme, address := range map[string]string{"http": r.plain, "https": r.secure} {
				c := http.Client{Transport: transport(http2), Timeout: patience}
				a, err := c.Get(scheme + "://" + address)
				if err != nil {
					t.Fatalf("%s, HTTP/2 %t: %v", scheme, http2, err)
				}
				body, _ := io.ReadAll(a.Body)
				_ = a.Body.Close()
				if want := fmt.Sprintf(`192.0.2.1 192.0.2.1 %s ""`, scheme); string(body) != want || http2 != (a.ProtoMajor == 2) {
					t.Errorf("%s, HTTP/2 %t: got %s in %s", scheme, http2, body, a.Proto)
				}
			}
		}
	}
}
