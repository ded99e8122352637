// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Reference is a vault reference taken apart. See
// https://developer.konghq.com/gateway/entities/vault/#secret-references.
type Reference struct {
	// Vault is the prefix of a vault entity, or the name of a backend.
	Vault string
	// Resource is the secret's name within the vault. It may hold slashes.
	Resource string
	// Key is the entry of a secret that has several, "" for the whole.
	Key string
	// Options take the place of the vault's own settings.
	Options map[string]string
	// Version is the version asked for, 0 when none is.
	Version int
}

const (
	referenceStart = "{vault://"
	referenceEnd   = "}"
	// maxReference bounds references, in bytes.
	maxReference = 2048
)

// IsReference reports whether s is meant as a vault reference, as Kong writes
// them: {vault://<name or prefix>/<resource>[/<key>][?option=…][#version]}.
func IsReference(s string) bool {
	return strings.HasPrefix(s, referenceStart) && strings.HasSuffix(s, referenceEnd)
}

// ParseReference takes a vault reference apart. Of several steps of the path the
// last one is the key, unless a slash follows it. Errors say what is wrong with
// the form of the text.
func ParseReference(s string) (Reference, error) {
	var r Reference
	switch {
	case !IsReference(s) || len(s) < len(referenceStart)+len(referenceEnd):
		return r, errors.New("a reference has the form {vault://name/secret}")
	case len(s) > maxReference:
		return r, errors.New("the reference is longer than " + strconv.Itoa(maxReference) + " bytes")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return r, errors.New("the reference holds a control character")
	}
	rest := s[len(referenceStart) : len(s)-len(referenceEnd)]
	rest, version, versioned := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	vault, path, _ := strings.Cut(rest, "/")
	if r.Vault = vault; !isVaultName(vault) {
		return Reference{}, errors.New("the reference has no valid name of a vault: lower-case letters, digits and dashes")
	}
	if versioned {
		n, err := strconv.ParseUint(version, 10, 31)
		if err != nil {
			return Reference{}, errors.New("the version of the reference is not a number")
		}
		r.Version = int(n)
	}
	if err := r.readPath(path); err != nil {
		return Reference{}, err
	}
	if query == "" {
		return r, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Reference{}, errors.New("the options of the reference are malformed")
	}
	r.Options = make(map[string]string, len(values))
	for name, list := range values {
		if len(list) > 1 {
			return Reference{}, errors.New("the reference has an option twice")
		}
		r.Options[name] = list[0]
	}
	return r, nil
}

func (r *Reference) readPath(path string) error {
	var steps []string
	for step := range strings.SplitSeq(path, "/") {
		if step == "" {
			continue
		}
		step, err := url.PathUnescape(step)
		if err != nil || !utf8.ValidString(step) || strings.ContainsFunc(step, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return errors.New("the path of the reference has a malformed escape")
		}
		steps = append(steps, step)
	}
	last := len(steps) - 1
	switch {
	case last < 0:
		return errors.New("the reference names no secret: {vault://name/secret}")
	case last > 0 && !strings.HasSuffix(path, "/"):
		r.Key, steps = steps[last], steps[:last]
	}
	r.Resource = strings.Join(steps, "/")
	return nil
}

func isVaultName(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}

// mayRefer reports whether any text in a canonical value looks like a reference,
// wherever it is.
func mayRefer(v any) bool {
	switch v := v.(type) {
	case string:
		return IsReference(v)
	case map[string]any:
		for _, e := range v {
			if mayRefer(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, mayRefer)
	}
	return false
}

// MapReferences returns value with each vault reference in a referenceable
// field replaced by what replace returns for it. path is that of a Violation.
// What is not changed is shared with value, which is canonical; value itself is
// returned when it holds no reference.
func (r *Record) MapReferences(value map[string]any, replace func(path, reference string) string) map[string]any {
	if !mayRefer(value) {
		return value
	}
	out, _ := r.mapReferences(value, "", replace)
	return out
}

func (r *Record) mapReferences(value map[string]any, prefix string, replace func(path, reference string) string) (map[string]any, bool) {
	return mapEach(value, func(name string, v any) (any, bool) {
		return r.named(name).mapReferences(v, join(prefix, name), replace)
	})
}

func (f *Field) mapReferences(v any, at string, replace func(path, reference string) string) (any, bool) {
	if f == nil {
		return v, false
	}
	switch v := v.(type) {
	case string:
		if f.referenceable && IsReference(v) {
			return replace(at, v), true
		}
	case map[string]any:
		switch f.typ {
		case TypeRecord:
			return f.record.mapReferences(v, at, replace)
		case TypeMap:
			return mapEach(v, func(key string, e any) (any, bool) { return f.elem.mapReferences(e, join(at, key), replace) })
		}
	case []any:
		if f.typ != TypeArray && f.typ != TypeSet {
			return v, false
		}
		out, changed := v, false
		for i, e := range v {
			n, hit := f.elem.mapReferences(e, index(at, i), replace)
			if !hit {
				continue
			}
			if !changed {
				out, changed = slices.Clone(v), true
			}
			out[i] = n
		}
		return out, changed
	}
	return v, false
}

// mapEach is value with its elements replaced, in the order of their keys; it is
// copied when the first one is.
func mapEach(value map[string]any, replace func(key string, v any) (any, bool)) (map[string]any, bool) {
	out, changed := value, false
	for _, key := range slices.Sorted(maps.Keys(value)) {
		n, hit := replace(key, value[key])
		if !hit {
			continue
		}
		if !changed {
			out, changed = maps.Clone(value), true
		}
		out[key] = n
	}
	return out, changed
}
