// SPDX-License-Identifier: Apache-2.0

package requesttermination

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/request-termination/schema"
)

func TestAnswers(t *testing.T) {
	type m = map[string]any
	for _, c := range []struct {
		name        string
		config      m
		target      string
		status      int
		contentType string
		body        string
	}{
		{"default", nil, "/", 503, jsonType, `{"message":"Service unavailable"}`},
		{"message", m{"status_code": 418, "message": `t<"`}, "/", 418, jsonType, `{"message":"t<\""}`},
		{"status without a text", m{"status_code": 418}, "/", 418, "", ""},
		{"body", m{"body": "b", "content_type": "text/x"}, "/", 503, "text/x", "b"},
		{"no body with 204", m{"status_code": 204, "message": "m"}, "/", 204, "", ""},
		{"trigger missing", m{"trigger": "stop"}, "/?stopped", 0, "", ""},
		{"trigger in the query", m{"trigger": "stop"}, "/?a&stop=1", 503, jsonType, `{"message":"Service unavailable"}`},
	} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: c.config})
		x := plugintest.New(time.Now(), "GET", c.target)
		body := plugintest.Serve(x, plugintest.Answer{}, p)
		if x.Answer.Status != c.status || x.AnswerHeader.Get("Content-Type") != c.contentType || body != c.body {
			t.Errorf("%s: %d %s %q", c.name, x.Answer.Status, x.AnswerHeader.Get("Content-Type"), body)
		}
	}
}

func TestEcho(t *testing.T) {
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: map[string]any{"echo": true}})
	x := plugintest.New(time.Now(), "POST", "/r?a=1&f", "X-Many", "1", "X-Many", "2")
	x.RequestBody = []byte("hello")
	x.Groups = []plugin.Capture{{Value: "/whole"}, {Value: "one"}, {Name: "user", Value: "amy"}}
	var got struct {
		Message string `json:"message"`
		Request struct {
			Headers  map[string]any `json:"headers"`
			Query    map[string]any `json:"query"`
			RawBody  string         `json:"raw_body"`
			Captures struct {
				Named   map[string]string `json:"named"`
				Unnamed []string          `json:"unnamed"`
			} `json:"uri_captures"`
		} `json:"request"`
		Route map[string]any `json:"matched_route"`
	}
	if err := json.Unmarshal([]byte(plugintest.Serve(x, plugintest.Answer{}, p)), &got); err != nil {
		t.Fatal(err)
	}
	r := got.Request
	if got.Message != "Service unavailable" || len(r.Headers["x-many"].([]any)) != 2 || r.Query["a"] != "1" || r.Query["f"] != true ||
		r.RawBody != "hello" || r.Captures.Named["user"] != "amy" || strings.Join(r.Captures.Unnamed, " ") != "one amy" || got.Route["name"] != "route" {
		t.Errorf("%+v", got)
	}
}
