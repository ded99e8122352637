// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"regexp"
	"slices"
	"strings"
)

// Redacted is printed in place of a secret.
const Redacted = "REDACTED"

// Secrets returns the paths of the secrets in value, sorted. Vault references
// are not secrets.
func (r *Record) Secrets(value map[string]any) []string {
	var paths []string
	r.redact(value, "", func(p string) { paths = append(paths, p) })
	slices.Sort(paths)
	return paths
}

// Redact returns a printable copy of value: each secret is replaced by
// Redacted, and so is the user information of URLs wherever they stand.
func (r *Record) Redact(value map[string]any) map[string]any {
	return r.redact(value, "", func(string) {})
}

func (r *Record) redact(value map[string]any, prefix string, hit func(string)) map[string]any {
	out := make(map[string]any, len(value))
	for name, v := range value {
		out[name] = r.named(name).redact(v, join(prefix, name), false, hit)
	}
	return out
}

func (f *Field) redact(v any, at string, inSecret bool, hit func(string)) any {
	secret := inSecret || f != nil && f.secret
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		if f != nil && f.typ == TypeRecord && !secret {
			return f.record.redact(v, at, hit)
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = f.element().redact(e, join(at, k), secret, hit)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = f.element().redact(e, index(at, i), secret, hit)
		}
		return out
	case string:
		if f != nil && f.referenceable && IsReference(v) {
			return v
		}
		if shown := f.printable(v); !secret {
			if shown != v {
				hit(at)
			}
			return shown
		}
	}
	if secret {
		hit(at)
		return Redacted
	}
	return v
}

func (f *Field) element() *Field {
	if f == nil {
		return nil
	}
	return f.elem
}

// userinfo is the part of a URL that may hold a password (RFC 3986 §3.2.1).
var userinfo = regexp.MustCompile(`(://)[^/?#\s]*@`)

// printable returns text that is not secret as a whole without the part of it
// that is: the value of name:value, and who a URL logs in as.
func (f *Field) printable(s string) string {
	if f != nil && f.secretValue {
		name, _, pair := strings.Cut(s, ":")
		if !pair {
			return Redacted
		}
		return name + ":" + Redacted
	}
	return userinfo.ReplaceAllString(s, "${1}"+Redacted+"@")
}

// redacted takes what is secret of a field's value out of a message.
func (f *Field) redacted(message string, v any) string {
	s, ok := v.(string)
	if !ok || s == "" {
		return message
	}
	if f.secret {
		return strings.ReplaceAll(message, s, Redacted)
	}
	return strings.ReplaceAll(message, s, f.printable(s))
}
