// SPDX-License-Identifier: Apache-2.0

package fragment

import (
	"strings"
	"unicode/utf8"
)

// The longest texts of problems, in bytes. They end up in events, conditions and
// in the memory of the control plane, once for each object that refers to a
// wrong one.
const (
	maxField   = 300
	maxMessage = 1500
)

// Cut returns a text of at most limit bytes, which ends in "…" where something
// was left out. Limits are larger than that mark.
func Cut(text string, limit int) string {
	const mark = "…"
	if len(text) <= limit {
		return text
	}
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end]) + mark // the long text need not stay
}
