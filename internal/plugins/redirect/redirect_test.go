// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/redirect/schema"
)

func TestLocation(t *testing.T) {
	for _, c := range []struct {
		location string
		keep     bool
		target   string
		want     string
	}{
		{"https://o.example/base?z=9", false, "/a?b", "https://o.example/base?z=9"},
		{"https://o.example/base/?z=9#frag", true, "/a/x?y=2", "https://o.example/a/x?y=2#frag"},
		{"https://o.example/base", true, "/a/?", "https://o.example/a/"},
		{"http://o.example:8080", true, "/a/%20x%2Fy?p=%41", "http://o.example:8080/a/%20x%2Fy?p=%41"},
		{"https://user@o.example?q", true, "/c", "https://user@o.example/c"},
	} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{},
			&entity.Plugin{Config: map[string]any{"location": c.location, "keep_incoming_path": c.keep, "status_code": 308}})
		x := plugintest.New(time.Now(), "GET", c.target)
		if body := plugintest.Serve(x, plugintest.Answer{}, p); body != "redirecting" || x.Answer.Status != 308 {
			t.Errorf("%d %q", x.Answer.Status, body)
		}
		if got := x.AnswerHeader.Get("Location"); got != c.want {
			t.Errorf("%s: %s, want %s", c.location, got, c.want)
		}
	}
}
