// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// rule is one constraint on a value of the right type. text describes it in
// full, for the schema's hash; check returns the message of a failure.
type rule struct {
	rank  int
	text  string
	check func(v any) string
}

// The order in which Kong tries the constraints of one field; only the first
// failure is reported.
const (
	rankEqual = iota
	rankOneOf
	rankCompare
	rankLength
	rankStart
	rankMatch
	rankContains
	rankCustom
	rankSets
)

func (f *Field) rule(rank int, text string, check func(v any) string) *Field {
	f.rules = append(f.rules, rule{rank: rank, text: text, check: check})
	slices.SortStableFunc(f.rules, func(a, b rule) int { return a.rank - b.rank })
	return f
}

// OneOf accepts only the given values.
func (f *Field) OneOf(values ...any) *Field {
	list := canonicalList(values)
	text := joined(list)
	message := "expected one of: " + text
	return f.rule(rankOneOf, "one_of "+text, func(v any) string {
		if slices.Contains(list, v) {
			return ""
		}
		return message
	})
}

// NotOneOf refuses the given values.
func (f *Field) NotOneOf(values ...any) *Field {
	list := canonicalList(values)
	text := joined(list)
	return f.rule(rankOneOf, "not_one_of "+text, func(v any) string {
		if !slices.Contains(list, v) {
			return ""
		}
		return "must not be one of: " + text
	})
}

// Equal accepts only v.
func (f *Field) Equal(v any) *Field {
	want := Canonical(v)
	message := fmt.Sprintf("value must be %v", want)
	return f.rule(rankEqual, fmt.Sprintf("eq %v", want), func(v any) string {
		if v == want {
			return ""
		}
		return message
	})
}

// NotEqual refuses v.
func (f *Field) NotEqual(v any) *Field {
	bad := Canonical(v)
	return f.rule(rankEqual, fmt.Sprintf("ne %v", bad), func(v any) string {
		if v != bad {
			return ""
		}
		return fmt.Sprintf("value must not be %v", bad)
	})
}

// Between accepts numbers from low to high, both included.
func (f *Field) Between(low, high float64) *Field {
	text := fmt.Sprintf("between %s and %s", number(low), number(high))
	return f.rule(rankCompare, text, func(v any) string {
		if n, ok := asFloat(v); ok && (n < low || n > high) {
			return "value should be " + text
		}
		return ""
	})
}

// Greater accepts numbers above limit.
func (f *Field) Greater(limit float64) *Field {
	text := "greater than " + number(limit)
	return f.rule(rankCompare, text, func(v any) string {
		if n, ok := asFloat(v); ok && n <= limit {
			return "value must be " + text
		}
		return ""
	})
}

// LenMin accepts text (bytes) and collections (elements) of at least n.
func (f *Field) LenMin(n int) *Field {
	f.minLenSet = true
	return f.rule(rankLength, fmt.Sprintf("len_min %d", n), func(v any) string {
		if l, ok := length(v); ok && l < n {
			return fmt.Sprintf("length must be at least %d", n)
		}
		return ""
	})
}

// LenMax accepts text (bytes) and collections (elements) of at most n.
func (f *Field) LenMax(n int) *Field {
	return f.rule(rankLength, fmt.Sprintf("len_max %d", n), func(v any) string {
		if l, ok := length(v); ok && l > n {
			return fmt.Sprintf("length must be at most %d", n)
		}
		return ""
	})
}

// LenEqual accepts text (bytes) and collections (elements) of exactly n.
func (f *Field) LenEqual(n int) *Field {
	f.minLenSet = true
	return f.rule(rankLength, fmt.Sprintf("len_eq %d", n), func(v any) string {
		if l, ok := length(v); ok && l != n {
			return fmt.Sprintf("length must be %d", n)
		}
		return ""
	})
}

