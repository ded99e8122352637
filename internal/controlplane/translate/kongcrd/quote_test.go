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

func TestFieldsOfSecretsAreNotNamed(t *testing.T) {
	from := source{from: &secretKey{"ns", "s", "k"}}
	patched := source{config: []byte(`{"mine": 1}`), patches: []patch{{path: "/limits/x"}}}
	for _, tc := range []struct {
		source               source
		field, message, want string
	}{
		{source{}, "config.redis.hots", "unknown field", "config.redis.hots"},
		{from, "config.minute", "expected a number", "config.minute"},
		{from, "config.minute", "required field missing", "config.minute"},
		{from, "config.@entity", "at least one of these fields must be non-empty: 'a'", "config.@entity"},
		{from, "protocols[0]", "expected one of: http", "protocols[0]"},
		{from, "config.hunter2", "unknown field", "config"},
		{from, "config.hunter2.pass.word", "unknown field", "config"},
		{from, "config.limits.hunter2.minute", "expected a number", "config.limits"},
		{from, "config.headers[0]", "expected a string", "config.headers"},
		{patched, "config.mine", "unknown field", "config.mine"},
		{patched, "config.mine.hunter2", "unknown field", "config.mine"},
		{patched, "config.limits.hunter2", "unknown field", "config.limits"},
		{patched, "config.hunter2", "unknown field", "config"},
		{patched, "config.limits.x", "unknown field", "config.limits.x"},
		{patched, "config.limits.x.hunter2", "expected a number", "config.limits.x"},
		{patched, "config.limits.x[1].hunter2", "expected a number", "config.limits.x"},
		{patched, "config.limits.xhunter2", "expected a number", "config.limits"},
	} {
		if got := tc.source.field(entity.Problem{Field: tc.field, Message: tc.message}); got != tc.want {
			t.Errorf("%s: %s is told as %s, want %s", tc.field, tc.message, got, tc.want)
		}
	}
}
