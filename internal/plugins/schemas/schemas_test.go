// SPDX-License-Identifier: Apache-2.0

package schemas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/entity/schema"
	"github.com/kong/kong-istio-gateway/internal/plugins/schemas"
)

// required is the least that a plugin accepts, for those that need anything.
var required = map[string]string{
	"acl":                   `{"allow":["a"]}`,
	"file-log":              `{"path":"/a"}`,
	"http-log":              `{"http_endpoint":"http://a/"}`,
	"ip-restriction":        `{"allow":["10.0.0.1"]}`,
	"loggly":                `{"key":"a"}`,
	"proxy-cache":           `{"strategy":"memory"}`,
	"rate-limiting":         `{"minute":1}`,
	"redirect":              `{"location":"http://a/"}`,
	"response-ratelimiting": `{"limits":{"v":{"minute":1}}}`,
	"tcp-log":               `{"host":"a","port":1}`,
	"udp-log":               `{"host":"a","port":1}`,
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func plugin(t *testing.T, name, config string) *entity.Plugin {
	t.Helper()
	return &entity.Plugin{ID: "00000000-0000-4000-8000-000000000001", Name: name, Config: parse(t, config)}
}

// The golden file holds the effective configuration of every plugin when only
// what it requires is given.
func TestDefaults(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, p := range schemas.All().Plugins() {
		config := required[p.Name]
		if config == "" {
			config = "{}"
		}
		full, err := entity.Complete(plugin(t, p.Name, config), schemas.All())
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		e := full.(*entity.Plugin)
		text, err := json.MarshalIndent(map[string]any{"protocols": e.Protocols, "config": e.Config}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "# %s\n%s\n", p.Name, text)
	}
	const name = "testdata/defaults.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 rewrites it); got:\n%s", name, b.Bytes())
	}
}

