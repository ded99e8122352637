// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
)

// decoded returns the entities of a declarative document by name.
func (r *rig) decoded(config string) map[string]entity.Entity {
	r.t.Helper()
	set, problems := entity.Decode([]byte("_format_version: \"3.0\"\n"+config), r.schemas)
	if len(problems) > 0 {
		r.t.Fatalf("config: %v", problems)
	}
	out := map[string]entity.Entity{}
	for e := range set.All() {
		switch e := e.(type) {
		case *entity.Service:
			out[e.Name] = e
		case *entity.Route:
			out[e.Name] = e
		case *entity.Plugin:
			out[e.Name] = e
		case *entity.Upstream:
			out[e.Name] = e
		case *entity.Target:
			out["target "+e.Target] = e
		}
	}
	return out
}

// testID returns the n-th id of a kind.
func testID(kind, n int) entity.ID {
	return entity.ID(fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, n))
}

func put(list ...entity.Entity) entity.Delta { return entity.Delta{Put: list} }

func remove(list ...entity.Entity) (d entity.Delta) {
	for _, e := range list {
		d.Removed = append(d.Removed, entity.KeyOf(e))
	}
	return d
}

func (r *rig) expect(what, path string, status int) {
	r.t.Helper()
	if a, body := r.get(path); a.StatusCode != status {
		r.t.Errorf("%s: %s answers %d %q, want %d", what, path, a.StatusCode, body, status)
	}
}

// A rejected entity costs itself and what depends on it, for as long as it is
// so, and the reason names entity and field each time something changes.
func TestUpdateRejections(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up") })
	l := &lives{}
	r := startRig(t, "", rigOptions{plugins: probes{"probe-1": l.phases}})
	e := r.decoded(fmt.Sprintf(`services:
- {name: s, url: %q, routes: [{name: r, paths: [/r], strip_path: false}, {name: other, paths: [/other]}]}
plugins: [{name: probe-1, route: r}]
`, up.URL))
	route, service, probe := e["r"].(*entity.Route), e["s"].(*entity.Service), e["probe-1"].(*entity.Plugin)
	check := func(what string, rejected []string, got []string) {
		t.Helper()
		if !slices.Equal(rejected, got) {
			t.Errorf("%s: rejected %q, want %q", what, got, rejected)
		}
	}
	update := func(d entity.Delta) (out []string) {
		for _, j := range r.Update(d) {
			out = append(out, j.Name+" "+j.Field)
			if j.Reason == "" || j.Key.ID == "" {
				t.Errorf("%+v says too little", j)
			}
		}
		return out
	}

	check("a route before its service", []string{"r service"}, update(put(route, probe)))
	r.expect("a route before its service", "/r", 503)
	check("all", nil, update(put(service, e["other"])))
	r.expect("all", "/r", 200)

	broken := *route
	broken.Paths = []string{"/r", "~/(broken"}
	check("a broken route", []string{"r paths"}, update(put(&broken)))
	r.expect("a broken route", "/r", 404)
	r.expect("beside a broken route", "/other", 200)
	check("something else", []string{"r paths"}, update(put(e["other"])))
	check("the route is mended", nil, update(put(route)))
	r.expect("the route is mended", "/r", 200)

	check("no service", []string{"other service", "r service"}, slices.Sorted(slices.Values(update(remove(service)))))
	r.expect("no service", "/r", 503)
	check("the service is back", nil, update(put(service)))
	r.expect("the service is back", "/r", 200)

	unusable := *service
	unusable.Protocol = "ws"
	check("a service of no use", []string{"other service", "r service", "s protocol"}, slices.Sorted(slices.Values(update(put(&unusable)))))
	r.expect("a service of no use", "/r", 503)
	check("the service is mended", nil, update(put(service)))
	r.expect("the service is mended", "/r", 200)

	for _, config := range []map[string]any{{"tag": "unusable"}, {"tag": 7}, {"none": "such"}} {
		bad := *probe
		bad.Config = config
		check("a plugin of no use", []string{"probe-1 config"}, update(put(&bad)))
		r.expect("a plugin of no use", "/r", 500)
		r.expect("beside a plugin of no use", "/other", 200)
	}
	check("the plugin is mended", nil, update(put(probe)))
	r.expect("the plugin is mended", "/r", 200)
	check("the plugin is gone", nil, update(remove(probe)))
	until(t, "the end of its instances", func() bool { return l.closed.Load() == l.made.Load() })
	if l.misused.Load() > 0 {
		t.Errorf("%d uses after the end", l.misused.Load())
	}
}

