// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// diary notes which phases ran, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.lines
	d.lines = nil
	return out
}

// notes returns phases that only write into the diary.
func (d *diary) notes(name string) func() *plugin.Phases {
	note := func(phase string) func(plugin.Exchange) {
		return func(plugin.Exchange) { d.add("%s %s", name, phase) }
	}
	return func() *plugin.Phases {
		return &plugin.Phases{
			Rewrite: note("rewrite"), Access: note("access"), HeaderFilter: note("header_filter"),
			BodyFilter: func(_ plugin.Exchange, chunk []byte, last bool) []byte {
				d.add("%s body_filter %q %t", name, chunk, last)
				return chunk
			},
			Log: note("log"),
		}
	}
}

func enabled(names ...string) string {
	var out strings.Builder
	out.WriteString("plugins:\n")
	for _, n := range names {
		_, _ = fmt.Fprintf(&out, "- {name: %s}\n", n)
	}
	return out.String()
}

func TestPhases(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "body") })
	d := &diary{}
	exit := func() *plugin.Phases {
		p := d.notes("probe-2")()
		p.Access = func(x plugin.Exchange) {
			d.add("probe-2 access")
			if x.Request().Path == "/exit" {
				x.Exit(plugin.Reply{Status: 418, Message: "no", Header: []plugin.Field{{Name: "X-Exit", Value: "yes"}}})
			}
		}
		return p
	}
	broken := func() *plugin.Phases {
		p := d.notes("probe-3")()
		for _, f := range []*func(plugin.Exchange){&p.Rewrite, &p.Access, &p.HeaderFilter, &p.Log} {
			phase := *f
			*f = func(x plugin.Exchange) {
				phase(x)
				if x.Request().Path == "/panic-access" && x.Response().Status == 0 && x.Route() != nil || x.Request().Path == "/panic-after" && x.Response().Status != 0 {
					panic("on purpose")
				}
			}
		}
		return p
	}
	r := startRig(t, service(up.URL, enabled("probe-3", "probe-1", "probe-2")), rigOptions{plugins: probes{
		"probe-1": d.notes("probe-1"), "probe-2": exit, "probe-3": broken,
	}})
	cases := []struct {
		path   string
		status int
		body   string
		want   []string
	}{
		{"/", 200, "body", []string{
			"probe-1 rewrite", "probe-2 rewrite", "probe-3 rewrite", "probe-1 access", "probe-2 access", "probe-3 access",
			"probe-1 header_filter", "probe-2 header_filter", "probe-3 header_filter",
			`probe-1 body_filter "body" true`, `probe-2 body_filter "body" true`, `probe-3 body_filter "body" true`,
			"probe-1 log", "probe-2 log", "probe-3 log",
		}},
		// Later plugins' access is left out, their response phases are not.
		{"/exit", 418, "{\n  \"message\":\"no\"", []string{
			"probe-1 rewrite", "probe-2 rewrite", "probe-3 rewrite", "probe-1 access", "probe-2 access",
			"probe-1 header_filter", "probe-2 header_filter", "probe-3 header_filter",
			"probe-1 log", "probe-2 log", "probe-3 log",
		}},
		{"/panic-access", 500, "{\n  \"message\":\"An unexpected error occurred\"", []string{
			"probe-1 rewrite", "probe-2 rewrite", "probe-3 rewrite", "probe-1 access", "probe-2 access", "probe-3 access",
			"probe-1 header_filter", "probe-2 header_filter", "probe-3 header_filter", "probe-1 log", "probe-2 log", "probe-3 log",
		}},
		// What breaks while the answer is on its way costs only itself.
		{"/panic-after", 200, "body", []string{
			"probe-1 rewrite", "probe-2 rewrite", "probe-3 rewrite", "probe-1 access", "probe-2 access", "probe-3 access",
			"probe-1 header_filter", "probe-2 header_filter", "probe-3 header_filter",
			`probe-1 body_filter "body" true`, `probe-2 body_filter "body" true`, `probe-3 body_filter "body" true`,
			"probe-1 log", "probe-2 log", "probe-3 log",
		}},
	}
	for _, c := range cases {
		t.Run(c.path, func(t *testing.T) {
			a, body := r.get(c.path)
			if a.StatusCode != c.status || !strings.HasPrefix(body, c.body) {
				t.Errorf("got %d %q", a.StatusCode, body)
			}
			if want := c.status == 418; (a.Header.Get("X-Exit") == "yes") != want {
				t.Errorf("X-Exit %q", a.Header.Get("X-Exit"))
			}
			until(t, "the log phase", func() bool {
				d.mu.Lock()
				defer d.mu.Unlock()
				return slices.Contains(d.lines, "probe-3 log")
			})
			got := slices.DeleteFunc(d.take(), func(s string) bool { return c.status >= 400 && strings.Contains(s, "body_filter") })
			if !slices.Equal(got, c.want) {
				t.Errorf("phases\n got %q\nwant %q", got, c.want)
			}
		})
	}
	// A broken log phase is reported after it ran.
	until(t, "three reports of broken plugins", func() bool { return strings.Count(r.log.String(), "plugin failed") >= 3 })
	if log := r.log.String(); strings.Count(log, "plugin failed") != 3 || !strings.Contains(log, "on purpose") {
		t.Errorf("log: %s", log)
	}
}

