// SPDX-License-Identifier: Apache-2.0

package unusable

import (
	"net/http"
	"testing"
	"time"

	"github.com/kong/kong-istio-gateway/internal/plugin"
	"github.com/kong/kong-istio-gateway/internal/plugin/plugintest"
	"github.com/kong/kong-istio-gateway/internal/plugins/unusable/schema"
)

func TestAnswers500BeforeAnythingElse(t *testing.T) {
	phases, err := Registration.Configure(plugin.Config{})
	if err != nil {
		t.Fatal(err)
	}
	x := plugintest.New(time.Now(), http.MethodGet, "/")
	phases.Access(x)
	if !x.Exited() || x.Reply.Status != http.StatusInternalServerError {
		t.Errorf("exited %t with %+v", x.Exited(), x.Reply)
	}
	s := plugintest.NewSession(time.Now())
	if phases.Preread(s); s.EndStatus != http.StatusForbidden {
		t.Errorf("a session goes on: status %d", s.EndStatus)
	}
	if Registration.Name != schema.Plugin.Name {
		t.Errorf("registered as %q, described as %q", Registration.Name, schema.Plugin.Name)
	}
}
