// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	stream := []string{"--control-plane", "dns:///m:8005", "--gateway", "ns/edge", "--token-file", "t", "--control-plane-ca-dir", "c"}
	for _, c := range []struct {
		name string
		args []string
		want string // part of the error, "" for none
	}{
		{"alone", []string{"--declarative-config", "kong.yml"}, ""},
		{"stream", stream, ""},
		{"neither", nil, "give --declarative-config FILE"},
		{"both", append([]string{"--declarative-config", "kong.yml"}, stream...), "exclude each other"},
		{"stream without gateway", []string{"--control-plane", "m:8005"}, "needs --gateway"},
		{"stream without token", []string{"--control-plane", "m:8005", "--gateway", "ns/edge"}, "needs --token-file"},
		{"bad listener", []string{"--declarative-config", "f", "--proxy-listen", "localhost"}, "proxy_listen"},
		{"unknown mesh", append(stream, "--mesh", "linkerd"), "neither sidecar nor none"},
		{"unknown readiness", []string{"--declarative-config", "f", "--drain-readiness", "never"}, "neither first nor last"},
		{"negative delay", []string{"--declarative-config", "f", "--drain-delay-seconds", "-1"}, "must not be negative"},
		{"unknown Kong", []string{"--declarative-config", "f", "--compatibility", "2.8"}, "--compatibility: "},
		{"argument", []string{"--declarative-config", "f", "more"}, `unexpected argument "more"`},
	} {
		_, err := parseOptions(c.args, none)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{
		"KONG_DECLARATIVE_CONFIG": "kong.yml", "KONG_PROXY_LISTEN": "127.0.0.1:9 ssl", "KONG_LOG_LEVEL": "crit",
		"KONG_TRUSTED_IPS": "10.0.0.0/8", "KONG_STATUS_LISTEN": "off", "KONG_PROXY_ACCESS_LOG": "/dev/stdout",
	}
	o, err := parseOptions(nil, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if o.declarativeConfig != "kong.yml" || !o.listen[0].TLS || o.logLevel != slog.LevelError || o.statusListen != nil ||
		!o.accessLog || len(o.settings.TrustedIPs) != 1 {
		t.Errorf("%+v", o)
	}
}

func TestLacksProxyProtocol(t *testing.T) {
	for _, c := range []struct {
		listen, header string
		want           bool
	}{
		{"127.0.0.1:1, 127.0.0.1:2 ssl", "proxy_protocol", true},
		{"127.0.0.1:1, 127.0.0.1:2 ssl proxy_protocol", "proxy_protocol", false},
		{"127.0.0.1:1", "X-Real-IP", false},
		{"off", "proxy_protocol", false},
	} {
		env := map[string]string{"KONG_DECLARATIVE_CONFIG": "f", "KONG_PROXY_LISTEN": c.listen, "KONG_REAL_IP_HEADER": c.header}
		o, err := parseOptions(nil, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		if err != nil || o.lacksProxyProtocol() != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestUnreadVariables(t *testing.T) {
	got := unreadVariables([]string{
		"KONG_FOO=1", "KONG_TRUSTED_IPS=::/0", "KONG_LOG_LEVEL=debug", "PATH=/bin", "KONG_PG_HOST=db",
		"KONG_PROXY_SERVICE_HOST=10.0.0.1", "KONG_PROXY_PORT=tcp://10.0.0.1:80", "KONG_PROXY_PORT_80_TCP_ADDR=10.0.0.1",
	})
	if want := []string{"KONG_FOO", "KONG_PG_HOST"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
