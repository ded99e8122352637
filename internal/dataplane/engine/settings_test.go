// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

var settingNames = []string{
	"KONG_TRUSTED_IPS", "KONG_REAL_IP_RECURSIVE", "KONG_ALLOW_DEBUG_HEADER", "KONG_ERROR_TEMPLATE_HTML", "KONG_HEADERS", "KONG_HEADERS_UPSTREAM", "KONG_ERROR_DEFAULT_TYPE",
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
