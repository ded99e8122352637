// SPDX-License-Identifier: Apache-2.0

package responseratelimiting

import (
	"maps"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/response-ratelimiting/schema"
)

type m = map[string]any

func instance(t *testing.T, config m) *plugin.Phases {
	return plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: config})
}

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

func ask(p *plugin.Phases, cost string) (*plugintest.Exchange, string) {
	x := plugintest.New(noon, "GET", "/")
	var header []string
	if cost != "" {
		header = []string{"X-Kong-Limit", cost}
	}
	return x, plugintest.Serve(x, plugintest.Answer{Status: 200, Header: header, Chunks: []string{"body"}}, p)
}

func TestCosts(t *testing.T) {
	p := instance(t, m{"limits": m{"video": m{"year": 10}, "img": m{"month": 5, "year": 20}}})
	for i, c := range []struct {
		cost                     string
		video, month, year, left string
	}{
		{"video=2, img=1", "8", "4", "19", "5"},
		{"img=3", "8", "1", "16", "4"},
		{"other=1", "8", "1", "16", "1"},
		{"", "8", "1", "16", "1"},
		{"video", "8", "1", "16", "1"},
		{"video=x,img=NaN", "8", "1", "16", "1"},
		{" video = 1.5 ", "6.5", "1", "16", "1"},
		{"video=-1", "7.5", "1", "16", "1"},
	} {
		x, _ := ask(p, c.cost)
		h := x.AnswerHeader.Map()
		if h["x-ratelimit-remaining-video-year"] != c.video || h["x-ratelimit-remaining-img-month"] != c.month ||
			h["x-ratelimit-remaining-img-year"] != c.year || h["x-ratelimit-remaining-img"] != c.left {
			t.Errorf("answer %d (%s): %v", i, c.cost, h)
		}
		if _, there := h["x-kong-limit"]; there {
			t.Error("the client sees the cost")
		}
	}
}

func TestExceeded(t *testing.T) {
	p := instance(t, m{"limits": m{"v": m{"year": 3}}})
	for i, want := range []int{200, 200, 429, 429} {
		x, body := ask(p, "v=2")
		if x.Answer.Status != want || (want == 429) != (body == "") {
			t.Errorf("answer %d: %d %q", i, x.Answer.Status, body)
		}
		if want == 429 && x.AnswerHeader.Get("X-RateLimit-Remaining-v-year") != "0" {
			t.Errorf("answer %d: %v", i, x.AnswerHeader.Map())
		}
	}
	if x, body := ask(p, ""); x.Answer.Status != 200 || body != "body" {
		t.Errorf("an answer that costs nothing: %d %q", x.Answer.Status, body)
	}
}

func TestBlockOnFirstViolation(t *testing.T) {
	p := instance(t, m{"limits": m{"v": m{"year": 1}, "w": m{"year": 5}}, "block_on_first_violation": true})
	ask(p, "v=1")
	x, body := ask(p, "w=1")
	if x.Answer.Status != 429 || body != "API rate limit exceeded for 'v'" || x.AnswerHeader.Len() != 0 {
		t.Errorf("%d %q %v", x.Answer.Status, body, x.AnswerHeader.Map())
	}
}

func TestHiddenHeaders(t *testing.T) {
	p := instance(t, m{"limits": m{"v": m{"year": 1}}, "hide_client_headers": true, "header_name": "X-Cost"})
	x := plugintest.New(noon, "GET", "/")
	plugintest.Serve(x, plugintest.Answer{Status: 200, Header: []string{"X-Cost", "v=1", "A", "b"}}, p)
	if got := x.AnswerHeader.Map(); !maps.Equal(got, map[string]string{"a": "b"}) {
		t.Errorf("%v", got)
	}
}
