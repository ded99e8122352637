// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"net/http"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TestApplyWhole refuses a configuration of which one service cannot run.
func TestApplyWhole(t *testing.T) {
	g := h2Start(t, http.HandlerFunc(h2Echo), nil)
	bad := h2Set(t, "http://127.0.0.1:1", "x-other")
	bad.Services[0].Protocol = entity.Protocol("tcp")
	if rejected := g.ApplyWhole(bad); len(rejected) == 0 {
		t.Fatal("it is accepted")
	}
	h2Until(t, "the end of the instance that was made in vain", func() bool { return g.closed.Load() == 1 })
	if resp, body := h2Do(t, h2Client(t), "GET", "http://"+g.plain+"/", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("what ran before answers %d %q", resp.StatusCode, body)
	}
	if g.seen(t, 1)[0].ClosedEarly {
		t.Error("the plugin that runs was closed")
	}
	good := h2Set(t, "http://127.0.0.1:1", "x-other")
	if rejected := g.ApplyWhole(good); len(rejected) > 0 {
		t.Fatal(rejected)
	}
	h2Until(t, "the replaced instance to be closed", func() bool { return g.closed.Load() == 2 })
}
