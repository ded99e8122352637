// SPDX-License-Identifier: Apache-2.0

package requesttransformer

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/request-transformer/schema"
)

type m = map[string]any

func list(entries ...any) []any { return entries }

func run(t *testing.T, config m, method, target, body string, header ...string) *plugintest.Exchange {
	t.Helper()
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: config})
	x := plugintest.New(time.Now(), method, target, header...)
	x.RequestBody = []byte(body)
	x.Groups = []plugin.Capture{{Value: "/whole"}, {Value: "one"}}
	p.Access(x)
	return x
}

var orderOf = func(kind string) m {
	return m{
		"remove": m{kind: list("X-A")}, "rename": m{kind: list("X-B:X-A")}, "replace": m{kind: list("X-A:replaced")},
		"add": m{kind: list("X-A:added")}, "append": m{kind: list("X-A:appended")},
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		config m
		header []string
		want   string // of X-A
	}{
		{"nothing there", orderOf("headers"), nil, "added|appended"},
		{"removed", orderOf("headers"), []string{"X-A", "a"}, "added|appended"},
		{"renamed and replaced", orderOf("headers"), []string{"X-A", "a", "x-b", "b"}, "replaced|appended"},
		{"renamed, several", m{"rename": m{"headers": list("X-B:X-A")}}, []string{"X-A", "a", "X-B", "1", "X-B", "2"}, "1|2"},
		{"colons in a value", m{"add": m{"headers": list("X-A:b:c")}}, nil, "b:c"},
		{"no value", m{"add": m{"headers": list("X-A:")}, "append": m{"headers": list("X-A:")}}, nil, ""},
		{"template without a value", m{"add": m{"headers": list("X-A:$(headers.none)")}}, nil, ""},
	} {
		x := run(t, c.config, "GET", "/", "", c.header...)
		if got := x.RequestHeader.Map()["x-a"]; got != c.want || x.RequestHeader.Has("X-B") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHost(t *testing.T) {
	for _, c := range []struct {
		config m
		want   string
	}{
		{m{"replace": m{"headers": list("host:new.test")}}, "new.test"},
		{m{"add": m{"headers": list("host:new.test")}, "remove": m{"headers": list("host")}, "append": m{"headers": list("host:b")}}, ""},
		{m{"rename": m{"headers": list("X-Host:Host")}}, "other.test"},
	} {
		x := run(t, c.config, "GET", "/", "", "X-Host", "other.test")
		if x.UpstreamRequest.Authority != c.want || x.RequestHeader.Map()["host"] != "localhost" {
			t.Errorf("%v: %q %v", c.config, x.UpstreamRequest.Authority, x.RequestHeader.Map())
		}
	}
}

func TestQuery(t *testing.T) {
	remove := m{"remove": m{"querystring": list("q")}}
	for _, c := range []struct {
		config       m
		target, want string
	}{
		{orderOf("querystring"), "/", "?X-A=added&X-A=appended"},
		{orderOf("querystring"), "/?X-A=1&X-B=2", "?X-A=replaced&X-A=appended"},
		{remove, "/?q=1&keep=2&q", "?keep=2"},
		{remove, "/?q=1", ""},
		{remove, "/?", "?"},
		{remove, "/", ""},
		{remove, "/?z=1&flag&b=%20a+b", "?b=%20a%20b&flag&z=1"},
		{m{"replace": m{"querystring": list("q:new")}}, "/?q=1&q=2", "?q=new"},
		{m{"add": m{"headers": list("X:1")}}, "/?z=%zz&&a+", "?z=%zz&&a+"},
	} {
		u := run(t, c.config, "GET", c.target, "").UpstreamRequest
		got := u.Query
		if u.HasQuery {
			got = "?" + got
		}
		if got != c.want {
			t.Errorf("%v %s: %q, want %q", c.config, c.target, got, c.want)
		}
	}
}

func TestBody(t *testing.T) {
	all := m{
		"remove": m{"body": list("drop")}, "rename": m{"body": list("old:new")}, "replace": m{"body": list("rep:r")},
		"add": m{"body": list("add:1 2")}, "append": m{"body": list("app:x")},
	}
	for _, c := range []struct{ kind, body, want string }{
		{"Application/JSON; charset=utf-8", `{"drop":1,"old":{"x":12345678901234567890},"rep":2,"add":null,"app":["a"]}`,
			`{"rep":"r","add":null,"app":["a","x"],"new":{"x":12345678901234567890}}`},
		{"application/json", "", `{"add":"1 2","app":["x"]}`},
		{"application/json", `[1]`, `[1]`},
		{"application/json", `"s"`, `"s"`},
		{"application/json", `{broken`, `{broken`},
		{"application/vnd.api+json", `{"drop":1}`, `{"drop":1}`},
		{"application/x-www-form-urlencoded", "drop=1&old=1&rep=2&flag", "flag&new=1&rep=r&add=1%202&app=x"},
		{"multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"old\"\r\n\r\n1\r\n--B--\r\n",
			"--B\r\nContent-Disposition: form-data; name=\"new\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"add\"\r\n\r\n1 2\r\n--B--\r\n"},
		{"text/plain", "drop=1", "drop=1"},
		{"", `{"drop":1}`, `{"drop":1}`},
	} {
		x := run(t, all, "POST", "/", c.body, "Content-Type", c.kind)
		if got := string(x.RequestBody); got != c.want {
			t.Errorf("%s: %s, want %s", c.kind, got, c.want)
		}
	}
	x := run(t, m{"remove": m{"body": list("drop")}}, "POST", "/", "keep=a+b%26c", "Content-Type", "application/x-www-form-urlencoded")
	if string(x.RequestBody) != "keep=a+b%26c" {
		t.Errorf("a body without anything to do became %s", x.RequestBody)
	}
}

func TestLineAndTemplates(t *testing.T) {
	x := run(t, m{
		"http_method": "GET", "replace": m{"uri": "/new path/$(uri_captures[1])?"},
		"remove": m{"headers": list("X-In"), "querystring": list("q")},
		"add":    m{"headers": list("X-Out:$(headers['x-in'])-$(query_params.q)"), "querystring": list("r:$(query_params.q)")},
	}, "POST", "/old?q=1", "f=2", "X-In", "v", "Content-Type", "application/x-www-form-urlencoded")
	u := x.UpstreamRequest
	if u.Method != http.MethodGet || u.Path != "/new%20path/one%3F" || u.Query != "f=2&r=1" || x.RequestHeader.Get("X-Out") != "v-1" {
		t.Errorf("%+v %v", u, x.RequestHeader.Map())
	}
}

func TestTemplatesThatFail(t *testing.T) {
	for _, value := range []string{"$(headers.missing.deep)", "$(os.getenv('HOME'))", "$(headers.a +)"} {
		x := run(t, m{"add": m{"headers": list("X-A:" + value)}}, "GET", "/", "")
		if x.Reply == nil || x.Reply.Status != 500 || x.RequestHeader.Has("X-A") {
			t.Errorf("%s: %v", value, x.Reply)
		}
	}
}

func TestNeedsTheBodyOnlyForBodies(t *testing.T) {
	for kind, needs := range map[string]bool{"body": true, "headers": false, "querystring": false} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: m{"remove": m{kind: list("a")}}})
		if (p.Needs.RequestBody > 0) != needs {
			t.Errorf("%s: %d", kind, p.Needs.RequestBody)
		}
	}
}

func BenchmarkAccess(b *testing.B) {
	p := plugintest.Configure(b, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: m{"add": m{"headers": list("X-A:1")}, "remove": m{"headers": list("X-B")}}})
	x := plugintest.New(time.Now(), "GET", "/?"+strings.Repeat("a=1&", 10))
	b.ReportAllocs()
	for b.Loop() {
		p.Access(x)
	}
}
