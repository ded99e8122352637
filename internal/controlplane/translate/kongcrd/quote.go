// SPDX-License-Identifier: Apache-2.0

package kongcrd

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/entity"
)

// fixed are the beginnings of the schemas' messages that quote nothing of the
// configuration.
var fixed = []string{
	"required field missing", unknownField, "expected a ", "expected an ", "expected one of: ", "must not be one of: ",
	"length must be ", "value must be ", "value must not be ", "value should be ", "should start with: ", "expected to contain: ",
	"these sets are mutually exclusive: ", "at least one of these fields ", "exactly one of these fields ", "all or none of these fields ",
	"only one or none of these fields ", "values of these fields must be distinct: ", "failed conditional validation ",
}

// unknownField is what schemas say of fields that they do not have.
const unknownField = "unknown field"

// secret reports whether there are values from Secrets in the configuration.
func (s *source) secret() bool { return s.from != nil || len(s.patches) > 0 }

// field returns the name of a problem's field. What a Secret holds has names as
// well, and whoever may write plugins need not be allowed to read it: told are
// then only fields that the object's patches name, and the first step of those
// that the schema has or its configuration names. Below it the keys of maps look
// like fields, and a name with a dot in it looks like two steps.
func (s *source) field(p entity.Problem) string {
	const config = "config"
	path, inside := strings.CutPrefix(p.Field, config+".")
	if !s.secret() || !inside {
		return p.Field
	}
	if named := s.patched(path); named != "" {
		return config + "." + named
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		end = len(path)
	}
	if p.Message == unknownField && !s.names(path[:end]) {
		return config
	}
	return config + "." + path[:end]
}

// patched returns the longest beginning of a field's path that a patch of the
// object names, "" where there is none.
func (s *source) patched(path string) (named string) {
	for _, p := range s.patches {
		name := strings.ReplaceAll(strings.TrimPrefix(p.path, "/"), "/", ".")
		rest, found := strings.CutPrefix(path, name)
		if found && (rest == "" || rest[0] == '.' || rest[0] == '[') && len(name) > len(named) {
			named = name
		}
	}
	return named
}

// names reports whether the object itself names a field of the configuration.
func (s *source) names(field string) bool {
	for _, p := range s.patches {
		if first, _, _ := strings.Cut(strings.TrimPrefix(p.path, "/"), "/"); first == field {
			return true
		}
	}
	var written map[string]json.RawMessage
	return json.Unmarshal(s.config, &written) == nil && written[field] != nil
}

// quote returns what a schema says, without anything that came out of a Secret:
// messages may quote the value at fault, or pieces of it. Which fields a Secret's
// value ends up in is not asked: a schema moves those of older names.
func (s *source) quote(p entity.Problem) string {
	begins := func(prefix string) bool { return strings.HasPrefix(p.Message, prefix) }
	if !s.secret() || slices.ContainsFunc(fixed, begins) {
		return p.Message
	}
	return "the value is not valid; it is not shown, because there are values from a Secret"
}
