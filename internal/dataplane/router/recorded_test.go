// SPDX-License-Identifier: Apache-2.0

package router

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// recordedCase is a case with the answers of a real Kong 3.9.3 (the router
// flavor is "traditional"). Only what the router decides is looked at.
type recordedCase struct {
	Name   string
	Config struct {
		Services []struct {
			entity.Service
			URL    string
			Routes []*entity.Route
		}
		Routes []*entity.Route
	}
	Steps []struct {
		Send struct {
			Method  string
			Target  string
			Headers [][2]string
			TLS     *struct{ SNI string }
		}
		Expect struct {
			Status   int
			Upstream []struct {
				Backend string
				Target  string
				Headers map[string]any
			}
		}
	}
}

// differsWithExpressions are the cases that have another answer under that
// flavor: it ignores path_handling v1, and routes take requests of their
// protocols only.
var differsWithExpressions = map[string]bool{
	"path/no-path-route-v1": true, "path/regex-v1": true, "path/v1-keep-plain": true,
	"router/protocol-http-only-over-tls": true, "router/protocol-same-path-split": true,
}

func TestRecordedCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) < 60 {
		t.Fatalf("recorded cases: %d files, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c recordedCase
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Run(c.Name, func(t *testing.T) { c.run(t, Traditional) })
		if !differsWithExpressions[c.Name] {
			t.Run(c.Name+" among expressions", func(t *testing.T) { c.run(t, Expressions) })
		}
	}
}

func (c *recordedCase) run(t *testing.T, flavor Flavor) {
	r, problems := Empty(flavor).With(c.items(t), nil)
	for _, p := range problems {
		t.Fatal(p)
	}
	for i := range c.Steps {
		send, expect := &c.Steps[i].Send, &c.Steps[i].Expect
		if expect.Status == 400 {
			continue // refused before routing
		}
		res, ok := r.Match(c.input(i))
		if ok == (expect.Status == 404) {
			t.Errorf("%s: matched %v, recorded status %d", send.Target, ok, expect.Status)
			continue
		}
		switch {
		case !ok:
		case len(expect.Upstream) == 1:
			c.checkUpstream(t, i, &res)
		case expect.Status == 503 || expect.Status == 201:
			if res.Route.Service != nil {
				t.Errorf("%s: route %q has a service", send.Target, res.Route.Entity.Name)
			}
		default:
			if !res.Route.HTTPSRequired() || res.Route.HTTPSRedirectStatus != expect.Status {
				t.Errorf("%s: https required %v with %d, recorded %d", send.Target,
					res.Route.HTTPSRequired(), res.Route.HTTPSRedirectStatus, expect.Status)
			}
		}
	}
}

func (c *recordedCase) checkUpstream(t *testing.T, step int, res *Result) {
	send, want := &c.Steps[step].Send, &c.Steps[step].Expect.Upstream[0]
	if got := res.Route.Service.Host; got != want.Backend {
		t.Errorf("%s %v: backend %s, recorded %s", send.Target, send.Headers, got, want.Backend)
		return
	}
	target := string(res.BuildPath(nil))
	if i := strings.IndexByte(send.Target, '?'); i >= 0 {
		target += send.Target[i:]
	}
	if target != want.Target {
		t.Errorf("%s: upstream target %s, recorded %s", send.Target, target, want.Target)
	}
	prefix, _ := want.Headers["x-forwarded-prefix"].(string)
	if got := res.ForwardedPrefix(); got != prefix {
		t.Errorf("%s: X-Forwarded-Prefix %q, recorded %q", send.Target, got, prefix)
	}
}

func (c *recordedCase) items(t *testing.T) []Item {
	var items []Item
	for _, s := range c.Config.Services {
		service := s.Service
		backend, path, _ := strings.Cut(s.URL, ".port}")
		service.Path = path
		service.Host = backend[strings.LastIndexByte(backend, '{')+1:]
		for _, r := range s.Routes {
			items = append(items, Item{Route: r, Service: &service})
		}
	}
	for _, r := range c.Config.Routes {
		items = append(items, Item{Route: r})
	}
	for i := range items {
		items[i].Route.ID = entity.ID("id-" + strconv.Itoa(i))
	}
	if len(items) == 0 {
		t.Fatal("no routes")
	}
	return items
}

func (c *recordedCase) input(step int) *Input {
	send := &c.Steps[step].Send
	in := &Input{Method: send.Method, TLS: send.TLS != nil}
	if in.Method == "" {
		in.Method = "GET"
	}
	if send.TLS != nil {
		in.SNI = strings.ToLower(send.TLS.SNI)
	}
	host := "localhost"
	var lines headerLines
	for _, h := range send.Headers {
		if strings.EqualFold(h[0], "host") {
			host = h[1]
		}
		lines = append(lines, [2]string{strings.ToLower(h[0]), strings.TrimSpace(h[1])})
	}
	in.Headers = lines
	in.Host, in.Port = SplitHost(host)
	target := send.Target
	if u, err := url.Parse(target); err == nil && u.Scheme != "" {
		target = "/" + strings.TrimPrefix(target[len(u.Scheme)+3+len(u.Host):], "/")
	}
	path, _, _ := strings.Cut(target, "?")
	in.Path = normalise(latin1(path))
	return in
}

// latin1 undoes the recordings' spelling of raw bytes as code points.
func latin1(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// normalise is a plain reading of what the engine does before it routes: it
// decodes all but the reserved escapes, merges slashes and removes dots.
func normalise(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if v, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil {
				if strings.IndexByte("!*'();:@&=+$,/?%#[]", byte(v)) < 0 {
					b.WriteByte(byte(v))
				} else {
					b.WriteString(strings.ToUpper(path[i : i+3]))
				}
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	var segments []string
	parts := strings.Split(strings.TrimPrefix(b.String(), "/"), "/")
	for i, s := range parts {
		last := i == len(parts)-1
		switch {
		case s == "..":
			segments = segments[:max(0, len(segments)-1)]
		case s != "." && (s != "" || last):
			segments = append(segments, s)
			continue
		}
		if last {
			segments = append(segments, "")
		}
	}
	return "/" + strings.Join(segments, "/")
}

// headerLines is a Headers made of lines with lower-case names.
type headerLines [][2]string

func (h headerLines) HeaderValue(name string, i int) (string, bool) {
	for _, l := range h {
		if l[0] == name {
			if i == 0 {
				return l[1], true
			}
			i--
		}
	}
	return "", false
}
