// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/dataplane/engine"
)

// Files replace the texts of errors, each for its media type.
func TestErrorTemplates(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	read := func(settings map[string]string) (engine.Settings, error) {
		return engine.ReadSettings(func(name string) (string, bool) { v, ok := settings[name]; return v, ok })
	}
	settings, err := read(map[string]string{
		"KONG_ERROR_TEMPLATE_HTML": file("html", "<h1>%s</h1>"), "KONG_ERROR_TEMPLATE_PLAIN": file("plain", "oops"),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := startRig(t, "", rigOptions{settings: func(s *engine.Settings) { s.ErrorTemplates = settings.ErrorTemplates }})
	for accept, want := range map[string]string{
		"text/html": "<h1>no Route matched with those values</h1>", "text/plain": "oops", "application/xml": "<?xml", "*/*": "{\n  \"message\"",
	} {
		_, body := dialRig(t, r.plain).send("GET / HTTP/1.1\r\nHost: h\r\nAccept: " + accept + "\r\n\r\n").answer("GET")
		if !strings.HasPrefix(body, want) {
			t.Errorf("%s: got %q", accept, body)
		}
	}
	for name, path := range map[string]string{
		"KONG_ERROR_TEMPLATE_JSON": file("three", "%s %s %s"), "KONG_ERROR_TEMPLATE_XML": filepath.Join(dir, "gone"),
	} {
		if _, err := read(map[string]string{name: path}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Clients that ask are told what their request matched, where that is allowed.
func TestDebugHeaders(t *testing.T) {
	up := serve(t, func(http.ResponseWriter, *http.Request) {})
	config := fmt.Sprintf(`
services:
- {name: s, id: 11111111-1111-4111-8111-111111111111, url: %q, routes: [{name: r, id: 22222222-2222-4222-8222-222222222222, paths: [/]}]}
routes: [{name: alone, id: 33333333-3333-4333-8333-333333333333, paths: [/alone]}]`, up.URL)
	names := []string{"Kong-Route-Name", "Kong-Route-Id", "Kong-Service-Name", "Kong-Service-Id"}
	for _, c := range []struct {
		allowed     bool
		path, asked string
		want        string
	}{
		{true, "/", "Kong-Debug: 1\r\n", "r 22222222-2222-4222-8222-222222222222 s 11111111-1111-4111-8111-111111111111"},
		{true, "/alone", "Kong-Debug: 1\r\n", "alone 33333333-3333-4333-8333-333333333333"},
		{true, "/", "", ""},
		{false, "/", "Kong-Debug: 1\r\n", ""},
	} {
		r := startRig(t, config, rigOptions{settings: func(s *engine.Settings) { s.AllowDebugHeader = c.allowed }})
		a, _ := dialRig(t, r.plain).send("GET " + c.path + " HTTP/1.1\r\nHost: h\r\n" + c.asked + "\r\n").answer("GET")
		var got []string
		for _, name := range names {
			got = append(got, a.Header.Get(name))
		}
		if text := strings.TrimSpace(strings.Join(got, " ")); text != c.want {
			t.Errorf("%+v: got %q", c, text)
		}
	}
}
