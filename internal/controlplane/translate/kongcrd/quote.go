// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// fixed are the beginnings of the schemas' messages that quote nothing of the
// configuration.
var fixed = []string{
	"required field missing", "unknown field", "expected a ", "expected an ", "expected one of: ", "must not be one of: ",
	"length must be ", "value must be ", "value must not be ", "value should be ", "should start with: ", "expected to contain: ",
	"these sets are mutually exclusive: ", "at least one of these fields ", "exactly one of these fields ", "all or none of these fields ",
	"only one or none of these fields ", "values of these fields must be distinct: ", "failed conditional validation ",
}

// quote returns what a schema says, without anything that came out of a Secret:
// messages may quote the value at fault, or pieces of it.
func (s *source) quote(p entity.Problem) string {
	begins := func(prefix string) bool { return strings.HasPrefix(p.Message, prefix) }
	if !s.fromSecret(p.Field) || slices.ContainsFunc(fixed, begins) {
		return p.Message
	}
	return "the value is not valid; it comes from a Secret and is not shown"
}

// fromSecret reports whether a field, or a part of it, comes from a Secret.
func (s *source) fromSecret(field string) bool {
	if s.from != nil {
		return true
	}
	path, inside := strings.CutPrefix(field, "config.")
	if !inside {
		return len(s.patches) > 0 // a check of several fields
	}
	return slices.ContainsFunc(s.patches, func(patch patch) bool {
		top, _, _ := strings.Cut(strings.TrimPrefix(patch.path, "/"), "/")
		rest, begins := strings.CutPrefix(path, top)
		return top == "" || strings.HasPrefix(path, "@") || begins && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}
