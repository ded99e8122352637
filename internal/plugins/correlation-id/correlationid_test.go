// SPDX-License-Identifier: Apache-2.0

package correlationid

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/pluginkit/logformat"
	"github.com/kong/kong-istio-gateway/internal/plugins/correlation-id/schema"
)

const uuid = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`

func TestGenerators(t *testing.T) {
	for generator, form := range map[string]string{
		"uuid": uuid, "uuid#counter": uuid + `#[0-9]+`, "tracker": `127\.0\.0\.1-8000-[0-9]+-40000-[0-9]+-1000\.007`,
	} {
		host := &plugintest.Host{}
		p := plugintest.Configure(t, Registration, schema.Plugin, host, &entity.Plugin{Config: map[string]any{"generator": generator, "echo_downstream": true}})
		seen := map[string]bool{}
		for range 100 {
			x := plugintest.New(time.Unix(1000, 7_000_000), "GET", "/")
			plugintest.Serve(x, plugintest.Answer{Status: 200}, p)
			id := x.RequestHeader.Get("Kong-Request-ID")
			if !regexp.MustCompile("^"+form+"$").MatchString(id) || x.AnswerHeader.Get("Kong-Request-ID") != id {
				t.Fatalf("%s: %q towards the upstream, %q towards the client", generator, id, x.AnswerHeader.Get("Kong-Request-ID"))
			}
			seen[id] = true
		}
		if len(seen) != 100 {
			t.Errorf("%s: %d different ids in 100 requests", generator, len(seen))
		}
	}
}

func TestGivenIDIsKept(t *testing.T) {
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: map[string]any{"header_name": "X-Corr"}})
	x := plugintest.New(time.Now(), "GET", "/", "x-corr", "mine")
	plugintest.Serve(x, plugintest.Answer{Status: 200}, p)
	if x.RequestHeader.Get("X-Corr") != "mine" || x.AnswerHeader.Has("X-Corr") {
		t.Errorf("%v %v", x.RequestHeader.Map(), x.AnswerHeader.Map())
	}
	if record := logformat.New(time.Now()).Append(nil, x); !bytes.Contains(record, []byte(`"correlation_id":"mine"`)) {
		t.Errorf("%s", record)
	}
}

func TestAnswersFromBeforeAccess(t *testing.T) {
	p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: map[string]any{"generator": "uuid", "echo_downstream": true}})
	for _, given := range []string{"", "mine"} {
		x := plugintest.New(time.Now(), "GET", "/", "Kong-Request-ID", given)
		x.Response()
		p.HeaderFilter(x)
		if got := x.AnswerHeader.Get("Kong-Request-ID"); got == "" || given != "" && got != given {
			t.Errorf("given %q: %q", given, got)
		}
	}
}