// StartsWith accepts text that begins with prefix.
func (f *Field) StartsWith(prefix string) *Field {
	return f.rule(rankStart, "starts_with "+prefix, func(v any) string {
		if s, ok := v.(string); ok && !strings.HasPrefix(s, prefix) {
			return "should start with: " + prefix
		}
		return ""
	})
}

// Matches accepts text that pattern (RE2) is found in.
func (f *Field) Matches(pattern string) *Field {
	re := regexp.MustCompile(pattern)
	return f.rule(rankMatch, "match "+pattern, func(v any) string {
		if s, ok := v.(string); ok && !re.MatchString(s) {
			return "invalid value: " + s
		}
		return ""
	})
}

// MatchesNot refuses text that pattern (RE2) is found in, with this message.
func (f *Field) MatchesNot(pattern, message string) *Field {
	re := regexp.MustCompile(pattern)
	found := re.MatchString
	if plain, whole := re.LiteralPrefix(); whole {
		found = func(s string) bool { return strings.Contains(s, plain) }
	}
	return f.rule(rankMatch, "match_none "+pattern, func(v any) string {
		if s, ok := v.(string); ok && found(s) {
			return message
		}
		return ""
	})
}

// Contains accepts lists that hold want.
func (f *Field) Contains(want any) *Field {
	w := Canonical(want)
	return f.rule(rankContains, fmt.Sprintf("contains %v", w), func(v any) string {
		if list, ok := v.([]any); ok && !slices.Contains(list, w) {
			return fmt.Sprintf("expected to contain: %v", w)
		}
		return ""
	})
}

// EachNotOneOf accepts lists none of whose elements is one of the values.
func (f *Field) EachNotOneOf(values ...any) *Field {
	bad := canonicalList(values)
	text := joined(bad)
	return f.rule(rankContains, "elements not_one_of "+text, func(v any) string {
		list, _ := v.([]any)
		for _, e := range list {
			if slices.Contains(bad, e) {
				return "must not be one of: " + text
			}
		}
		return ""
	})
}

// Custom adds a rule in Go. name identifies the rule, and its version, in the
// schema's hash; check returns the message of a failure or "".
func (f *Field) Custom(name string, check func(v any) string) *Field {
	return f.rule(rankCustom, "custom "+name, check)
}

// CustomString is Custom for text.
func (f *Field) CustomString(name string, check func(s string) string) *Field {
	return f.rule(rankCustom, "custom "+name, func(v any) string {
		if s, ok := v.(string); ok {
			return check(s)
		}
		return ""
	})
}

// UUID accepts UUIDs in their textual form.
func (f *Field) UUID() *Field {
	return f.rule(rankCompare, "uuid", func(v any) string {
		if s, ok := v.(string); ok && !IsUUID(s) {
			return "expected a valid UUID"
		}
		return ""
	})
}

// ExclusiveSubsets accepts sets whose elements come from at most one subset.
func (f *Field) ExclusiveSubsets(subsets ...[]string) *Field {
	return f.rule(rankSets, fmt.Sprintf("mutually_exclusive_subsets %q", subsets), func(v any) string {
		list, _ := v.([]any)
		var hit [][]string
		for _, subset := range subsets {
			if slices.ContainsFunc(subset, func(s string) bool { return slices.Contains(list, any(s)) }) {
				hit = append(hit, subset)
			}
		}
		if len(hit) <= 1 {
			return ""
		}
		texts := make([]string, len(hit))
		for i, subset := range hit {
			texts[i] = "(" + quoted(subset) + ")"
		}
		return "these sets are mutually exclusive: " + strings.Join(texts, ", ")
	})
}

// IsUUID reports whether s is a UUID in textual form, in either case.
func IsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

func length(v any) (int, bool) {
	switch v := v.(type) {
	case string:
		return len(v), true
	case []any:
		return len(v), true
	case map[string]any:
		return len(v), true
	}
	return 0, false
}

func canonicalList(values []any) []any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = Canonical(v)
	}
	return list
}

func joined(list []any) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = "'" + w + "'"
	}
	return strings.Join(q, ", ")
}
