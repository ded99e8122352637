// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"strings"
	"testing"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

func TestQuoteShowsNothingFromSecrets(t *testing.T) {
	secret := &secretKey{"ns", "s", "k"}
	for name, tc := range map[string]struct {
		source  source
		field   string
		message string
		shown   bool
	}{
		"from the object":    {source{}, "config.path", "invalid value: hunter2", true},
		"all from a Secret":  {source{from: secret}, "config.path", "invalid value: hunter2", false},
		"fixed text":         {source{from: secret}, "config.path", "expected a string", true},
		"patched":            {source{patches: []patch{{path: "/path"}}}, "config.path", "invalid value: hunter2", false},
		"patched, elsewhere": {source{patches: []patch{{path: "/redis_host"}}}, "config.redis.host", "invalid value: hunter2", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.source.quote(entity.Problem{Field: tc.field, Message: tc.message})
			if shown := got == tc.message; shown != tc.shown || !tc.shown && strings.Contains(got, "hunter2") {
				t.Errorf("got %q", got)
			}
		})
	}
}
