// SPDX-License-Identifier: Apache-2.0

package responsetransformer

import (
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/response-transformer/schema"
)

type m = map[string]any

func list(entries ...any) []any { return entries }

func instance(t *testing.T, config m) *plugin.Phases {
	return plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: config})
}

func TestHeaders(t *testing.T) {
	order := m{
		"remove": m{"headers": list("X-A")}, "rename": m{"headers": list("X-B:X-A")}, "replace": m{"headers": list("X-A:replaced")},
		"add": m{"headers": list("X-A:added")}, "append": m{"headers": list("X-A:appended")},
	}
	for _, c := range []struct {
		name   string
		config m
		header []string
		want   string // of X-A
	}{
		{"nothing there", order, nil, "added|appended"},
		{"there before", order, []string{"X-A", "a"}, "replaced|appended"},
		{"renamed", order, []string{"X-B", "b"}, "added|appended"},
		{"both", order, []string{"X-A", "a", "X-B", "b"}, "replaced|appended"},
		{"added twice", m{"add": m{"headers": list("X-A:1", "X-A:2")}}, nil, "2"},
		{"appended", m{"append": m{"headers": list("X-A:1", "X-A:b:c")}}, []string{"x-a", "old"}, "old|1|b:c"},
		{"no value", m{"add": m{"headers": list("X-A:")}}, nil, ""},
		{"several renamed", m{"rename": m{"headers": list("X-B:X-A")}}, []string{"X-B", "1", "X-B", "2"}, "1|2"},
		{"removed with a value", m{"remove": m{"headers": list("X-A:1")}}, []string{"X-A", "1", "X-A", "2"}, ""},
		{"no templates", m{"add": m{"headers": list("X-A:$(headers.a)")}}, nil, "$(headers.a)"},
	} {
		x := plugintest.New(time.Now(), "GET", "/")
		plugintest.Serve(x, plugintest.Answer{Status: 200, Header: c.header}, instance(t, c.config))
		if got := x.AnswerHeader.Map()["x-a"]; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	all := m{
		"remove": m{"json": list("drop")}, "rename": m{"json": list("old:new", "none:never")},
		"replace": m{"json": list("rep:1", "no:x"), "json_types": list("number")},
		"add":     m{"json": list("flag:true", "there:x", "bad:x", "url:http://x:1/"), "json_types": list("boolean", "string", "number")},
		"append":  m{"json": list("l:x")},
	}
	for _, c := range []struct{ kind, body, want string }{
		{"application/json; charset=utf-8", `{"drop":1,"old":2,"rep":"r","no":false,"there":12345678901234567890,"l":"a"}`,
			`{"rep":1,"no":false,"there":12345678901234567890,"l":["a","x"],"new":2,"flag":true,"url":"http://x:1/"}`},
		{"application/json", `[{"drop":1}]`, `[{"drop":1}]`},
		{"application/json", `{broken`, `{broken`},
		{"application/json", ``, ``},
		{"application/json", `"s"`, `"s"`},
		{"text/plain", `{"drop":1}`, `{"drop":1}`},
	} {
		x := plugintest.New(time.Now(), "GET", "/")
		got := plugintest.Serve(x, plugintest.Answer{Status: 200, Chunks: []string{c.body},
			Header: []string{"Content-Type", c.kind, "Content-Length", "7"}}, instance(t, all))
		if got != c.want {
			t.Errorf("%s %s: %s, want %s", c.kind, c.body, got, c.want)
		}
		if (c.kind == "text/plain") != x.AnswerHeader.Has("Content-Length") {
			t.Errorf("%s: Content-Length %q", c.kind, x.AnswerHeader.Get("Content-Length"))
		}
	}
}

func TestHeadersAloneNeedNoBody(t *testing.T) {
	if p := instance(t, m{"add": m{"headers": list("X:1")}}); p.BodyFilter != nil || p.Needs.ResponseBody != 0 {
		t.Error("an instance without JSON rules buffers answers")
	}
}