func TestBodiesForPlugins(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("X-Chunks") != "" {
			for _, b := range body {
				_, _ = w.Write([]byte{b})
				w.(http.Flusher).Flush()
			}
			return
		}
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		_, _ = w.Write(body)
	})
	var seen []string
	phases := map[string]*plugin.Phases{
		"upper as a stream": {
			HeaderFilter: func(x plugin.Exchange) { x.Response().Header.Del("Content-Length") },
			BodyFilter: func(_ plugin.Exchange, chunk []byte, last bool) []byte {
				out := bytes.ToUpper(chunk)
				if last {
					out = append(out, '!')
				}
				return out
			},
		},
		"whole answer in one piece": {
			Needs:        plugin.Needs{ResponseBody: 64},
			HeaderFilter: func(x plugin.Exchange) { x.Response().Header.Del("Content-Length") },
			BodyFilter: func(_ plugin.Exchange, chunk []byte, last bool) []byte {
				return fmt.Appendf(nil, "%s/%t", chunk, last)
			},
		},
		"response phase": {
			Response: func(x plugin.Exchange) {
				r := x.Response()
				r.Status = 203
				r.Header.Set("X-Was", "seen")
				r.Body = append([]byte("was "), r.Body...)
			},
		},
		"request body seen and replaced": {
			Needs: plugin.Needs{RequestBody: 1 << 10},
			Access: func(x plugin.Exchange) {
				body, complete := x.Body()
				seen = append(seen, fmt.Sprintf("%s %t", body, complete))
				x.SetBody([]byte("replaced"))
			},
		},
		"filter that forgets the length": {
			BodyFilter: func(_ plugin.Exchange, chunk []byte, _ bool) []byte { return append([]byte("longer "), chunk...) },
		},
		"answer that says it has no body": {
			HeaderFilter: func(x plugin.Exchange) { x.Response().Status = 204 },
		},
		"status that HTTP does not have": {
			HeaderFilter: func(x plugin.Exchange) { x.Response().Status = 7 },
		},
	}
	cases := []struct {
		phases, body string
		status       int
		want         string
	}{
		{"upper as a stream", "abc", 200, "ABC!"},
		{"whole answer in one piece", "abc", 200, "abc/true"},
		{"whole answer in one piece", strings.Repeat("x", 65), 502, ""},
		{"response phase", "abc", 203, "was abc"},
		{"request body seen and replaced", "abc", 200, "replaced"},
		{"request body seen and replaced", strings.Repeat("x", 1025), 413, ""},
		{"filter that forgets the length", "abc", 200, "lon"},
		{"answer that says it has no body", "abc", 204, ""},
		{"status that HTTP does not have", "abc", 500, "abc"},
	}
	for _, c := range cases {
		for _, chunks := range []string{"", "X-Chunks: 1\r\n"} {
			t.Run(fmt.Sprintf("%s %d%s", c.phases, len(c.body), chunks), func(t *testing.T) {
				if chunks != "" && c.phases == "filter that forgets the length" {
					return
				}
				r := startRig(t, service(up.URL, enabled("probe-1")), rigOptions{plugins: probes{"probe-1": func() *plugin.Phases { return phases[c.phases] }}})
				w := dialRig(t, r.plain)
				for range 2 {
					w.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s", chunks, len(c.body), c.body))
					a, body := w.answer("POST")
					if a.StatusCode != c.status || c.status < 400 && body != c.want {
						t.Errorf("got %d %q, want %d %q", a.StatusCode, body, c.status, c.want)
					}
					if c.status == 413 {
						return
					}
				}
			})
		}
	}
	if len(seen) == 0 || seen[0] != "abc true" {
		t.Errorf("the request body was shown as %q", seen)
	}
}

