// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
	"github.com/kong/kong-istio-gateway/internal/entity"
)

// TestManyViolationsAreFewWords holds that a configuration with thousands of
// wrong values does not become megabytes of text, here or with those who refer
// to it.
func TestManyViolationsAreFewWords(t *testing.T) {
	var list []entity.Problem
	for i := range 20000 {
		list = append(list, entity.Problem{Field: fmt.Sprintf("config.allow[%d]", i), Message: "invalid ip: " + strings.Repeat("x", 1000)})
	}
	s := &source{plugin: "ip-restriction"}
	bad := s.violated(list)
	if n := strings.Count(bad.message, "invalid ip"); n != maxViolations || !strings.HasSuffix(bad.message, "and 19995 more") {
		t.Errorf("%d problems are told: %s", n, bad.message)
	}
	if len(bad.message) > 1500 {
		t.Errorf("the message has %d bytes", len(bad.message))
	}
	r := reference{facts: s.refuse(bad).Facts.(fragment.PluginFacts)}
	r.explain("")
	if len(r.why) > 300 || !strings.Contains(r.why, "config.allow[0]") {
		t.Errorf("those who refer to it are told %d bytes: %s", len(r.why), r.why)
	}
}
