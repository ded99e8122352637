// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/dataplane/admin"
	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// planted stands in each place where a request's or an answer's headers,
// arguments or bodies are configured; plantedName beside it, where such a value
// has a name.
const (
	planted     = "hunter2"
	plantedName = "X-Planted"
)

// carriers are fields whose text is sent as a header, an argument or a body.
var carriers = []string{"headers", "querystring", "body", "json", "custom_fields_by_lua"}

// namesOnly are fields of such a name that hold no values.
var namesOnly = map[string]bool{
	"request-transformer.remove": true, "request-transformer.rename": true,
	"response-transformer.remove": true, "response-transformer.rename": true,
	"cors.headers": true,
}

// plant returns a value for a record that has planted in every text of its
// carriers, and URLs that hold it everywhere else, and how many there are.
func plant(r *schema.Record, at string) (value map[string]any, n int) {
	value = map[string]any{}
	for _, f := range r.Fields() {
		path := at + "." + f.Name()
		if namesOnly[path] {
			continue
		}
		v, found := plantIn(f, path, slices.Contains(carriers, f.Name()))
		if found > 0 {
			value[f.Name()] = v
			n += found
		}
	}
	return value, n
}

func plantIn(f *schema.Field, path string, carrier bool) (value any, n int) {
	switch f.Type() {
	case schema.TypeString:
		switch {
		case carrier && f.HasSecretValue():
			return plantedName + ":Basic " + planted, 1
		case carrier:
			return planted, 1
		}
		return "https://user:" + planted + "@up.test/", 1
	case schema.TypeArray, schema.TypeSet:
		v, n := plantIn(f.Elements(), path, carrier)
		return []any{v}, n
	case schema.TypeMap:
		v, n := plantIn(f.Elements(), path, carrier)
		return map[string]any{plantedName: v}, n
	case schema.TypeRecord:
		return plant(f.Record(), path)
	case schema.TypeAny:
		return planted, 1
	}
	return nil, 0
}

// However a plugin or an upstream is configured, the Admin view tells the names
// of headers, arguments and fields of bodies, and of their values nothing.
func TestAdminViewHidesValues(t *testing.T) {
	t.Parallel()
	set, problems := entity.Decode([]byte(`_format_version: "3.0"
services: [{name: one, host: up.test, routes: [{name: r, paths: [/]}]}]
consumers: [{username: alice}]
consumer_groups: [{name: gold}]
upstreams: [{name: up.test, targets: [{target: "127.0.0.1:1"}], healthchecks: {active: {headers: {`+plantedName+`: [Basic `+planted+`]}}}}]
`), schemas.All())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	leaves := 0
	for _, s := range schemas.All().Plugins() {
		config, n := plant(s.Config, s.Name)
		leaves += n
		set.Add(&entity.Plugin{
			ID: entity.NewID("plugins", s.Name), Name: s.Name, InstanceName: s.Name, Config: config,
			Service: &entity.Ref{ID: entity.NewID("services", "one")},
		})
	}
	if leaves < 60 {
		t.Errorf("only %d values were planted", leaves)
	}
	entities := admin.NewEntities(time.Now)
	entities.Replace(set)
	view := admin.New(admin.Options{
		Entities: entities, Schemas: schemas.All(), Info: func() map[string]any { return map[string]any{} }, Status: func() any { return nil },
		Health: func(entity.ID) (map[string][]admin.Address, bool) { return nil, false },
	})
	ask := func(path string) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		view.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), planted) {
			t.Errorf("%s shows a value: %s", path, around(w.Body.String(), planted))
		}
		return w.Body.String()
	}
	var endpoints struct{ Data []string }
	if err := json.Unmarshal([]byte(ask("/endpoints")), &endpoints); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{services}", "one", "{routes}", "r", "{consumers}", "alice", "{consumer_groups}", "gold",
		"{upstreams}", "up.test", "{targets}", "127.0.0.1:1")
	for _, path := range endpoints.Data {
		for _, s := range schemas.All().Plugins() {
			ask(strings.NewReplacer("{plugins}", s.Name, "{name}", s.Name).Replace(fill.Replace(path)))
			if !strings.Contains(path, "{plugins}") && !strings.Contains(path, "{name}") {
				break
			}
		}
	}
	for _, path := range []string{"/plugins/request-transformer", "/plugins/response-transformer", "/plugins/http-log", "/upstreams/up.test", "/plugins?size=1000"} {
		if body := ask(path); !strings.Contains(body, plantedName) || !strings.Contains(body, schema.Redacted) {
			t.Errorf("%s does not show the names: %s", path, body)
		}
	}
}

// around returns what stands beside a word.
func around(text, word string) string {
	i := strings.Index(text, word)
	return text[max(0, i-120):min(len(text), i+40)]
}