// A route whose plugin cannot be configured must not be served without it.
func TestUnusablePluginClosesItsRoute(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	config := fmt.Sprintf(`services:
- name: s
  url: %q
  routes:
  - {name: open, paths: [/open]}
  - {name: guarded, paths: [/guarded], plugins: [{name: probe-1, config: {tag: unusable}}]}
  - {name: off, paths: [/off], plugins: [{name: probe-1, enabled: false, config: {tag: unusable}}]}
- {name: l4, url: "tcp://127.0.0.1:1", routes: [{name: orphan, paths: [/open/orphan], protocols: [http]}]}
`, up.URL)
	r := startRig(t, service(up.URL, ""), rigOptions{plugins: probes{"probe-1": func() *plugin.Phases { return &plugin.Phases{} }}})
	rejected := r.apply(config)
	if len(rejected) == 0 {
		t.Fatal("nothing was rejected")
	}
	for path, want := range map[string]int{"/open": 200, "/guarded": 500, "/off": 200, "/open/orphan": 503} {
		if a, body := r.get(path); a.StatusCode != want {
			t.Errorf("%s: got %d %q, want %d (rejected: %v)", path, a.StatusCode, body, want, rejected)
		}
	}
}

// What a plugin keeps without Keep is garbage by the next request, and an
// exchange that is over cannot be used: only builds with the poison tag show it.
func TestKeptViews(t *testing.T) {
	up := serve(t, func(http.ResponseWriter, *http.Request) {})
	var mu sync.Mutex
	var views, kept []string
	var exchanges []plugin.Exchange
	r := startRig(t, service(up.URL, enabled("probe-1")), rigOptions{plugins: probes{"probe-1": func() *plugin.Phases {
		return &plugin.Phases{Log: func(x plugin.Exchange) {
			mu.Lock()
			defer mu.Unlock()
			views, kept = append(views, x.Header().Get("X-Mark")), append(kept, x.Keep(x.Header().Get("X-Mark")))
			exchanges = append(exchanges, x)
		}}
	}}})
	w := dialRig(t, r.plain)
	for range 2 {
		w.send("GET / HTTP/1.1\r\nHost: h\r\nX-Mark: mark\r\n\r\n").answer("GET")
	}
	until(t, "the log phase", func() bool { mu.Lock(); defer mu.Unlock(); return len(kept) == 2 })
	if err := r.drain(patience); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if kept[0] != "mark" || kept[1] != "mark" {
		t.Errorf("kept %q", kept)
	}
	if poisoned && views[0] == "mark" {
		t.Error("a view outlived its request")
	}
	defer func() {
		if v := recover(); poisoned && v == nil {
			t.Error("an exchange can be used after its end")
		}
	}()
	exchanges[0].Exited()
}
