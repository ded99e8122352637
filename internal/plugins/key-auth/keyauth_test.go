// SPDX-License-Identifier: Apache-2.0

package keyauth

import (
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/key-auth/schema"
)

var created = time.Now().Add(-time.Minute).Unix()

var people = &plugintest.Directory{
	Consumers: []*entity.Consumer{{ID: "1", Username: "amy"}},
	Secrets: []*entity.Credential{
		{ID: "k", Type: collection, Consumer: &entity.Ref{ID: "1"}, Fields: map[string]any{"key": "good"}},
		{ID: "old", Type: collection, Consumer: &entity.Ref{ID: "1"}, CreatedAt: &created, Fields: map[string]any{"key": "old", "ttl": int64(30)}},
		{ID: "young", Type: collection, Consumer: &entity.Ref{ID: "1"}, CreatedAt: &created, Fields: map[string]any{"key": "young", "ttl": int64(90)}},
	},
}

const (
	formType      = "application/x-www-form-urlencoded; charset=utf-8"
	multipartType = "multipart/form-data; boundary=XX"
	multipart     = "--XX\r\nContent-Disposition: form-data; name=\"apikey\"\r\n\r\ngood\r\n--XX--\r\n"
)

func TestAccess(t *testing.T) {
	const none, duplicate, unknown = "No API key found in request", "Duplicate API key found", "Unauthorized"
	type m = map[string]any
	for _, c := range []struct {
		name           string
		config         m
		method, target string
		header         []string
		body           string
		refusal        string
	}{
		{"nothing", nil, "GET", "/", nil, "", none},
		{"header", nil, "GET", "/", []string{"ApiKey", "good"}, "", ""},
		{"wrong", nil, "GET", "/", []string{"apikey", "bad"}, "", unknown},
		{"empty", nil, "GET", "/", []string{"apikey", ""}, "", none},
		{"twice", nil, "GET", "/", []string{"apikey", "good", "apikey", "good"}, "", duplicate},
		{"query", nil, "GET", "/?apikey=go%6fd", nil, "", ""},
		{"query twice", nil, "GET", "/?apikey=good&apikey=good", nil, "", duplicate},
		{"header before query", nil, "GET", "/?apikey=good", []string{"apikey", "bad"}, "", unknown},
		{"query case", nil, "GET", "/?ApiKey=good", nil, "", none},
		{"header off", m{"key_in_header": false}, "GET", "/", []string{"apikey", "good"}, "", none},
		{"query off", m{"key_in_query": false}, "GET", "/?apikey=good", nil, "", none},
		{"body off", nil, "POST", "/", []string{"Content-Type", formType}, "apikey=good", none},
		{"form", m{"key_in_body": true}, "POST", "/", []string{"Content-Type", formType}, "apikey=good", ""},
		{"JSON", m{"key_in_body": true}, "POST", "/", []string{"Content-Type", "application/json"}, `{"apikey":"good"}`, ""},
		{"JSON list", m{"key_in_body": true}, "POST", "/", []string{"Content-Type", "application/json"}, `{"apikey":["good","good"]}`, duplicate},
		{"broken JSON", m{"key_in_body": true}, "POST", "/", []string{"Content-Type", "application/json"}, `{"apikey":`, none},
		{"multipart", m{"key_in_body": true}, "POST", "/", []string{"Content-Type", multipartType}, multipart, ""},
		{"other body", m{"key_in_body": true}, "POST", "/", []string{"Content-Type", "text/plain"}, "apikey=good", none},
		{"own name", m{"key_names": []any{"X-Key", "y"}}, "GET", "/?y=good", nil, "", ""},
		{"preflight", nil, "OPTIONS", "/", nil, "", none},
		{"preflight passes", m{"run_on_preflight": false}, "OPTIONS", "/", []string{"apikey", "bad"}, "", ""},
		{"expired", nil, "GET", "/", []string{"apikey", "old"}, "", unknown},
		{"not expired", nil, "GET", "/", []string{"apikey", "young"}, "", ""},
	} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: c.config})
		x := plugintest.New(time.Now(), c.method, c.target, c.header...)
		x.People, x.RequestBody = people, []byte(c.body)
		p.Access(x)
		got := ""
		if x.Reply != nil {
			got = x.Reply.Message
			if x.Reply.Status != 401 || x.Reply.Header[0].Value != "Key" {
				t.Errorf("%s: %v", c.name, x.Reply)
			}
		}
		if got != c.refusal {
			t.Errorf("%s: %q, want %q", c.name, got, c.refusal)
		}
	}
}

func TestHideCredentials(t *testing.T) {
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{},
		&entity.Plugin{Config: map[string]any{"hide_credentials": true, "key_in_body": true}})
	for _, c := range []struct{ kind, body, want string }{
		{formType, "x=1&apikey=good", "x=1"},
		{"application/json", `{"apikey":"good","n":1}`, `{"n":1}`},
		{multipartType, multipart, "--XX--\r\n"},
		{"text/plain", "apikey", "apikey"},
	} {
		x := plugintest.New(time.Now(), "POST", "/?a&apikey=good&b=x+y", "apikey", "good", "Content-Type", c.kind)
		x.People, x.RequestBody = people, []byte(c.body)
		p.Access(x)
		if x.Reply != nil || x.RequestHeader.Has("apikey") || x.UpstreamRequest.Query != "a=&b=x+y" || string(x.RequestBody) != c.want {
			t.Errorf("%s: %v query %q body %q", c.kind, x.Reply, x.UpstreamRequest.Query, x.RequestBody)
		}
	}
}
