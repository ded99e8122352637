// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"
	"strings"

	"github.com/kong/kong-istio-gateway/internal/controlplane/translate/fragment"
)

// Decision is what is said about one object. The object is admitted when there
// are no violations. Neither list ever holds a value from a Secret.
type Decision struct {
	// Violations are why the object is refused.
	Violations []fragment.Problem
	// Warnings are shown to the user, who gets what was asked for.
	Warnings []fragment.Problem
}

// Text returns a problem in one line: object, field, reason, fix.
func Text(p fragment.Problem) string {
	var b strings.Builder
	b.WriteString(p.Object.String())
	if p.Field != "" {
		b.WriteString(" " + p.Field)
	}
	b.WriteString(": " + p.Message)
	if p.Fix != "" {
		b.WriteString(" (" + p.Fix + ")")
	}
	return b.String()
}

// refuse adds a violation, once.
func (d *Decision) refuse(p fragment.Problem) {
	if !slices.Contains(d.Violations, p) {
		d.Violations = append(d.Violations, p)
	}
}

// warn adds a warning, once.
func (d *Decision) warn(p fragment.Problem) {
	if !slices.Contains(d.Warnings, p) {
		d.Warnings = append(d.Warnings, p)
	}
}

// forgive turns the violations that the object had before, through no part of
// this change, into warnings: a clash with another object must not keep anybody
// from changing what has nothing to do with it.
func (d *Decision) forgive(before Decision) {
	var kept []fragment.Problem
	for _, v := range d.Violations {
		if foreign(v.Reason) && slices.Contains(before.Violations, v) {
			d.warn(v)
			continue
		}
		kept = append(kept, v)
	}
	d.Violations = kept
}

// foreign reports whether a violation is about another object as well.
func foreign(reason string) bool {
	switch reason {
	case fragment.ReasonConflict, fragment.ReasonSecretNotFound:
		return true
	}
	return false
}
