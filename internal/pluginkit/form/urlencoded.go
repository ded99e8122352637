// SPDX-License-Identifier: Apache-2.0

// Package form reads and writes arguments: of queries, of
// application/x-www-form-urlencoded and of multipart/form-data bodies.
package form

import (
	"net/url"
	"slices"
	"strings"
)

// Arg is one argument, decoded.
type Arg struct {
	Name, Value string
	// Flag says that there is no "=".
	Flag bool
}

// Args is a list of arguments in their order.
type Args []Arg

// Parse reads a query or a form. What is not encoded properly is taken as it
// is. The strings may share memory with raw.
func Parse(raw string) Args {
	var out Args
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, has := strings.Cut(pair, "=")
		out = append(out, Arg{Decode(name), Decode(value), !has})
	}
	return out
}

// Decode undoes percent encoding and "+", and returns s where it is not
// encoded properly.
func Decode(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// Has reports whether there is an argument of that name; names are compared
// exactly.
func (a Args) Has(name string) bool {
	return slices.ContainsFunc(a, func(x Arg) bool { return x.Name == name })
}

// Values returns the arguments of that name.
func (a Args) Values(name string) []Arg {
	var out []Arg
	for _, x := range a {
		if x.Name == name {
			out = append(out, x)
		}
	}
	return out
}

// Without returns a without the arguments of that name. It reuses a's memory.
func (a Args) Without(name string) Args {
	return slices.DeleteFunc(a, func(x Arg) bool { return x.Name == name })
}

// Sorted sorts by name, values of one name in their order.
func (a Args) Sorted() Args {
	slices.SortStableFunc(a, func(x, y Arg) int { return strings.Compare(x.Name, y.Name) })
	return a
}

// Encode is the opposite of Parse.
func (a Args) Encode() string {
	var b strings.Builder
	for i, x := range a {
		if i > 0 {
			b.WriteByte('&')
		}
		escape(&b, x.Name)
		if !x.Flag {
			b.WriteByte('=')
			escape(&b, x.Value)
		}
	}
	return b.String()
}

const hex = "0123456789ABCDEF"

// escape encodes like ngx.escape_uri: everything but letters, digits and
// -._~!'()*.
func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!'()*", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
}

// Remove takes the arguments of a name out of a raw query and leaves the
// encoding of the others as it is. Like Kong it gives every argument a "=".
func Remove(raw, name string) string {
	var b strings.Builder
	for pair := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if pair == "" || Decode(key) == name {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(value)
	}
	return b.String()
}
