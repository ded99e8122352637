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
		"from the object":            {source{}, "config.path", "invalid value: hunter2", true},
		"all from a Secret":          {source{from: secret}, "config.path", "invalid value: hunter2", false},
		"fixed text":                 {source{from: secret}, "config.path", "expected a string", true},
		"patched":                    {source{patches: []patch{{path: "/path"}}}, "config.path", "invalid value: hunter2", false},
		"patched inside":             {source{patches: []patch{{path: "/redis/host"}}}, "config.redis.host", "invalid value: hunter2", false},
		"beside what is patched":     {source{patches: []patch{{path: "/redis/host"}}}, "config.path", "invalid value: hunter2", true},
		"longer name than the patch": {source{patches: []patch{{path: "/path"}}}, "config.paths", "invalid value: hunter2", true},
		"element of what is patched": {source{patches: []patch{{path: "/paths"}}}, "config.paths[1]", "invalid value: hunter2", false},
		"all is patched":             {source{patches: []patch{{path: ""}}}, "config.path", "invalid value: hunter2", false},
		"check of several fields":    {source{patches: []patch{{path: "/a"}}}, "config.@entity", "a = hunter2", false},
		"check of the whole plugin":  {source{patches: []patch{{path: "/a"}}}, "@entity", "a = hunter2", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.source.quote(entity.Problem{Field: tc.field, Message: tc.message})
			if shown := got == tc.message; shown != tc.shown || !tc.shown && strings.Contains(got, "hunter2") {
				t.Errorf("got %q", got)
			}
		})
	}
}
