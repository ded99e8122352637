// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Hash returns 32 hexadecimal digits that change whenever the meaning of the
// record changes: fields and their order, types, defaults, constraints, checks
// and other spellings. Rules in Go count by their names.
func (r *Record) Hash() string {
	var b strings.Builder
	r.write(&b)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:16])
}

func (r *Record) write(b *strings.Builder) {
	b.WriteString("{")
	for _, f := range r.fields {
		f.write(b)
	}
	for i := range r.shorthands {
		s := &r.shorthands[i]
		fmt.Fprintf(b, "shorthand %q ", s.path)
		s.field.write(b)
	}
	for i := range r.checks {
		fmt.Fprintf(b, "check %q;", r.checks[i].text)
	}
	b.WriteString("}")
}

func (f *Field) write(b *strings.Builder) {
	fmt.Fprintf(b, "%q %s", f.name, f.typ)
	flags := []struct {
		set  bool
		name string
	}{
		{f.required, "required"}, {f.secret, "secret"}, {f.secretValue, "secret value"}, {f.referenceable, "referenceable"},
		{f.forbidden, "forbidden"}, {f.explicit, "explicit"}, {f.minLenSet, "len"},
	}
	for _, flag := range flags {
		if flag.set {
			b.WriteString(" " + flag.name)
		}
	}
	if f.hasDefault {
		def, err := json.Marshal(f.def)
		if err != nil {
			panic(fmt.Sprintf("schema: default of %q: %v", f.name, err)) //nolint:forbidigo // schemas are package variables
		}
		fmt.Fprintf(b, " default %s", def)
	}
	for i := range f.rules {
		fmt.Fprintf(b, " %q", f.rules[i].text)
	}
	if f.message != "" {
		fmt.Fprintf(b, " message %q", f.message)
	}
	for _, inner := range []*Field{f.key, f.elem} {
		if inner != nil {
			b.WriteString(" of ")
			inner.write(b)
		}
	}
	if f.record != nil {
		f.record.write(b)
	}
	b.WriteString(";")
}

func (f *Field) describe() string {
	var b strings.Builder
	f.write(&b)
	return b.String()
}
