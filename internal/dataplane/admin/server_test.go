// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
)

func testSchemas(t testing.TB) entity.SchemaSet {
	t.Helper()
	s, err := entity.NewSchemaSet(
		entity.PluginSchema{Name: "teller", Config: schema.NewRecord(
			schema.String("word").Secret().Referenceable(), schema.Integer("times").Default(1),
			schema.Array("list", schema.Nested("", schema.NewRecord(schema.String("a"), schema.String("b")))),
		)},
		entity.PluginSchema{Name: "key-auth", Config: schema.NewRecord(), Credentials: []entity.CredentialType{{
			Collection: "keyauth_credentials", UniqueKey: "key", Record: schema.NewRecord(schema.String("key").Secret()),
		}}},
		entity.PluginSchema{Name: "jwt", Config: schema.NewRecord(), Credentials: []entity.CredentialType{{
			Collection: "jwt_secrets", UniqueKey: "key", Record: schema.NewRecord(schema.String("key"), schema.String("secret").Secret()),
		}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const config = `_format_version: "3.0"
services:
- name: one
  host: up.test
  tags: [a, b]
  routes:
  - {name: r1, paths: [/1], tags: [a]}
  - {name: r2, paths: [/2]}
  plugins:
  - {name: teller, instance_name: told, config: {word: hunter2, list: [{a: x}]}}
- {name: two, host: two.test, tags: [b]}
routes:
- {name: alone, paths: [/a]}
upstreams:
- name: up.test
  targets: [{target: "10.0.0.1:80"}, {target: "10.0.0.2:80"}, {target: "gone.test:80"}]
- name: idle.test
  targets: [{target: "10.0.0.3:80"}]
consumers:
- username: alice
  groups: [{name: gold}]
  keyauth_credentials: [{key: hunter2-key}]
  jwt_secrets: [{key: hunter2-jwt, secret: hunter2-secret}]
  plugins:
  - {name: teller, config: {word: "{vault://env/word}"}}
consumer_groups: [{name: gold}]
certificates:
- {cert: "{vault://file/crt}", key: "{vault://file/key}", snis: [{name: b.test}, {name: a.test}]}
vaults:
- {name: env, prefix: mine, config: {prefix: P_}}
`

func newServer(t testing.TB) *Server {
	t.Helper()
	schemas := testSchemas(t)
	set, problems := entity.Decode([]byte(config), schemas)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	entities := NewEntities(time.Now)
	entities.Replace(set)
	return New(Options{
		Entities: entities, Schemas: schemas, NodeID: "node", Product: "kong/test",
		Info:   func() map[string]any { return map[string]any{"version": "0"} },
		Status: func() any { return map[string]any{"server": map[string]any{}} },
		Health: func(id entity.ID) (map[string][]Address, bool) {
			at := func(s, health string) Address {
				return Address{AddrPort: netip.MustParseAddrPort(s), Weight: 100, Health: health}
			}
			if id != entity.NewID("upstreams", "up.test") {
				return nil, false
			}
			return map[string][]Address{
				"10.0.0.1:80": {at("10.0.0.1:80", Unhealthy), at("10.0.0.9:80", Healthy)}, "10.0.0.2:80": {at("10.0.0.2:80", Unhealthy)},
			}, true
		},
	})
}

func (s *Server) get(t *testing.T, method, path, host string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var body map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%s: %v: %s", path, err, w.Body)
		}
	}
	return w, body
}

// names returns what the entities of a list are called.
func names(body map[string]any) string {
	var out []string
	list, _ := body["data"].([]any)
	for _, e := range list {
		m, _ := e.(map[string]any)
		for _, field := range []string{"name", "username", "target", "entity_name", "prefix", "key"} {
			if s, ok := m[field].(string); ok {
				out = append(out, s)
				break
			}
		}
	}
	return strings.Join(out, " ")
}

func sortedNames(body map[string]any) string {
	words := strings.Fields(names(body))
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestLists(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for path, want := range map[string]string{
		"/services": "one two", "/services/": "one two", "/services?tags=a": "one", "/services?tags=a,b": "one", "/services?tags=a/b": "one two",
		"/routes": "alone r1 r2", "/services/one/routes": "r1 r2", "/services/two/routes": "", "/services/one/plugins": "teller",
		"/plugins": "teller teller", "/consumers": "alice", "/consumers/alice/plugins": "teller", "/consumers/alice/consumer_groups": "gold",
		"/consumer_groups/gold/consumers": "alice", "/upstreams": "idle.test up.test", "/upstreams/up.test/targets": "10.0.0.1:80 10.0.0.2:80 gone.test:80",
		"/snis": "a.test b.test", "/certificates/a.test/snis": "a.test b.test", "/vaults": "env", "/ca_certificates": "",
		"/key-auths": "REDACTED", "/consumers/alice/key-auth": "REDACTED", "/consumers/alice/jwt": "REDACTED", "/acls": "",
		"/tags/a": "routes services", "/tags": "routes services services services", "/tags/none": "",
	} {
		w, body := s.get(t, http.MethodGet, path, "localhost:8001")
		if got := sortedNames(body); w.Code != 200 || got != want {
			t.Errorf("%s: %d %q, want %q", path, w.Code, got, want)
		}
		if next, set := body["next"]; !set || next != nil {
			t.Errorf("%s: next %v", path, next)
		}
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for path, want := range map[string]map[string]any{
		"/services/one":                          {"name": "one", "port": 80.0, "retries": 5.0, "path": nil, "client_certificate": nil},
		"/routes/r1":                             {"name": "r1", "strip_path": true, "hosts": nil, "service": map[string]any{"id": string(entity.NewID("services", "one"))}},
		"/routes/r1/service":                     {"name": "one"},
		"/services/one/routes/r2":                {"name": "r2"},
		"/plugins/told":                          {"name": "teller", "config": map[string]any{"word": "REDACTED", "times": 1.0, "list": []any{map[string]any{"a": "x", "b": nil}}}},
		"/plugins/told/service":                  {"name": "one"},
		"/consumers/alice":                       {"username": "alice", "custom_id": nil},
		"/upstreams/up.test/targets/10.0.0.1:80": {"target": "10.0.0.1:80", "weight": 100.0},
		"/certificates/b.test":                   {"cert": "{vault://file/crt}", "key": "{vault://file/key}", "snis": []any{"a.test", "b.test"}},
		"/snis/b.test/certificate":               {"cert": "{vault://file/crt}"},
		"/vaults/mine":                           {"name": "env", "config": map[string]any{"prefix": "P_", "ttl": nil, "neg_ttl": nil, "resurrect_ttl": nil, "base64_decode": false}},
		"/services/" + string(entity.NewID("services", "two")): {"name": "two"},
		"/":       {"version": "0", "node_id": "node"},
		"/status": {"server": map[string]any{}},
	} {
		w, body := s.get(t, http.MethodGet, path, "127.0.0.1")
		if w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
		for field, value := range want {
			if got, set := body[field]; !set || !reflect.DeepEqual(got, value) {
				t.Errorf("%s: %s is %v, want %v", path, field, got, value)
			}
		}
	}
	_, body := s.get(t, http.MethodGet, "/routes/r1", "localhost")
	if _, set := body["expression"]; set {
		t.Error("a route without an expression has the field")
	}
}

// Nothing that the API tells holds a secret, whatever is asked.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, body := s.get(t, http.MethodGet, "/endpoints", "localhost")
	paths, _ := body["data"].([]any)
	if len(paths) < 40 {
		t.Fatalf("endpoints: %v", paths)
	}
	fill := strings.NewReplacer("{services}", "one", "{routes}", "r1", "{plugins}", "told", "{consumers}", "alice", "{consumer_groups}", "gold",
		"{upstreams}", "up.test", "{targets}", "10.0.0.1:80", "{certificates}", "a.test", "{snis}", "a.test", "{vaults}", "mine",
		"{tags}", "a", "{key-auth}", keyID(t, s, "/key-auths"), "{key-auths}", keyID(t, s, "/key-auths"), "{jwts}", keyID(t, s, "/jwts"), "{jwt}", keyID(t, s, "/jwts"))
	answered := 0
	for _, p := range paths {
		path := fill.Replace(p.(string))
		w, _ := s.get(t, http.MethodGet, path, "localhost")
		if w.Code == 200 {
			answered++
		}
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s shows a secret: %s", path, w.Body)
		}
	}
	if answered < 35 {
		t.Errorf("only %d of %d endpoints were answered", answered, len(paths))
	}
	// A key is no name to find a credential by.
	for _, path := range []string{"/key-auths/hunter2-key", "/consumers/alice/key-auth/hunter2-key"} {
		if w, _ := s.get(t, http.MethodGet, path, "localhost"); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func keyID(t *testing.T, s *Server, path string) string {
	t.Helper()
	_, body := s.get(t, http.MethodGet, path, "localhost")
	list, _ := body["data"].([]any)
	if len(list) != 1 {
		t.Fatalf("%s: %v", path, body)
	}
	id, _ := list[0].(map[string]any)["id"].(string)
	return id
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct {
		method, path, host string
		code               int
		message            string
	}{
		{"GET", "/services", "evil.test", 403, "for localhost and loopback addresses only"},
		{"GET", "/services", "localhost.evil.test", 403, "only"},
		{"GET", "/services", "127.0.0.1.evil.test", 403, "only"},
		{"GET", "/services", "192.168.0.1:8001", 403, "only"},
		{"GET", "/services", "", 403, "only"},
		{"OPTIONS", "/services", "evil.test", 403, "only"},
		{"GET", "/services", "localhost", 200, ""},
		{"GET", "/services", "LOCALHOST.:8001", 200, ""},
		{"GET", "/services", "127.0.0.1:8001", 200, ""},
		{"GET", "/services", "[::1]:8001", 200, ""},
		{"HEAD", "/services", "[::1]", 200, ""},
		{"GET", "/nothing", "localhost", 404, "Not found"},
		{"POST", "/nothing", "localhost", 404, "Not found"},
		{"GET", "/services/none", "localhost", 404, "Not found"},
		{"GET", "/services/none/routes", "localhost", 404, "Not found"},
		{"GET", "/services/two/routes/r1", "localhost", 404, "Not found"},
		{"GET", "/services/one/nothing", "localhost", 404, "Not found"},
		{"GET", "/services/one/routes/r1/plugins", "localhost", 404, "Not found"},
		{"GET", "/routes/alone/service", "localhost", 404, "Not found"},
		{"GET", "/upstreams/none/health", "localhost", 404, "Not found"},
		{"GET", "/schemas/plugins/none", "localhost", 404, "No plugin named 'none'"},
		{"GET", "/schemas/none", "localhost", 404, "No entity named 'none'"},
		{"GET", "/schemas", "localhost", 404, "Not found"},
		{"POST", "/services", "localhost", 405, "Method not allowed"},
		{"DELETE", "/services/one", "localhost", 405, "Method not allowed"},
		{"GET", "/services?size=0", "localhost", 400, "size must be an integer between 1 and 1000"},
		{"GET", "/services?size=1001", "localhost", 400, "size must be an integer between 1 and 1000"},
		{"GET", "/services?size=x", "localhost", 400, "size must be a number"},
		{"GET", "/services?offset=%21", "localhost", 400, "'!' is not a valid offset: bad base64 encoding"},
		{"GET", "/services?tags=a,b/c", "localhost", 400, "invalid filter syntax"},
	} {
		w, body := s.get(t, c.method, c.path, c.host)
		text, _ := body["message"].(string)
		if w.Code != c.code || !strings.Contains(text, c.message) {
			t.Errorf("%s %s (%s): %d %v", c.method, c.path, c.host, w.Code, body)
		}
	}
	w, _ := s.get(t, http.MethodOptions, "/services", "localhost")
	if w.Code != 204 || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", w.Code, w.Header())
	}
}

// Pages follow each other without gaps or repetitions.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := entity.Delta{}
	for i := range 250 {
		d.Put = append(d.Put, &entity.Service{ID: entity.NewID("services", fmt.Sprint(i)), Name: fmt.Sprint(i), Host: "h", Tags: []string{"many"}})
	}
	s.options.Entities.Update(d)
	seen := map[string]bool{}
	path, pages := "/services?tags=many&size=60", 0
	for path != "" {
		w, body := s.get(t, http.MethodGet, path, "localhost")
		if w.Code != 200 {
			t.Fatalf("%s: %d", path, w.Code)
		}
		for n := range strings.FieldsSeq(names(body)) {
			if seen[n] {
				t.Errorf("%s comes twice", n)
			}
			seen[n] = true
		}
		pages++
		path, _ = body["next"].(string)
		if offset, _ := body["offset"].(string); path != "" && !strings.Contains(path, url.QueryEscape(offset)) {
			t.Errorf("next %s, offset %s", path, offset)
		}
	}
	if len(seen) != 250 || pages != 5 {
		t.Errorf("%d services on %d pages", len(seen), pages)
	}
	s.options.Entities.Update(entity.Delta{Removed: []entity.Key{{Kind: entity.KindService, ID: entity.NewID("services", "7")}}})
	if w, _ := s.get(t, http.MethodGet, "/services/7", "localhost"); w.Code != 404 {
		t.Errorf("a service that is gone: %d", w.Code)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, body := s.get(t, http.MethodGet, "/upstreams/up.test/health", "localhost")
	got := map[string]any{}
	for _, e := range body["data"].([]any) {
		m := e.(map[string]any)
		got[m["target"].(string)] = m["health"]
	}
	want := map[string]any{"10.0.0.1:80": "HEALTHY", "10.0.0.2:80": "UNHEALTHY", "gone.test:80": "DNS_ERROR"}
	if !reflect.DeepEqual(got, want) || body["node_id"] != "node" {
		t.Errorf("got %v", body)
	}
	_, body = s.get(t, http.MethodGet, "/upstreams/idle.test/health", "localhost")
	if m := body["data"].([]any)[0].(map[string]any); m["health"] != "HEALTHCHECKS_OFF" {
		t.Errorf("got %v", m)
	}
}

func TestListenOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"127.0.0.1:8001": true, "[::1]:8001": true, "localhost:8001": true, "127.3.2.1:0": true,
		"0.0.0.0:8001": false, ":8001": false, "[::]:8001": false, "10.0.0.1:8001": false, "example.com:8001": false, "127.0.0.1": false, "": false,
	} {
		if err := CheckListen(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := newServer(t).Serve(l); err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Errorf("served on %s: %v", l.Addr(), err)
	}
}

// Whatever is asked, the answer is JSON and holds no secret.
func FuzzServer(f *testing.F) {
	s := newServer(f)
	f.Add("/services/one/routes/r1", "size=1&offset=", "localhost")
	f.Add("/consumers/alice/key-auth/x", "tags=a,b", "127.0.0.1:1")
	f.Add("/tags/a%2Fb", "offset=MTIz", "[::1]")
	f.Add("/upstreams/up.test/health", "size=%", "evil")
	f.Add("/schemas/plugins/teller", "", "localhost")
	f.Fuzz(func(t *testing.T, path, query, host string) {
		r := &http.Request{Method: http.MethodGet, Host: host, Header: http.Header{}, URL: &url.URL{Path: path, RawQuery: query}}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%q?%q: %s", path, query, w.Body)
		}
	})
}
