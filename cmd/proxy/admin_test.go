// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestParseAdminListen(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
		err  string
	}{
		{"off", nil, ""},
		{"127.0.0.1:8001", []string{"127.0.0.1:8001"}, ""},
		{"127.0.0.1:8001 reuseport backlog=16384, [::1]:8001 deferred", []string{"127.0.0.1:8001", "[::1]:8001"}, ""},
		{"0.0.0.0:8001", nil, "not a loopback address"},
		{"127.0.0.1:8001, 10.0.0.1:8001", nil, "not a loopback address"},
		{"127.0.0.1:8444 http2 ssl", nil, `has the option "http2"`},
		{"", nil, "empty part"},
		{"127.0.0.1", nil, "not an address with a port"},
	} {
		got, err := parseAdminListen(c.text)
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}

func TestParseStatusListen(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
		err  string
	}{
		{"off", nil, ""},
		{"0.0.0.0:8100, [::]:8100 reuseport backlog=16384", []string{"0.0.0.0:8100", "[::]:8100"}, ""},
		{"0.0.0.0:8543 ssl", nil, `has the option "ssl"`},
		{"8100", nil, "status_listen: \"8100\" is not an address with a port, as 127.0.0.1:8007"},
	} {
		got, err := parseStatusListen(c.text)
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}

// The view shows what runs, a file that was read again included, and not what
// was refused.
func TestAdminView(t *testing.T) {
	address := strings.TrimPrefix(backend(t, "word"), "http://")
	path := filepath.Join(t.TempDir(), "kong.yml")
	config := func(name string) string {
		return `_format_version: "3.0"
services:
- {name: ` + name + `, host: up.test, routes: [{name: r, paths: [/]}]}
upstreams:
- {name: up.test, targets: [{target: "` + address + `"}]}
consumers:
- {username: alice, keyauth_credentials: [{key: top-secret}]}
`
	}
	put(t, path, config("first"))
	listen := freeAddress(t)
	a := startAlone(t, path, "--admin-listen", listen)
	ask := func(path string) (code int, body map[string]any) {
		res, err := a.client.Get("http://" + listen + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, body
	}
	if code, body := ask("/services/first"); code != http.StatusOK || body["host"] != "up.test" || body["created_at"] == nil {
		t.Errorf("%d %v", code, body)
	}
	if _, body := ask("/consumers/alice/key-auth"); body["data"].([]any)[0].(map[string]any)["key"] != "REDACTED" {
		t.Errorf("a key is shown: %v", body)
	}
	_, body := ask("/upstreams/up.test/health")
	if target := body["data"].([]any)[0].(map[string]any); target["target"] != address || target["health"] != "HEALTHCHECKS_OFF" {
		t.Errorf("health %v", target)
	}
	_, body = ask("/")
	plugins := body["plugins"].(map[string]any)["available_on_server"].(map[string]any)
	if plugins["key-auth"] == nil || plugins[entity.Unusable(false).Name] != nil {
		t.Errorf("plugins %v", plugins)
	}
	connections := map[string]any{}
	idle, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	until(t, "the one connection that is open, and idle", func() bool {
		_, body = ask("/status")
		for name, n := range body["server"].(map[string]any) {
			connections[strings.TrimPrefix(name, "connections_")] = n
		}
		return connections["active"] == 1.0 && connections["waiting"] == 1.0
	})
	if connections["reading"] != 0.0 || connections["writing"] != 0.0 || connections["accepted"] != connections["handled"] || connections["accepted"] == nil {
		t.Errorf("status %v", body)
	}
	put(t, path, config("second"))
	until(t, "the new file", func() bool { code, _ := ask("/services/second"); return code == http.StatusOK })
	if code, _ := ask("/services/first"); code != http.StatusNotFound {
		t.Errorf("a service that is gone: %d", code)
	}
	put(t, path, config("third")+"nothing: []\n")
	until(t, "the refusal", func() bool { _, problems := a.status(t); return len(problems) > 0 })
	if code, _ := ask("/services/second"); code != http.StatusOK {
		t.Errorf("what runs: %d", code)
	}
}

// Both families can have the same port, as in Kong's Helm chart.
func TestBothFamilies(t *testing.T) {
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{"0.0.0.0:" + port, "[::]:" + port}
	var listeners []net.Listener
	accepting := make(chan net.Listener, len(addresses))
	failed := make(chan error, len(addresses))
	err = serveOn(t.Context(), "status_listen", addresses, func(l net.Listener) error { accepting <- l; return nil }, failed)
	if err != nil {
		t.Fatal(err)
	}
	for range addresses {
		listeners = append(listeners, <-accepting)
	}
	for _, l := range listeners {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
