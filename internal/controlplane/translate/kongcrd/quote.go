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
// messages may quote the value at fault, or pieces of it. Which fields a Secret's
// value ends up in is not asked: a schema moves those of older names.
func (s *source) quote(p entity.Problem) string {
	begins := func(prefix string) bool { return strings.HasPrefix(p.Message, prefix) }
	if s.from == nil && len(s.patches) == 0 || slices.ContainsFunc(fixed, begins) {
		return p.Message
	}
	return "the value is not valid; it is not shown, because there are values from a Secret"
}