// Refusals, in the words of Kong.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const oneOfPeriods = "'config.second', 'config.minute', 'config.hour', 'config.day', 'config.month', 'config.year'"
	tests := []struct {
		plugin, config string
		want           []string
	}{
		{"acl", `{}`, []string{
			"@entity: exactly one of these fields must be non-empty: 'config.allow', 'config.deny'",
			"@entity: at least one of these fields must be non-empty: 'config.allow', 'config.deny'"}},
		{"acl", `{"allow":["a"],"deny":["b"]}`, []string{"@entity: exactly one of these fields must be non-empty: 'config.allow', 'config.deny'"}},
		{"cors", `{"origins":["http://(a"]}`, []string{"config.origins[0]: 'http://(a' is not a valid regex"}},
		{"cors", `{"origins":["*"],"methods":["FETCH"]}`, []string{"config.methods[0]: expected one of: GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS, TRACE, CONNECT"}},
		{"correlation-id", `{"generator":"x"}`, []string{"config.generator: expected one of: uuid, uuid#counter, tracker"}},
		{"hmac-auth", `{"clock_skew":0,"algorithms":["md5"]}`, []string{
			"config.clock_skew: value must be greater than 0",
			"config.algorithms[0]: expected one of: hmac-sha1, hmac-sha256, hmac-sha384, hmac-sha512"}},
		{"http-log", `{"http_endpoint":"nope","method":"GET","content_type":"text/plain"}`, []string{
			"config.http_endpoint: missing host in url",
			"config.method: expected one of: POST, PUT, PATCH",
			"config.content_type: expected one of: application/json, application/json; charset=utf-8"}},
		{"http-log", `{"http_endpoint":"http://a/","headers":{"Host":"x","content-type":"y"}}`, []string{
			"config.headers.Host: cannot contain 'Host' header",
			"config.headers.content-type: cannot contain 'Content-Type' header"}},
		{"http-log", `{"http_endpoint":"http://u:hunter2@a/","headers":{"authorization":"x"}}`, []string{
			"config.@entity: specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed"}},
		{"http-log", `{"http_endpoint":"http://a/","queue":{"max_batch_size":0,"concurrency_limit":2}}`, []string{
			"config.queue.max_batch_size: value should be between 1 and 1000000",
			"config.queue.concurrency_limit: expected one of: -1, 1"}},
		{"ip-restriction", `{}`, []string{"@entity: at least one of these fields must be non-empty: 'config.allow', 'config.deny'"}},
		{"ip-restriction", `{"allow":["300.0.0.1"],"deny":["10.0.0.0/33"]}`, []string{
			"config.allow[0]: invalid ip or cidr range: '300.0.0.1'", "config.deny[0]: invalid ip or cidr range: '10.0.0.0/33'"}},
		{"jwt", `{"claims_to_verify":["aud"]}`, []string{"config.claims_to_verify[0]: expected one of: exp, nbf"}},
		{"jwt", `{"maximum_expiration":60,"claims_to_verify":["nbf"]}`, []string{
			"config.claims_to_verify: expected to contain: exp",
			"@entity: failed conditional validation given value of field 'config.maximum_expiration'"}},
		{"key-auth", `{"key_names":"apikey"}`, []string{"config.key_names: expected an array"}},
		{"proxy-cache", `{}`, []string{"config.strategy: required field missing"}},
		{"proxy-cache", `{"strategy":"memory","cache_ttl":0,"response_code":[]}`, []string{
			"config.response_code: length must be at least 1", "config.cache_ttl: value must be greater than 0"}},
		{"rate-limiting", `{}`, []string{"@entity: at least one of these fields must be non-empty: " + oneOfPeriods}},
		{"rate-limiting", `{"minute":0}`, []string{"config.minute: value must be greater than 0"}},
		{"rate-limiting", `{"minute":1,"policy":"cluster"}`, []string{"config.policy: expected one of: local, redis"}},
		{"rate-limiting", `{"minute":1,"limit_by":"header"}`, []string{
			"config.header_name: required field missing", "@entity: failed conditional validation given value of field 'config.limit_by'"}},
		{"rate-limiting", `{"minute":10,"hour":5}`, []string{"config.@entity: The limit for hour(5.0) cannot be lower than the limit for minute(10.0)"}},
		{"rate-limiting", `{"minute":1,"policy":"redis"}`, []string{
			"config.redis.host: required field missing", "@entity: failed conditional validation given value of field 'config.policy'"}},
		{"rate-limiting", `{"minute":1,"sync_rate":1}`, []string{"config.@entity: sync_rate can only be used with the redis policy"}},
		{"rate-limiting", `{"minute":1,"sync_rate":0.01,"policy":"redis","redis_host":"r"}`, []string{"config.@entity: sync_rate must be greater than 0.02, or -1 to disable"}},
		{"redirect", `{"status_code":302}`, []string{"config.location: required field missing"}},
		{"redirect", `{"location":"/here"}`, []string{"config.location: missing host in url"}},
		{"request-size-limiting", `{"size_unit":"bits"}`, []string{"config.size_unit: expected one of: megabytes, kilobytes, bytes"}},
		{"request-termination", `{"status_code":600}`, []string{"config.status_code: value should be between 100 and 599"}},
		{"request-termination", `{"message":""}`, []string{"config.message: length must be at least 1"}},
		{"request-termination", `{"message":"a","body":"b"}`, []string{"config.@entity: message cannot be used with content_type or body"}},
		{"request-termination", `{"content_type":"a"}`, []string{"config.@entity: content_type requires a body"}},
		{"request-termination", `{"echo":true,"body":"a"}`, []string{"config.@entity: echo cannot be used with content_type and body"}},
		{"request-transformer", `{"add":{"headers":["X-A"]},"rename":{"headers":["X-B"]},"replace":{"querystring":["q"]}}`, []string{
			"config.rename.headers[0]: invalid value: X-B", "config.replace.querystring[0]: key 'REDACTED' has no value", "config.add.headers[0]: invalid value: REDACTED"}},
		{"request-transformer", `{"remove":{"headers":["$(headers['x'])"]},"rename":{"headers":["X-Old:X-$(headers['x'])"]}}`, []string{
			"config.remove.headers[0]: '$(headers['x'])' is not a valid header", "config.rename.headers[0]: 'X-$(headers['x'])' is not a valid header"}},
		{"request-transformer", `{"add":{"header":["X:1"]},"remove":{"headers":"X"}}`, []string{
			"config.remove.headers: expected an array", "config.add.header: unknown field"}},
		{"response-ratelimiting", `{}`, []string{"config.limits: required field missing"}},
		{"response-ratelimiting", `{"limits":{}}`, []string{"config.limits: length must be at least 1"}},
		{"response-ratelimiting", `{"limits":{"v":{}}}`, []string{
			"config.limits.v.@entity: at least one of these fields must be non-empty: 'second', 'minute', 'hour', 'day', 'month', 'year'"}},
		{"response-transformer", `{"add":{"json":["a:1"],"json_types":["integer"]}}`, []string{"config.add.json_types[0]: expected one of: boolean, number, string"}},
		{"response-transformer", `{"rename":{"headers":["a:b c"]}}`, []string{"config.rename.headers[0]: 'b c' is not a valid header"}},
	}
	for _, tt := range tests {
		var got []string
		for _, p := range entity.CheckEntity(plugin(t, tt.plugin, tt.config), schemas.All()) {
			got = append(got, p.Field+": "+p.Message)
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s %s:\ngot  %q\nwant %q", tt.plugin, tt.config, got, tt.want)
		}
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	tests := []struct{ plugin, config string }{
		{"http-log", `{"http_endpoint":"http://a:8080/log","method":"POST","timeout":1000,"keepalive":1000,"flush_timeout":2,"retry_count":15}`},
		{"http-log", `{"http_endpoint":"{vault://env/endpoint}","headers":{"Authorization":"{vault://env/token}"}}`},
		{"rate-limiting", `{"second":0.5,"minute":5,"policy":"redis","redis_host":"r","redis_port":6380,"redis":{"ssl":true}}`},
		{"cors", `{"origins":["https://a.example.com","https://.*\\.example\\.com","*"],"max_age":3600}`},
		{"jwt", `{"maximum_expiration":60,"claims_to_verify":["exp"]}`},
		{"request-transformer", `{"add":{"headers":["x-a:$(headers.b)","x-b:"],"querystring":["a:b:c"]},"replace":{"uri":"/x/$(uri_captures[1])"}}`},
		{"response-transformer", `{"add":{"json":["a:1"],"json_types":["number"]},"remove":{"headers":["X"]}}`},
	}
	for _, tt := range tests {
		if got := entity.CheckEntity(plugin(t, tt.plugin, tt.config), schemas.All()); len(got) > 0 {
			t.Errorf("%s %s: %v", tt.plugin, tt.config, got)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	tests := []struct {
		collection, fields string
		want               []string
	}{
		{"keyauth_credentials", `{"key":"k"}`, nil},
		{"keyauth_credentials", `{}`, nil},
		{"keyauth_credentials", `{"key":1}`, []string{"key: expected a string"}},
		{"basicauth_credentials", `{"username":"u"}`, []string{"password: required field missing"}},
		{"hmacauth_credentials", `{"secret":"s"}`, []string{"username: required field missing"}},
		{"acls", `{}`, []string{"group: required field missing"}},
		{"jwt_secrets", `{"key":"k","secret":"s"}`, nil},
		{"jwt_secrets", `{"key":"k","algorithm":"RS256"}`, []string{
			"rsa_public_key: required field missing", "@entity: failed conditional validation given value of field 'algorithm'"}},
		{"jwt_secrets", `{"key":"k","algorithm":"RS256","rsa_public_key":"nonsense"}`, []string{
			"rsa_public_key: invalid key", "@entity: failed conditional validation given value of field 'algorithm'"}},
		{"jwt_secrets", `{"key":"k","algorithm":"none"}`, []string{
			"algorithm: expected one of: HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512, EdDSA",
			"rsa_public_key: required field missing", "@entity: failed conditional validation given value of field 'algorithm'"}},
	}
	const id = "00000000-0000-4000-8000-000000000001"
	for _, tt := range tests {
		c := &entity.Credential{ID: id, Type: tt.collection, Consumer: &entity.Ref{ID: id}, Fields: parse(t, tt.fields)}
		var got []string
		for _, p := range entity.CheckEntity(c, schemas.All()) {
			got = append(got, p.Field+": "+p.Message)
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s %s: got %q, want %q", tt.collection, tt.fields, got, tt.want)
		}
	}
}

// Fields whose names say that they are secret are declared so.
func TestSecretsAreMarked(t *testing.T) {
	t.Parallel()
	for _, p := range schemas.All().Plugins() {
		checkSecrets(t, p.Name, p.Config)
		for _, c := range p.Credentials {
			checkSecrets(t, c.Collection, c.Record)
		}
	}
}

// TestRedisIsShownWithoutPassword holds what the Admin view shows of how to log in.
func TestRedisIsShownWithoutPassword(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rate-limiting", "response-ratelimiting"} {
		for _, p := range schemas.All().Plugins() {
			if p.Name != name {
				continue
			}
			got := p.Config.Redact(map[string]any{"redis": map[string]any{"username": "limits", "password": "hunter2"}})
			want := map[string]any{"redis": map[string]any{"username": "limits", "password": schema.Redacted}}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

func checkSecrets(t *testing.T, at string, r *schema.Record) {
	t.Helper()
	for _, f := range r.Fields() {
		name := f.Name()
		if strings.Contains(name, "password") || strings.HasSuffix(name, "secret") || strings.HasSuffix(name, "token") {
			if f.Type() == schema.TypeString && !f.IsSecret() {
				t.Errorf("%s.%s is not declared secret", at, name)
			}
		}
		for f.Elements() != nil {
			f = f.Elements()
		}
		if f.Record() != nil {
			checkSecrets(t, at+"."+name, f.Record())
		}
	}
}