// Targets come and go, and names become upstreams, without a change of the
// services and routes that lead there.
func TestUpdateTargets(t *testing.T) {
	var answers [2]string
	for i := range answers {
		up := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, fmt.Sprint("up", i)) })
		answers[i] = strings.TrimPrefix(up.URL, "http://")
	}
	r := startRig(t, "", rigOptions{})
	e := r.decoded(fmt.Sprintf(`services:
- {name: s, host: pool.invalid, routes: [{name: r, paths: [/r]}]}
upstreams: [{name: pool.invalid, targets: [{target: %q}, {target: %q}]}]
`, answers[0], answers[1]))
	first, second := e["target "+answers[0]], e["target "+answers[1]]
	body := func(d entity.Delta) string {
		t.Helper()
		if rejected := r.Update(d); len(rejected) > 0 {
			t.Fatal(rejected)
		}
		_, body := r.get("/r")
		return body
	}
	if got := body(put(e["s"], e["r"])); !strings.Contains(got, "name resolution failed") {
		t.Errorf("a name that does not resolve answers %q", got)
	}
	if got := body(put(second, e["pool.invalid"])); got != "up1" {
		t.Errorf("the upstream came: %q", got)
	}
	delta := put(first)
	delta.Removed = []entity.Key{entity.KeyOf(second)}
	if got := body(delta); got != "up0" {
		t.Errorf("another target: %q", got)
	}
	if got := body(remove(first)); !strings.Contains(got, "ring-balancer") {
		t.Errorf("no target: %q", got)
	}
	if got := body(remove(e["pool.invalid"])); !strings.Contains(got, "name resolution failed") {
		t.Errorf("the upstream is gone: %q", got)
	}
}

// No request fails while all around it changes, and each instance is closed
// once, after its last use.
func TestUpdateUnderLoad(t *testing.T) {
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	l := &lives{}
	r := startRig(t, withProbe(up.URL, "0"), rigOptions{plugins: probes{"probe-1": l.phases}})
	base := r.decoded(service(up.URL, ""))
	traffic := startLoad(t, r.plain, 6)
	const updates = 300
	for n := range updates {
		before := traffic.done.Load()
		tag := map[string]any{"tag": fmt.Sprint(n)}
		extra := &entity.Route{ID: testID(1, n%7), Service: &entity.Ref{ID: base["s"].EntityID()}, Paths: []string{fmt.Sprint("/extra-", n)}}
		local := &entity.Plugin{ID: testID(2, n%5), Name: "probe-1", Route: &entity.Ref{ID: extra.ID}, Config: tag}
		changed := *base["s"].(*entity.Service)
		retries := n % 3
		changed.Retries = &retries
		d := put([]entity.Entity{extra, local, &changed, base["r"], &entity.Plugin{ID: testID(3, 0), Name: "probe-1", Config: tag}}[n%5])
		if n%11 == 10 {
			d = remove(local, extra)
		}
		for _, problem := range r.Update(d) {
			t.Error(problem)
		}
		until(t, "traffic", func() bool { return traffic.done.Load() > before })
	}
	traffic.end()
	if err := r.drain(patience); err != nil {
		t.Error(err)
	}
	if l.closed.Load() != l.made.Load() || l.misused.Load() > 0 || l.made.Load() < updates/5 {
		t.Errorf("%d made, %d closed, %d uses after the end", l.made.Load(), l.closed.Load(), l.misused.Load())
	}
}

// A plugin that takes long to close holds up no change, and none of the others.
func TestClosingHoldsNothingUp(t *testing.T) {
	up := serve(t, func(http.ResponseWriter, *http.Request) {})
	slow, release := make(chan struct{}), make(chan struct{})
	var once, closed atomic.Int32
	phases := func() *plugin.Phases {
		return &plugin.Phases{Close: func() {
			if once.Add(1) == 1 {
				close(slow)
				<-release
			}
			closed.Add(1)
		}}
	}
	r := startRig(t, withProbe(up.URL, "0"), rigOptions{plugins: probes{"probe-1": phases}})
	r.apply(withProbe(up.URL, "1"))
	<-slow
	for n := 2; n < 10; n++ {
		r.apply(withProbe(up.URL, fmt.Sprint(n)))
	}
	until(t, "the others to be closed", func() bool { return closed.Load() == 8 })
	close(release)
	if err := r.drain(patience); err != nil {
		t.Error(err)
	}
	if closed.Load() != 10 {
		t.Errorf("%d instances were closed, want 10", closed.Load())
	}
}
