// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"slices"
	"testing"
)

func TestEndpoints(t *testing.T) {
	for name, tc := range map[string]struct {
		config map[string]any
		want   []endpoint
	}{
		"url":           {map[string]any{"http_endpoint": "http://sink.echo:8080/x"}, []endpoint{{"sink.echo", 8080}}},
		"default ports": {map[string]any{"a": "https://a.b/", "b": "http://a.b"}, []endpoint{{"a.b", 443}, {"a.b", 80}}},
		"host and port": {map[string]any{"redis": map[string]any{"host": "redis.infra.svc", "port": int64(6379)}}, []endpoint{{"redis.infra.svc", 6379}}},
		"lists":         {map[string]any{"l": []any{"http://a.b:1", map[string]any{"host": "c.d", "port": int64(2)}}}, []endpoint{{"a.b", 1}, {"c.d", 2}}},
		"nothing":       {map[string]any{"host": "x.y", "minute": int64(3), "u": "ftp://a.b", "v": "http://", "w": "http://a.b:nope"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := endpoints(tc.config); !slices.Equal(got, tc.want) {
				t.Errorf("endpoints are %v, want %v", got, tc.want)
			}
		})
	}
}

func TestIsLocal(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "localhost": true, "LOCALHOST.": true, "a.localhost": true, "::1": true, "0.0.0.0": true, "::": true,
		"169.254.169.254": true, "fe80::1": true, "::ffff:127.0.0.1": true, "10.0.0.1": false, "sink.echo": false, "localhost.example.com": false, "": false,
	} {
		if isLocal(host) != want {
			t.Errorf("isLocal(%q) is not %v", host, want)
		}
	}
}

func TestServiceOf(t *testing.T) {
	for host, want := range map[string]string{
		"sink.echo.svc.cluster.local": "echo/sink", "sink.echo.svc.cluster.local.": "echo/sink", "sink.echo.svc": "echo/sink",
		"sink.echo": "echo/sink", "sink": "", "a.b.c": "", "10.0.0.1": "", "": "", ".echo": "", "api.example.com": "",
	} {
		namespace, name, ok := serviceOf(host, "cluster.local")
		got := ""
		if ok {
			got = namespace + "/" + name
		}
		if got != want {
			t.Errorf("serviceOf(%q) = %q, want %q", host, got, want)
		}
	}
}

func FuzzURLEndpoint(f *testing.F) {
	f.Add("http://a.b:80/")
	f.Add("https://[::1]:443")
	f.Fuzz(func(t *testing.T, text string) {
		if e, ok := urlEndpoint(text); ok && e.host == "" {
			t.Errorf("%q has an endpoint without a host", text)
		}
	})
}
