// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestStickySessions: a client is told its peer by a cookie, and a new one when
// that peer fails.
func TestStickySessions(t *testing.T) {
	serve := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") == "" {
				w.Header()["Set-Cookie"] = []string{"first=1", "sid=of-the-upstream; Path=/", "last=1"}
			}
			_, _ = io.WriteString(w, name)
		}))
		t.Cleanup(s.Close)
		return s
	}
	servers := map[string]*httptest.Server{"a": serve("a"), "b": serve("b")}
	address := func(name string) string { return strings.TrimPrefix(servers[name].URL, "http://") }
	r := startRig(t, fmt.Sprintf(`
upstreams:
- name: up
  algorithm: sticky-sessions
  hash_on: none
  sticky_sessions_cookie: sid
  sticky_sessions_cookie_path: /shop
  targets: [{target: "%s"}, {target: "%s"}]
services:
- name: s
  host: up
  routes: [{name: r, paths: [/]}]
`, address("a"), address("b")), rigOptions{})
	visit := func(cookie string) (name string, set *http.Cookie) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.plain+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if cookie != "" {
			req.Header.Set("Cookie", "other=1; sid="+cookie)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s %q %v", answer.Status, body, err)
		}
		switch cookies := answer.Cookies(); {
		case len(cookies) == 3 && cookies[0].Name == "first" && cookies[2].Name == "last":
			set = cookies[1]
		case len(cookies) == 1:
			set = cookies[0]
		case len(cookies) > 0:
			t.Errorf("cookies %v", cookies)
		}
		return string(body), set
	}
	name, cookie := visit("")
	if cookie == nil || cookie.Name != "sid" || cookie.Value == "of-the-upstream" || cookie.Path != "/shop" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
		t.Fatalf("cookie %+v", cookie)
	}
	for range 6 {
		if again, set := visit(cookie.Value); again != name || set != nil {
			t.Fatalf("came back to %s, cookie %v", again, set)
		}
	}
	servers[name].Close()
	other, moved := visit(cookie.Value)
	if other == name || moved == nil || moved.Value == cookie.Value {
		t.Fatalf("after its peer went: %s, cookie %v", other, moved)
	}
	if again, set := visit(moved.Value); again != other || set != nil {
		t.Fatalf("came back to %s, cookie %v", again, set)
	}
}
