// SPDX-License-Identifier: Apache-2.0

package requestsizelimiting

import (
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/entity"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/request-size-limiting/schema"
)

func TestAccess(t *testing.T) {
	type m = map[string]any
	for _, c := range []struct {
		name   string
		config m
		header []string
		body   string // "-": not read as a whole
		status int
		limit  int64
	}{
		{"equal", m{"allowed_payload_size": 4, "size_unit": "bytes"}, []string{"Content-Length", "4"}, "-", 0, 0},
		{"one more", m{"allowed_payload_size": 4, "size_unit": "bytes"}, []string{"Content-Length", "5"}, "-", 413, 0},
		{"kilobytes", m{"allowed_payload_size": 1, "size_unit": "kilobytes"}, []string{"Content-Length", "1024"}, "-", 0, 0},
		{"more than kilobytes", m{"allowed_payload_size": 1, "size_unit": "kilobytes"}, []string{"Content-Length", "1025"}, "-", 413, 0},
		{"default", nil, []string{"Content-Length", "134217729"}, "-", 413, 0},
		{"expects to continue", m{"allowed_payload_size": 1}, []string{"Content-Length", "1048577", "Expect", "100-Continue"}, "-", 417, 0},
		{"no body", m{"allowed_payload_size": 0}, nil, "", 0, 0},
		{"length required", m{"require_content_length": true}, nil, "", 411, 0},
		{"chunked, length required", m{"require_content_length": true, "allowed_payload_size": 2}, []string{"Transfer-Encoding", "Chunked"}, "-", 0, 2 << 20},
		{"chunked", m{"allowed_payload_size": 2}, []string{"Transfer-Encoding", "chunked"}, "-", 0, 2 << 20},
		{"chunked and read", m{"allowed_payload_size": 2, "size_unit": "bytes"}, []string{"Transfer-Encoding", "chunked"}, "abc", 413, 0},
	} {
		p := plugintest.Configure(t, Registration, schema.Plugin, &plugintest.Host{}, &entity.Plugin{Config: c.config})
		x := plugintest.New(time.Now(), "POST", "/", c.header...)
		x.RequestBody, x.BodyComplete = []byte(c.body), c.body != "-"
		p.Access(x)
		status := 0
		if x.Reply != nil {
			status = x.Reply.Status
		}
		if status != c.status || x.UpstreamRequest.BodyLimit != c.limit {
			t.Errorf("%s: %d, limit %d", c.name, status, x.UpstreamRequest.BodyLimit)
		}
	}
}
