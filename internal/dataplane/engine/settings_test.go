// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

func TestParseListen(t *testing.T) {
	cases := []struct {
		in      string
		want    []engine.ListenSpec
		problem string
	}{
		{"off", nil, ""},
		{"", nil, ""},
		{"0.0.0.0:8000", []engine.ListenSpec{{Address: netip.MustParseAddrPort("0.0.0.0:8000")}}, ""},
		{" 127.0.0.1:8000 reuseport backlog=16384 , [::]:8443 ssl http2", []engine.ListenSpec{
			{Address: netip.MustParseAddrPort("127.0.0.1:8000")}, {Address: netip.MustParseAddrPort("[::]:8443"), TLS: true, HTTP2: true},
		}, ""},
		{"*:1 ssl", []engine.ListenSpec{{Address: netip.MustParseAddrPort("0.0.0.0:1"), TLS: true}}, ""},
		{"0.0.0.0:8000,", nil, "empty entry"},
		{"localhost:8000", nil, "IP:PORT"},
		{"0.0.0.0", nil, "IP:PORT"},
		{"0.0.0.0:99999", nil, "IP:PORT"},
		{"0.0.0.0:1 fast", nil, `"fast"`},
		{"0.0.0.0:1 proxy_protocol", nil, "proxy_protocol"},
	}
	for _, c := range cases {
		got, err := engine.ParseListen(c.in)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), "proxy_listen") {
				t.Errorf("%q: got %v", c.in, err)
			}
			continue
		}
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%q: got %v, %v", c.in, got, err)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q: got %+v, want %+v", c.in, got[i], c.want[i])
			}
		}
	}
}

func FuzzParseListen(f *testing.F) {
	f.Add("0.0.0.0:8000, 0.0.0.0:8443 ssl http2 reuseport backlog=1")
	f.Add("off")
	f.Fuzz(func(t *testing.T, in string) {
		specs, err := engine.ParseListen(in)
		if err != nil {
			return
		}
		for _, s := range specs {
			if !s.Address.IsValid() {
				t.Errorf("%q: invalid address", in)
			}
			text := s.Address.String()
			if s.TLS {
				text += " ssl"
			}
			if again, err := engine.ParseListen(text); err != nil || len(again) != 1 || again[0].Address != s.Address {
				t.Errorf("%q: %q reads as %v, %v", in, text, again, err)
			}
		}
	})
}

var settingNames = []string{
	"KONG_TRUSTED_IPS", "KONG_REAL_IP_RECURSIVE", "KONG_HEADERS", "KONG_HEADERS_UPSTREAM", "KONG_ERROR_DEFAULT_TYPE",
	"KONG_CLIENT_MAX_BODY_SIZE", "KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE", "KONG_NGINX_HTTP_KEEPALIVE_TIMEOUT",
	"KONG_NGINX_HTTP_KEEPALIVE_REQUESTS", "KONG_SSL_CIPHER_SUITE", "KONG_PORT_MAPS", "KONG_UPSTREAM_KEEPALIVE_POOL_SIZE",
}

// Every setting that cannot be read is named, none of them ends the process
// some other way, and defaults are those of Kong.
func TestReadSettings(t *testing.T) {
	s, err := engine.ReadSettings(func(string) (string, bool) { return "", false })
	if err != nil || s.KeepaliveRequests != 10000 || s.RealIPHeader != "X-Real-IP" {
		t.Errorf("defaults: %+v, %v", s, err)
	}
	_, err = engine.ReadSettings(func(name string) (string, bool) { return "\x00 nonsense", name != "KONG_REAL_IP_HEADER" })
	for _, name := range settingNames {
		if err == nil || !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

func FuzzReadSettings(f *testing.F) {
	for i := range settingNames {
		for _, v := range []string{"10.0.0.0/8, ::1", "on", "off", "8k", "75s", "1.5", "80:8000,443:8443", "text/html", "server_tokens, latency_tokens", "modern"} {
			f.Add(uint8(i), v)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, value string) {
		name := settingNames[int(which)%len(settingNames)]
		s, err := engine.ReadSettings(func(n string) (string, bool) { return value, n == name })
		if err != nil {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%q: %v", name, value, err)
			}
			return
		}
		if s.ClientMaxBodySize < 0 || s.KeepaliveTimeout < 0 || s.KeepaliveRequests < 0 || s.UpstreamKeepalivePoolSize < 0 {
			t.Errorf("%s=%q gives %+v", name, value, s)
		}
	})
}
